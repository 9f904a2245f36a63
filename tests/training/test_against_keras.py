"""Whole models against Keras: the same initial weights and batches, the same losses afterwards."""

import os
from itertools import count

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(5)
N = 67  # the last batch of 10 is ragged
X = RNG.standard_normal((N, 6)).astype("float32")
LABELS = RNG.integers(0, 3, N)
TARGETS = {
    "mse": (RNG.standard_normal((N, 3)).astype("float32"), None, 3, ["mae", "mse"]),
    "mae": (RNG.standard_normal((N, 3)).astype("float32"), None, 3, ["mse"]),
    "binary_crossentropy": (RNG.integers(0, 2, N), "sigmoid", 1, ["accuracy", "mae"]),
    "categorical_crossentropy": (np.eye(3)[LABELS], "softmax", 3, ["accuracy"]),
    "sparse_categorical_crossentropy": (LABELS, "softmax", 3, ["acc"]),
}
OPTIMIZERS = {
    "sgd": lambda k: k.optimizers.SGD(0.05),
    "momentum": lambda k: k.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda k: k.optimizers.RMSprop(0.01, centered=True),
    "adagrad": lambda k: k.optimizers.Adagrad(0.05),
    "adam": lambda k: k.optimizers.Adam(0.01),
    "adamw": lambda k: k.optimizers.AdamW(0.01, weight_decay=0.05, global_clipnorm=1.0),
    "sgd_ema": lambda k: k.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.7),
    "adam_ema": lambda k: k.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.7),
    "accumulating_ema": lambda k: k.optimizers.SGD(
        0.05, use_ema=True, ema_momentum=0.7, gradient_accumulation_steps=4
    ),
}
BATCH = 10


def build(k, loss, hidden=None):
    _, activation, units, _ = TARGETS[loss]
    options = hidden or {"activation": "relu"}
    return k.Sequential(
        [k.Input((6,)), k.layers.Dense(8, **options), k.layers.Dense(units, activation=activation)]
    )


def pair(loss="mse", optimizer="sgd", metrics=None, hidden=None, **options):
    """Both models compiled, with equal weights."""
    ours, theirs = build(gpunn, loss, hidden), build(keras, loss, hidden)
    ours.set_weights(theirs.get_weights())
    metrics = TARGETS[loss][3] if metrics is None else metrics
    for k, model in ((gpunn, ours), (keras, theirs)):
        extra = {"run_eagerly": True} if k is keras else {}  # no compile time
        model.compile(OPTIMIZERS[optimizer](k), loss, metrics=list(metrics), **options, **extra)
    return ours, theirs


def agree(ours, theirs, found=None, expected=None, rtol=1e-4):
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5)
    if found is not None:
        assert set(found) == set(expected)  # with jax, Keras sorts them by name
        for key, values in expected.items():
            np.testing.assert_allclose(found[key], values, rtol=rtol, atol=1e-5, err_msg=key)


def fit_both(ours, theirs, y, x=X, **options):
    options = {"batch_size": 30, "epochs": 2, "shuffle": False, "verbose": 0, **options}
    histories = [model.fit(x, y, **options) for model in (ours, theirs)]
    agree(ours, theirs, histories[0].history, histories[1].history)
    assert histories[0].epoch == histories[1].epoch
    return histories[0].history


@pytest.mark.parametrize(
    ("loss", "optimizer"),
    [
        ("mse", "sgd"),
        ("mse", "adam"),
        ("mae", "adagrad"),
        ("binary_crossentropy", "rmsprop"),
        ("categorical_crossentropy", "momentum"),
        ("sparse_categorical_crossentropy", "adamw"),
    ],
)
def test_twenty_one_steps(loss, optimizer):
    ours, theirs = pair(loss, optimizer)
    history = fit_both(ours, theirs, TARGETS[loss][0], batch_size=BATCH, epochs=3)
    assert set(history) == {"loss", *TARGETS[loss][3]}


Y = TARGETS["mse"][0]
W = RNG.uniform(0, 2, N).astype("float32")
VALIDATION = (X[:23] + 0.1, Y[:23], W[:23])
FITS = {
    "sample_weight": {"sample_weight": W},
    "validation_split": {"validation_split": 0.3},
    "validation_split_weighted": {"validation_split": 0.3, "sample_weight": W},
    "validation_data": {"validation_data": VALIDATION[:2]},
    "validation_data_weighted": {"validation_data": VALIDATION, "validation_batch_size": 7},
    "validation_freq": {"validation_data": VALIDATION, "validation_freq": 2, "epochs": 4},
    "initial_epoch": {"initial_epoch": 2, "epochs": 4},
    "one_batch": {"batch_size": 500},
    "default_batch": {"batch_size": None},
    "steps": {"batch_size": BATCH, "steps_per_epoch": 7},
    "validation_steps": {"validation_data": VALIDATION, "validation_steps": 1},
}


@pytest.mark.parametrize("name", FITS)
def test_fit_options(name):
    ours, theirs = pair(weighted_metrics=["mse"])
    fit_both(ours, theirs, Y, **FITS[name])


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("split", [0.0, 0.3])
def test_class_weight(loss, split):
    """It weighs the training loss and weighted metrics, not the validation."""
    ours, theirs = pair(loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
    weights = {0: 0.5, 2: 3.0}
    fit_both(ours, theirs, TARGETS[loss][0], class_weight=weights, validation_split=split)
    batch = X[:9], TARGETS[loss][0][:9]
    for model in (ours, theirs):
        model.reset_metrics()
    found = ours.train_on_batch(*batch, class_weight=weights, return_dict=True)
    expected = theirs.train_on_batch(*batch, class_weight=weights, return_dict=True)
    agree(ours, theirs, found, expected)


@pytest.mark.parametrize(
    "hidden",
    [
        {"kernel_regularizer": "l1", "bias_regularizer": "l2"},
        {"activity_regularizer": "l2", "activation": "tanh"},
        {"kernel_constraint": "max_norm", "bias_constraint": "non_neg"},
        {"kernel_constraint": "unit_norm", "use_bias": False},
    ],
)
def test_regularizers_and_constraints(hidden):
    ours, theirs = pair("mse", "momentum", hidden=hidden)
    fit_both(ours, theirs, Y, validation_split=0.3, sample_weight=W)


def batches(endless=True):
    while True:
        for start in range(0, 60, BATCH):
            yield X[start : start + BATCH], Y[start : start + BATCH]
        if not endless:
            return


def test_generators():
    ours, theirs = pair(optimizer="adam")
    found, expected = (
        m.fit(batches(), epochs=2, steps_per_epoch=4, verbose=0, shuffle=False)
        for m in (ours, theirs)
    )
    agree(ours, theirs, found.history, expected.history)
    a, b = (m.evaluate(batches(False), verbose=0) for m in (ours, theirs))
    np.testing.assert_allclose(a, b, rtol=1e-4)
    a, b = (m.predict(batches(), steps=3, verbose=0) for m in (ours, theirs))
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert a.shape == (30, 3)


def test_frozen_layers_do_not_change():
    ours, theirs = pair(optimizer="adam")
    for k, model in ((gpunn, ours), (keras, theirs)):
        model.layers[0].trainable = False
        model.compile(OPTIMIZERS["adam"](k), "mse", metrics=["mae"])
    before = ours.get_weights()
    fit_both(ours, theirs, Y)
    for i in (0, 1):
        np.testing.assert_array_equal(ours.get_weights()[i], before[i])
    assert not np.array_equal(ours.get_weights()[2], before[2])


@pytest.mark.parametrize("metrics", [[], ["mae"], ["mae", "mse"]])
def test_types_of_the_results(metrics):
    """A number with the loss alone, a list with metrics, a dict when asked for one."""
    ours, theirs = pair(metrics=metrics)
    calls = {
        "evaluate": {"verbose": 0},
        "train_on_batch": {},
        "test_on_batch": {},
    }
    for method, options in calls.items():
        for extra in ({}, {"return_dict": True}, {"sample_weight": W}):
            for model in (ours, theirs):
                model.reset_metrics()
            found, expected = (getattr(m, method)(X, Y, **options, **extra) for m in (ours, theirs))
            if isinstance(expected, dict):
                assert set(found) == set(expected)
                assert all(type(v) is float for v in found.values())
                found = [found[key] for key in expected]
                expected = list(expected.values())
            assert isinstance(found, list) == isinstance(expected, (list, tuple))
            np.testing.assert_allclose(found, expected, rtol=1e-4)
    for method in ("predict", "predict_on_batch"):
        options = {"verbose": 0} if method == "predict" else {}
        found, expected = (getattr(m, method)(X, **options) for m in (ours, theirs))
        assert type(found) is np.ndarray and found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_train_on_batch_counts_each_batch_alone():
    ours, theirs = pair(optimizer="adam")
    for step in range(3):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        found = ours.train_on_batch(X[rows], Y[rows], return_dict=True)
        expected = theirs.train_on_batch(X[rows], Y[rows], return_dict=True)
        agree(ours, theirs, found, expected)


@pytest.mark.parametrize(
    "given",
    [
        {"metrics": ["mae"], "weighted_metrics": ["mae"]},
        {"metrics": ["mae"], "weighted_metrics": ["mse"]},
        {"metrics": [], "weighted_metrics": ["mean_absolute_error"]},
    ],
)
def test_weighted_metrics_and_their_names(given):
    ours, theirs = pair(**given)
    fit_both(ours, theirs, Y, sample_weight=W, validation_data=VALIDATION)


def test_metric_objects_functions_and_names():
    def mean_gap(y_true, y_pred):
        return abs(y_true - y_pred)

    found = []
    for k in (gpunn, keras):
        model = build(k, "mse")
        if found:
            model.set_weights(weights)  # noqa: F821
        weights = model.get_weights()  # noqa: F841
        model.compile(
            "sgd", k.losses.MeanSquaredError(),
            metrics=[k.metrics.MeanAbsoluteError(name="gap"), mean_gap, "mse"],
        )  # fmt: skip
        found.append(model.fit(X, Y, epochs=2, shuffle=False, verbose=0).history)
    assert set(found[0]) == set(found[1])
    for key, values in found[1].items():
        np.testing.assert_allclose(found[0][key], values, rtol=1e-4)


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
def test_targets_with_and_without_the_last_axis(shape, loss):
    y = RNG.integers(0, 2, N).reshape(shape)
    results = []
    for k in (gpunn, keras):
        model = k.Sequential([k.Input((6,)), k.layers.Dense(1, "sigmoid")])
        model.set_weights([np.linspace(-1, 1, 6, dtype="float32")[:, None], np.zeros(1, "float32")])
        model.compile("sgd", loss, metrics=["accuracy"])
        results.append(model.fit(X, y, epochs=2, shuffle=False, verbose=0).history)
    for key, values in results[1].items():
        np.testing.assert_allclose(results[0][key], values, rtol=1e-4)


def heard(k, steps, dataset):
    """What a data set, its batches and a callback hear of a fit, evaluate and predict."""
    said = []
    x = np.arange(10, dtype="float32").reshape(10, 1)

    class Data(k.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, i):
            said.append(f"batch {i}")
            return x[2 * i : 2 * i + 2], x[2 * i : 2 * i + 2]

        def on_epoch_begin(self):
            said.append("begin")

        def on_epoch_end(self):
            said.append("end after evaluate" if said[-1] == "evaluate" else "end")

    class Listener(k.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 0:
                said.clear()  # Keras looks at a first batch to build the model
            said.append(f"epoch {epoch}")

        def on_train_batch_end(self, batch, logs=None):
            said.append(f"step {batch}")

    model = k.Sequential([k.Input((1,)), k.layers.Dense(1)])
    model.compile("sgd", "mse")
    data = {"x": Data()} if dataset else {"x": x, "y": x, "batch_size": 2}
    model.fit(
        **data, steps_per_epoch=steps, epochs=4, verbose=0, callbacks=[Listener()], shuffle=False
    )
    said.append("evaluate")
    if dataset:
        model.evaluate(Data(), verbose=0, steps=2)
        model.predict(Data(), verbose=0, steps=2)
    return said


@pytest.mark.parametrize("dataset", [False, True])
@pytest.mark.parametrize("steps", [None, 3, 5, 7])
@pytest.mark.filterwarnings("ignore:.*ran out of data", "ignore:The data ran out")
def test_epochs_of_so_many_steps(steps, dataset):
    ours, theirs = heard(gpunn, steps, dataset), heard(keras, steps, dataset)
    if dataset:  # Keras says it once more when it builds the iterator of `evaluate`
        theirs.remove("end after evaluate")
    assert ours == theirs


def test_an_epoch_that_is_too_short_says_so():
    model = gpunn.Sequential([gpunn.Input((1,)), gpunn.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="had 2 batches, not steps_per_epoch=3. Give more data"):
        model.fit(np.ones((4, 1)), np.ones((4, 1)), batch_size=2, steps_per_epoch=3, verbose=0)


# --- a fit that is stopped, with `use_ema`: the averages become the weights all the same ---


def stopped(model, k, error, hook, number):
    """The weights (gpunn's) at the call of a hook that raises an error, and those afterwards."""
    calls, seen = count(), []

    def stop(*_, **__):
        if next(calls) == number:
            seen.extend(model.get_weights() if k is gpunn else [])  # Keras lends its own to JAX
            raise error("stop")

    options = {"batch_size": BATCH, "epochs": 3, "shuffle": False, "verbose": 0}
    options["callbacks"] = [k.callbacks.LambdaCallback(**{hook: stop})]
    with pytest.raises(error):
        model.fit(X, Y, validation_data=VALIDATION[:2], **options)
    return seen, model.get_weights()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize(
    ("optimizer", "hook", "number", "updates"),  # an epoch has 7 steps
    [
        ("sgd_ema", "on_train_batch_end", 2, 3),
        ("sgd_ema", "on_train_batch_begin", 9, 9),
        ("adam_ema", "on_train_batch_end", 9, 10),
        ("adam_ema", "on_epoch_end", 1, 14),
        ("adam_ema", "on_test_batch_begin", 0, 7),
        ("accumulating_ema", "on_train_batch_end", 8, 2),
    ],
)
def test_a_stopped_fit_leaves_the_averages_in_the_model(error, optimizer, hook, number, updates):
    ours, theirs = pair(optimizer=optimizer)
    before, after = stopped(ours, gpunn, error, hook, number)
    stopped(theirs, keras, error, hook, number)
    agree(ours, theirs)
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations) == updates
    for a, b in zip(before, after, strict=True):
        assert not np.allclose(a, b, rtol=1e-3)
    losses = ours.fit(X, Y, epochs=2, shuffle=False, verbose=0).history["loss"]  # it goes on
    assert losses[1] < losses[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin"])
def test_before_the_first_step_there_are_no_averages(error, hook):
    """The weights stay. From the first epoch on, Keras makes them zeros."""
    ours, theirs = pair(optimizer="sgd_ema")
    given = ours.get_weights()
    before, after = stopped(ours, gpunn, error, hook, 0)
    _, zeros = stopped(theirs, keras, error, hook, 0)
    for a, b, c, d in zip(given, before, after, zeros, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(d, a if hook == "on_train_begin" else np.zeros_like(a))


def test_gradients_that_still_add_up_leave_the_weights_as_they_are():
    ours, theirs = pair(optimizer="accumulating_ema")
    given = ours.get_weights()
    _, after = stopped(ours, gpunn, KeyboardInterrupt, "on_train_batch_end", 1)
    stopped(theirs, keras, KeyboardInterrupt, "on_train_batch_end", 1)
    agree(ours, theirs)
    for a, b in zip(given, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_set_after_a_fit_outlive_one_without_a_step():
    """The averages of the fit before are not those of these weights."""
    ours, _ = pair(optimizer="sgd_ema")
    given = ours.get_weights()
    ours.fit(X, Y, shuffle=False, verbose=0)
    ours.set_weights(given)
    _, after = stopped(ours, gpunn, KeyboardInterrupt, "on_epoch_begin", 0)
    for a, b in zip(given, after, strict=True):
        np.testing.assert_array_equal(a, b)
