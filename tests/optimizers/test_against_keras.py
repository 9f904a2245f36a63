"""Twenty steps of every optimizer against Keras, with the same gradients."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import optimizers

keras = pytest.importorskip("keras")

SHAPES = {"dense/kernel": (7, 5), "dense/bias": (5,), "scale": ()}
STEPS = 20


def exponential(k):
    return k.optimizers.schedules.ExponentialDecay(0.05, 4, 0.7)


def staircase(k):
    return k.optimizers.schedules.ExponentialDecay(0.05, 4, 0.7, staircase=True)


def cosine(k):
    return k.optimizers.schedules.CosineDecay(0.01, 12, 0.1, warmup_target=0.1, warmup_steps=5)


def plain_cosine(k):
    return k.optimizers.schedules.CosineDecay(0.1, 10)


def polynomial(k):
    return k.optimizers.schedules.PolynomialDecay(0.1, 7, 0.01, power=2.0, cycle=True)


def plain_polynomial(k):
    return k.optimizers.schedules.PolynomialDecay(0.1, 7)


def piecewise(k):
    return k.optimizers.schedules.PiecewiseConstantDecay([4, 9], [0.1, 0.05, 0.01])


def inverse(k):
    return k.optimizers.schedules.InverseTimeDecay(0.1, 3, 0.5, staircase=True)


def constant(_):
    return lambda: 0.03


CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.8, "epsilon": 1e-5}),
    ("RMSprop", {"momentum": 0.7}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.7}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    ("Adam", {}),
    ("Adam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.1, "weight_decay": 0.1}),
    ("AdamW", {"amsgrad": True, "clipnorm": 1.0}),
    *[
        (name, {"learning_rate": 0.05, **option})
        for name in ("SGD", "RMSprop", "Adagrad", "Adam")
        for option in (
            {"clipnorm": 0.5}, {"clipvalue": 0.1}, {"global_clipnorm": 0.5}, {"weight_decay": 0.05},
        )
    ],
    ("SGD", {"momentum": 0.9, "weight_decay": 0.05, "global_clipnorm": 2.0}),
    *[
        ("Adam", {"learning_rate": schedule})
        for schedule in (
            exponential, staircase, cosine, plain_cosine, polynomial, plain_polynomial, piecewise,
            inverse, constant,
        )
    ],
]  # fmt: skip
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(CASES)]


def made(k, name, options):
    rate = options.get("learning_rate")
    options = {**options, "learning_rate": rate(k)} if callable(rate) else options
    return getattr(k.optimizers, name)(**options)


def values(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype("float32") for shape in SHAPES.values()]


def variables(k, **options):
    return [
        k.Variable(value, name=path.split("/")[-1], **options)
        for path, value in zip(SHAPES, values())
    ]


def gradients(step, size=1.0):
    rng = np.random.default_rng(100 + step)
    return [(size * rng.standard_normal(s)).astype("float32") for s in SHAPES.values()]


def run(k, optimizer, weights, steps=STEPS, start=0):
    for step in range(start, start + steps):
        found = [k.ops.convert_to_tensor(g) for g in gradients(step)]
        optimizer.apply_gradients(zip(found, weights))


def agree(ours, theirs, rtol=1e-5, atol=1e-5):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=atol)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_twenty_steps(name, options):
    ours, theirs = made(gpunn, name, options), made(keras, name, options)
    w, reference = variables(gpunn), variables(keras)
    run(gpunn, ours, w)
    run(keras, theirs, reference)
    agree(w, reference)
    assert int(ours.iterations) == int(theirs.iterations) == STEPS
    assert float(ours.learning_rate) == pytest.approx(float(theirs.learning_rate), rel=1e-5)
    kinds = [v.path.rsplit("_", 1)[-1].split("/")[-1] for v in theirs.variables]
    assert [v.path.rsplit("_", 1)[-1].split("/")[-1] for v in ours.variables] == kinds
    agree(ours.variables[1:], theirs.variables[1:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adam", "AdamW"])
def test_paths_of_the_state(name):
    gpunn.utils.clear_session()
    keras.utils.clear_session()
    options = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    options |= {"centered": True} if name == "RMSprop" else {}
    options |= {"amsgrad": True} if name.startswith("Adam") else {}
    found = []
    for k, L in ((gpunn, gpunn.layers), (keras, keras.layers)):
        model = k.Sequential([k.Input((4,)), L.Dense(3), L.Dense(2)])
        optimizer = made(k, name, options)
        optimizer.build(model.trainable_variables)
        found.append([(v.path, tuple(v.shape), str(v.dtype)) for v in optimizer.variables])
    assert found[0] == found[1]


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_config_has_keras_keys_and_round_trips(name, options):
    ours, theirs = made(gpunn, name, options), made(keras, name, options)
    config, expected = ours.get_config(), theirs.get_config()
    later = {
        "use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor",
        "gradient_accumulation_steps",
    }  # fmt: skip
    assert set(config) == set(expected) - later
    for key in set(config) - {"name", "learning_rate"}:
        assert config[key] == expected[key], key
    again = type(ours).from_config(config)
    assert again.get_config() == config
    if not callable(options.get("learning_rate")) or options["learning_rate"] is not constant:
        w, other = variables(gpunn), variables(gpunn)
        run(gpunn, ours, w, 3)
        run(gpunn, again, other, 3)
        for a, b in zip(w, other):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("how", ["var_list", "var_names"])
def test_exclude_from_weight_decay(how):
    results = []
    for k in (gpunn, keras):
        w = variables(k)
        optimizer = k.optimizers.AdamW(0.1, weight_decay=0.5)
        choice = [w[1]] if how == "var_list" else ["bias", "scale"]
        optimizer.exclude_from_weight_decay(**{how: choice})
        run(k, optimizer, w, 3)
        results.append(w)
    agree(*results)


def test_excluding_one_of_two_variables_of_the_same_path():
    """Two variables named alike: only the one that was given stays undecayed."""
    a, b = gpunn.Variable([1.0], name="v"), gpunn.Variable([1.0], name="v")
    optimizer = gpunn.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[a])
    optimizer.apply_gradients([(np.zeros(1, "float32"), v) for v in (a, b)])
    assert a.numpy() == 1 and b.numpy() == pytest.approx(0.95)


@pytest.mark.parametrize(("name", "options"), CASES[:16], ids=IDS[:16])
def test_float64_variables_beside_float32(name, options):
    """Each dtype in its own flat buffer; float64 is computed in float64."""
    optimizer = made(gpunn, name, options)
    w32, w64 = variables(gpunn), variables(gpunn, dtype="float64")
    mixed = [v for pair in zip(w32, w64) for v in pair]
    for step in range(STEPS):
        pairs = [g for g in gradients(step) for _ in range(2)]
        optimizer.apply_gradients(zip(pairs, mixed))
    assert [v.dtype for v in mixed[:2]] == ["float32", "float64"]
    agree(w32, w64, rtol=2e-5, atol=1e-5)
    kinds = [v.dtype for v in optimizer.variables[2:]]
    assert kinds.count("float32") == kinds.count("float64")


def test_global_clipnorm_over_two_dtypes():
    a, b = gpunn.Variable([0.0]), gpunn.Variable([0.0], dtype="float64")
    optimizer = optimizers.SGD(1.0, global_clipnorm=1.0)
    optimizer.apply_gradients([(np.float32([3]), a), (np.float64([4]), b)])
    assert a.numpy() == pytest.approx(-0.6) and b.numpy() == pytest.approx(-0.8)


def test_a_gradient_of_zero_norm_is_not_divided_by_it():
    for clip in ("clipnorm", "global_clipnorm"):
        w = gpunn.Variable([1.0, 2.0])
        optimizers.SGD(1.0, **{clip: 1.0}).apply_gradients([(np.zeros(2, "float32"), w)])
        np.testing.assert_array_equal(w.numpy(), [1, 2])
