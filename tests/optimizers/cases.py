"""Variables, gradients and options that several test files share."""

import numpy as np

SHAPES = {"kernel": (4, 3), "bias": (3,)}
STEPS = 20
METHODS = (
    "SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam", "Adafactor",
    "Ftrl", "Lion", "Lamb", "Muon", "ScheduleFreeAdamW",
)  # fmt: skip


def exponential(k):
    return k.optimizers.schedules.ExponentialDecay(0.05, 4, 0.7)


def constant(_):
    return lambda: 0.03


_SUMS = {
    "learning_rate": 0.05, "gradient_accumulation_steps": 3, "use_ema": True, "ema_momentum": 0.8,
}  # fmt: skip
CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"nesterov": True}),
    ("RMSprop", {"rho": 0.8, "epsilon": 1e-5}),
    ("RMSprop", {"momentum": 0.7}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.7}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-3}),
    ("Adam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"learning_rate": 0.1}),
    ("AdamW", {"amsgrad": True, "clipnorm": 1.0, "weight_decay": 0.1}),
    ("Adamax", {}),
    ("Adamax", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9}),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9}),
    ("Adafactor", {}),
    (
        "Adafactor",
        {"learning_rate": 0.1, "relative_step": False, "clip_threshold": 0.5, "beta_2_decay": -0.5},
    ),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1, "learning_rate_power": -0.4, "l1_regularization_strength": 0.05,
            "l2_regularization_strength": 0.1, "l2_shrinkage_regularization_strength": 0.01,
            "beta": 0.2,
        },
    ),
    ("Lion", {}),
    ("Lion", {"beta_1": 0.8, "beta_2": 0.9, "weight_decay": 0.1}),
    ("Lamb", {}),
    ("Lamb", {"learning_rate": 0.05, "beta_1": 0.8}),
    ("Muon", {}),
    (
        "Muon",
        {
            "learning_rate": 0.05, "nesterov": False, "rms_rate": None, "ns_steps": 3,
            "adam_lr_ratio": 0.5, "adam_weight_decay": 0.1,
        },
    ),
    ("Muon", {"exclude_layers": ["kern"]}),
    ("ScheduleFreeAdamW", {}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.05, "warmup_steps": 5, "weight_decay": 0.01}),
    ("SGD", {"learning_rate": 0.05, "clipvalue": 0.1}),
    ("Adam", {"learning_rate": 0.05, "clipnorm": 0.5}),
    ("RMSprop", {"learning_rate": 0.05, "global_clipnorm": 0.5, "loss_scale_factor": 4.0}),
    ("Adagrad", {"learning_rate": 0.05, "weight_decay": 0.05}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.05, "global_clipnorm": 2.0}),
    ("Adam", {"learning_rate": exponential}),
    ("SGD", {"learning_rate": constant}),
    ("Adam", {"use_ema": True}),
    ("SGD", {"use_ema": True, "ema_overwrite_frequency": 3, "ema_momentum": 0.5}),
    ("SGD", {**_SUMS, "momentum": 0.9, "ema_overwrite_frequency": 2, "clipnorm": 1.0}),
    ("Adam", {**_SUMS, "weight_decay": 0.1}),
    ("Adam", {**_SUMS, "learning_rate": exponential, "loss_scale_factor": 8.0}),
    ("Nadam", _SUMS),
    ("Adafactor", _SUMS),
    ("Muon", {**_SUMS, "global_clipnorm": 1.0}),
    ("Lamb", {**_SUMS, "ema_overwrite_frequency": 1}),
]  # fmt: skip
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(CASES)]


def made(k, name, options):
    rate = options.get("learning_rate")
    options = {**options, "learning_rate": rate(k)} if callable(rate) else options
    return getattr(k.optimizers, name)(**options)


def variables(k, seed=0, **options):
    rng = np.random.default_rng(seed)
    return [
        k.Variable(rng.standard_normal(shape).astype("float32"), name=name, **options)
        for name, shape in SHAPES.items()
    ]


def gradients(step, size=1.0):
    rng = np.random.default_rng(100 + step)
    return [(size * rng.standard_normal(s)).astype("float32") for s in SHAPES.values()]


def run(k, optimizer, weights, steps=STEPS):
    for step in range(steps):
        found = [k.ops.convert_to_tensor(g) for g in gradients(step)]
        optimizer.apply_gradients(zip(found, weights))


def agree(ours, theirs, rtol=1e-5, atol=1e-5):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=atol)
