"""What does not fit is refused: clearly, by gpunn, and before anything has changed."""

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.errors import DeviceError, DTypeError, GpunnError, ShapeError

X = np.random.default_rng(1).standard_normal((12, 4)).astype("float32")
LABELS = np.arange(12) % 3
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
TARGET = X[:, :3]


def made(loss="mse", **options):
    model = gpunn.Sequential(
        [layers.Input((4,)), layers.Dense(5, "relu"), layers.Dropout(0.5), layers.Dense(3)]
    )
    last = (
        gpunn.losses.SparseCategoricalCrossentropy(from_logits=True) if loss == "sparse" else loss
    )
    model.compile(gpunn.optimizers.Adam(0.1), last, **{"metrics": ["mae"], **options})
    return model


def all_variables(model):
    """Weights, seeds, optimizer and metrics."""
    return model.variables + model.optimizer.variables + model.metrics_variables


def state(model):
    return [v.numpy() for v in all_variables(model)]


def refused(model, act, error, message, counts=True):
    """`act` raises, and the model is what it was before; without `counts`, but for its metrics
    and random counters, which a batch has moved that was seen to be wrong only in its step."""
    labels = getattr(model.loss, "takes_labels", False) or "sparse" in str(model.loss)
    target = LABELS if labels else TARGET
    model.train_on_batch(X, target)  # something to lose: built, with slots and counts
    before = state(model)
    with pytest.raises(error, match=message):
        act(model)
    after = state(model)
    if not counts:
        kept = len(model.weights) + len(model.optimizer.variables)
        variables = [*model.weights, *model.optimizer.variables]
        before = [b for b, v in zip(before, all_variables(model)) if any(v is w for w in variables)]
        after = [v.numpy() for v in all_variables(model) if any(v is w for w in variables)]
        assert len(after) == kept
    assert len(before) == len(after)
    for a, b in zip(before, after):
        np.testing.assert_array_equal(a, b)
    model.fit(X, target, verbose=0)  # it goes on


RAGGED = [[1.0, 2.0, 3.0, 4.0], [1.0]]
OBJECTS = np.array([[1, None, 2, 3]] * 12, dtype=object)
TEXT = np.array([["a", "b", "c", "d"]] * 12)
FIT = {
    "features": (lambda m: m.fit(X[:, :3], TARGET), ShapeError, r"axis -?1 .*length 4, found 3"),
    "rank": (lambda m: m.fit(X[..., None, None], TARGET), ShapeError, "ndim=2, found ndim=4"),
    "one sample": (lambda m: m.fit(X[0], X[0]), ShapeError, "ndim=2, found ndim=1"),
    "lengths": (lambda m: m.fit(X, TARGET[:5]), ValueError, "received x: 12, y: 5"),
    "weights": (
        lambda m: m.fit(X, TARGET, sample_weight=np.ones(3)),
        ValueError, "x: 12, y: 12, sample_weight: 3",
    ),
    "weight shape": (
        lambda m: m.fit(X, TARGET, sample_weight=np.ones((12, 7))), ShapeError, "sample_weight",
    ),
    "target shape": (lambda m: m.fit(X, X), ShapeError, "y_true and y_pred differ in shape"),
    "empty": (lambda m: m.fit(X[:0], TARGET[:0]), ValueError, "x has 0 samples"),
    "scalar": (lambda m: m.fit(np.float32(3), TARGET), ValueError, "must have a batch axis"),
    "x None": (lambda m: m.fit(None, TARGET), ValueError, "x is None"),
    "x missing": (lambda m: m.fit(), ValueError, "x is None"),
    "y missing": (lambda m: m.fit(X), ValueError, "no targets. Give y"),
    "number": (lambda m: m.fit(3, TARGET), ValueError, r"x is 3 \(int\): give arrays"),
    "text": (lambda m: m.fit("digits.csv", TARGET), ValueError, r"x is 'digits.csv' \(str\)"),
    "objects": (lambda m: m.fit(OBJECTS, TARGET), DTypeError, "dtype object"),
    "strings": (lambda m: m.fit(TEXT, TARGET), DTypeError, "<U1"),
    "ragged": (lambda m: m.fit(RAGGED, TARGET[:2]), DTypeError, "Pad its rows"),
    "string targets": (lambda m: m.fit(X, TEXT), DTypeError, "<U1"),
    "complex": (lambda m: m.fit(X * 1j, TARGET), DTypeError, "Complex numbers"),
    "two inputs": (
        lambda m: m.fit([X, X], TARGET), ValueError, "takes one tensor, received a list of 2",
    ),
    "a dict": (lambda m: m.fit({"x": X}, TARGET), ValueError, "received a dict of 1"),
    "batch_size": (lambda m: m.fit(X, TARGET, batch_size=-1), ValueError, "positive integer"),
    "batch_size 0": (lambda m: m.fit(X, TARGET, batch_size=0), ValueError, "received 0"),
    "batch_size 2.5": (lambda m: m.fit(X, TARGET, batch_size=2.5), ValueError, "received 2.5"),
    "epochs": (lambda m: m.fit(X, TARGET, epochs=-1), ValueError, "epochs must be"),
    "epochs text": (lambda m: m.fit(X, TARGET, epochs="3"), ValueError, "epochs .*received '3'"),
    "initial_epoch": (
        lambda m: m.fit(X, TARGET, initial_epoch=0.5), ValueError, "initial_epoch must be",
    ),
    "steps": (
        lambda m: m.fit(X, TARGET, steps_per_epoch=0), ValueError, "steps_per_epoch must be",
    ),
    "validation_steps": (
        lambda m: m.fit(X, TARGET, validation_data=(X, TARGET), validation_steps=-2),
        ValueError, "validation_steps must be",
    ),
    "validation_freq": (
        lambda m: m.fit(X, TARGET, validation_freq=0), ValueError, "validation_freq must be",
    ),
    "split": (lambda m: m.fit(X, TARGET, validation_split=1.5), ValueError, "between 0 and 1"),
    "negative split": (lambda m: m.fit(X, TARGET, validation_split=-0.1), ValueError, "between 0"),
    "split too small": (
        lambda m: m.fit(X[:1], TARGET[:1], validation_split=0.5), ValueError, "one side empty",
    ),
    "validation shape": (
        lambda m: m.fit(X, TARGET, validation_data=(X, X)), ShapeError, "differ in shape",
    ),
    "validation features": (
        lambda m: m.fit(X, TARGET, validation_data=(X[:, :2], TARGET)), ShapeError, "found 2",
    ),
    "validation without y": (
        lambda m: m.fit(X, TARGET, validation_data=X), ValueError, "no targets",
    ),
    "validation of four": (
        lambda m: m.fit(X, TARGET, validation_data=(X, TARGET, None, X)), ValueError,
        "validation_data",
    ),
    "class_weight": (
        lambda m: m.fit(X, LABELS, class_weight="balanced"), ValueError, "must be a dict",
    ),
    "both weights": (
        lambda m: m.fit(X, TARGET, class_weight={0: 1.0}, sample_weight=np.ones(12)),
        ValueError, "not both",
    ),
    "iterable and y": (lambda m: m.fit(iter([(X, TARGET)]), TARGET), ValueError, "in its tuples"),
    "batches of four": (
        lambda m: m.fit(iter([(X, TARGET, None, None)])), ValueError, "received 4 elements",
    ),
    "no batch": (lambda m: m.fit(iter([])), ValueError, "The data gave no batch"),
    "split of batches": (
        lambda m: m.fit(iter([(X, TARGET)]), validation_split=0.2), ValueError, "needs arrays",
    ),
    "unknown argument": (lambda m: m.fit(X, TARGET, epoch=3), TypeError, "epoch"),
}  # fmt: skip


@pytest.mark.parametrize("name", FIT)
def test_fit(name):
    act, error, message = FIT[name]
    refused(made(), act, error, message, counts=name not in ("batches of four", "no batch"))


LABEL_PLACES = {
    "fit": lambda m, y: m.fit(X, y, batch_size=2),
    "validation": lambda m, y: m.fit(X, LABELS, validation_data=(X, y)),
    "batches": lambda m, y: m.fit(iter([(X, y)])),
    "evaluate": lambda m, y: m.evaluate(X, y),
    "train_on_batch": lambda m, y: m.train_on_batch(X, y),
    "test_on_batch": lambda m, y: m.test_on_batch(X, y),
}
LABEL_CASES = {
    "too high": (np.where(LABELS == 2, 7, LABELS), "found label 7, but the output has 3 classes"),
    "negative": (LABELS - 1, "found label -1"),
    "from one": (LABELS + 1, "Do they start at 1"),
    "fraction": (LABELS + 0.5, "must be whole numbers"),
    "nan": (np.where(LABELS == 2, np.nan, LABELS), "labels are NaN"),
}


@pytest.mark.parametrize("name", LABEL_CASES)
@pytest.mark.parametrize("where", LABEL_PLACES)
def test_labels_out_of_range(name, where):
    y, message = LABEL_CASES[name]
    model = made("sparse", metrics=["accuracy"])
    act = LABEL_PLACES[where]
    refused(model, lambda m: act(m, y), ValueError, message, counts=where != "batches")


def test_float_labels_and_a_column_of_labels_are_fine():
    results = []
    for y in (
        LABELS,
        LABELS.astype("float64"),
        LABELS[:, None],
        list(LABELS),
        LABELS.astype("uint8"),
    ):
        gpunn.utils.set_random_seed(1)
        model = made("sparse", metrics=["accuracy"])
        results.append(model.fit(X, y, verbose=0).history)
    assert all(r == results[0] for r in results)


OTHERS = {
    "evaluate": (lambda m: m.evaluate(X[:, :2], TARGET), ShapeError, "found 2"),
    "evaluate y": (lambda m: m.evaluate(X, TARGET[:3]), ValueError, "x: 12, y: 3"),
    "predict": (lambda m: m.predict(X[:, :2]), ShapeError, "found 2"),
    "predict nothing": (lambda m: m.predict(X[:0]), ValueError, "0 samples"),
    "predict None": (lambda m: m.predict(None), ValueError, "x is None"),
    "train_on_batch": (lambda m: m.train_on_batch(X[:, :2], TARGET), ShapeError, "found 2"),
    "train_on_batch y": (lambda m: m.train_on_batch(X, X), ShapeError, "differ in shape"),
    "train_on_batch no y": (lambda m: m.train_on_batch(X), ValueError, "no targets"),
    "train_on_batch weights": (
        lambda m: m.train_on_batch(X, TARGET, class_weight=3), ValueError, "must be a dict",
    ),
    "predict_on_batch": (lambda m: m.predict_on_batch(X[:, :2]), ShapeError, "found 2"),
    "call": (lambda m: m(X[:, :2]), ShapeError, "found 2"),
    "set_weights": (lambda m: m.set_weights(m.get_weights()[:-1]), ValueError, "has 4 weights"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_methods(name):
    act, error, message = OTHERS[name]
    refused(made(), act, error, message, counts=name not in ("train_on_batch", "train_on_batch y"))


def test_a_metric_that_does_not_fit_stops_before_the_update():
    model = made(metrics=["accuracy"])
    model.compile("sgd", lambda y_true, y_pred: gpunn.ops.mean(y_pred**2), metrics=["mse"])
    before = model.get_weights()
    with pytest.raises((ShapeError, ValueError), match="shape"):
        model.train_on_batch(X, np.ones((12, 7), "float32"))
    for a, b in zip(model.get_weights(), before):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_before_compile(method):
    model = gpunn.Sequential([layers.Input((4,)), layers.Dense(3)])
    with pytest.raises(GpunnError, match=rf"{method}\(\) needs a compiled model.*compile"):
        getattr(model, method)(X, TARGET)


def test_predict_needs_neither_compile_nor_build():
    model = gpunn.Sequential([layers.Dense(3)])
    assert model.predict(X, verbose=0).shape == (12, 3)
    assert gpunn.Sequential([layers.Dense(3)]).predict_on_batch(X).shape == (12, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adan"}, "Did you mean 'adam'"),
        ({"loss": "msee"}, "Did you mean 'mse'"),
        ({"loss": ["mse", "mae"]}, "The model has 1 outputs .*received 2 for loss"),
        ({"loss": {"a": "mse"}}, "loss has the key 'a', but the outputs are"),
        ({"loss": 3}, "Cannot interpret 3"),
        ({"metrics": ["accurcy"]}, "Did you mean 'accuracy'"),
        ({"metrics": {"a": "mae"}}, "metrics has the key 'a', but the outputs are"),
        ({"weighted_metrics": {"a": "mae"}}, "weighted_metrics has the key 'a'"),
        ({"loss_weights": {"a": 1.0}}, "loss_weights has the key 'a'"),
        ({"weighted_metrics": ["accurcy"]}, "Did you mean 'accuracy'"),
        ({"metrics": [3]}, "Cannot interpret 3"),
    ],
)
def test_compile_refuses_and_keeps_what_was_there(options, message):
    model = made()
    before = model.optimizer, model.loss, model.metrics
    with pytest.raises(ValueError, match=message):
        model.compile(**{"loss": "mse", **options})
    assert (model.optimizer, model.loss, model.metrics) == before


def test_nothing_to_minimize():
    model = gpunn.Sequential([layers.Input((4,)), layers.Dense(3)])
    model.compile("sgd")
    with pytest.raises(ValueError, match="Nothing to minimize.*compile\\(loss"):
        model.fit(X, TARGET, verbose=0)


def test_a_loss_that_no_weight_reaches():
    model = made()
    model.compile("sgd", lambda y_true, y_pred: gpunn.ops.mean(y_true))
    before = model.get_weights()
    with pytest.raises(ValueError, match="No gradients provided"):
        model.fit(X, TARGET, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_devices():
    with pytest.raises(ValueError, match="device.*'gpuu'"):
        gpunn.device("gpuu")


def test_a_model_of_the_cpu_on_the_gpu(simulated_gpu):
    model = made()
    before = model.get_weights()
    with gpunn.device("gpu:0"), pytest.raises(DeviceError, match="cpu"):
        model.fit(X, TARGET, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.fit(X, TARGET, verbose=0)


def test_a_generator_that_runs_out_ends_training_with_a_warning():
    model = made()
    with pytest.warns(UserWarning, match="ran out of batches"):
        history = model.fit(((X, TARGET) for _ in range(3)), epochs=4, verbose=0)
    assert history.epoch == [0] and len(history.history["loss"]) == 1


def test_a_generator_goes_on_where_the_last_evaluation_stopped():
    parts = iter([(X[:2], TARGET[:2]), (X[2:4], TARGET[2:4]), (X[4:6], TARGET[4:6])])
    endless, model = (part for part in parts), made()
    model.fit(X, TARGET, epochs=2, validation_data=endless, validation_steps=1, verbose=0)
    rest = model.evaluate(endless, verbose=0)
    np.testing.assert_allclose(rest, model.evaluate(X[4:6], TARGET[4:6], verbose=0), rtol=1e-5)


def test_a_list_of_one_input_is_the_input():
    assert made().fit([X], TARGET, verbose=0).epoch == [0]


def test_epochs_0_does_nothing():
    model = made()
    before = model.get_weights()
    assert model.fit(X, TARGET, epochs=0, verbose=0).history == {}
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.fit(X, LABELS, class_weight={"a": 1.0}), "class_weight must give each label"),
        (lambda m: m.fit(X, LABELS, class_weight={0: None}), "class_weight must give each label"),
        (lambda m: m.fit(X, LABELS, class_weight={-1: 1.0}), "class_weight must give each label"),
        (lambda m: m.fit(X, LABELS, shuffle="yes"), "shuffle must be True or False"),
        (
            lambda m: m.fit(X, LABELS, validation_split="a"),
            "validation_split must lie between 0 and 1",
        ),
        (lambda m: m.fit(X, {"a": LABELS}), "y has the key 'a', but the outputs are"),
        (lambda m: m.set_weights(None), "set_weights takes a list of arrays, received NoneType"),
        (lambda m: m.compile(metrics={"mae"}), "metrics must be names, metrics or functions"),
        (lambda m: m.compile(metrics=["mae", {"mse"}]), "metrics must be names, metrics or funct"),
        (lambda m: gpunn.layers.Dense(3, input_shape=4), r"Write input_shape=\(4,\)"),
        (lambda m: gpunn.layers.Dense(3, use_bias="no"), "Dense: use_bias must be True or False"),
        (lambda m: gpunn.layers.LSTM(3, use_bias=None), "use_bias must be True or False"),
        (lambda m: gpunn.layers.Conv1D(3, 3, use_bias=1), "Conv1D: use_bias must be True or False"),
        (lambda m: m.compile("sgd", "mse", run_eagerly="no"), "run_eagerly must be True or False"),
        (
            lambda m: m.compile("sgd", "mse", jit_compile=X),
            'jit_compile must be "auto", True or Fa',
        ),
        (lambda m: m.predict_on_batch(None), "x is None: give arrays"),
        (lambda m: m.train_on_batch(None, LABELS), "x is None: give arrays"),
        (lambda m: m.fit(lambda: X, LABELS), r"\(function\): give arrays.*call the function"),
        (lambda m: m.fit(X, LABELS, validation_data=[X] * 4), r"received a list of 4"),
        (lambda m: gpunn.Sequential(3), r"Sequential takes a list of layers, received 3 \(int\)"),
        (lambda m: gpunn.Sequential("ab"), "Sequential takes a list of layers, received 'ab'"),
        (lambda m: gpunn.layers.Dense(3)([X, X]), "takes one tensor, received a list of 2"),
        (lambda m: gpunn.layers.Dense(3)({"a": X}), "takes one tensor, received a dict of 1"),
        (lambda m: gpunn.layers.Concatenate()([X, None]), r"merges a list .*\(12, 4\), None"),
        (
            lambda m: gpunn.config.set_epsilon("a"),
            "epsilon must be a positive number, received 'a'",
        ),
        (lambda m: gpunn.config.set_epsilon(None), "epsilon must be a positive number"),
    ],
)
def test_mistakes_of_newcomers_are_named_and_change_nothing(call, message):
    refused(made("sparse", metrics=[]), call, ValueError, message)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.set_weights(["a"] * len(m.weights)), r"received 'a' \(str\)"),
        (lambda m: m.fit(X, lambda: LABELS), r"\(function\)\. Give a number, an array or a list"),
        (lambda m: m.fit(X, "labels.csv"), r"received 'labels.csv' \(str\)"),
        (lambda m: m.train_on_batch(iter([X]), LABELS), r"\(list_iterator\)\. Give a number"),
        (lambda m: m.fit(X, [None] * 12), "one element is None.*Missing values"),
        (lambda m: gpunn.metrics.Mean().update_state(None), "received None"),
    ],
)
def test_what_are_no_numbers(call, message):
    refused(made("sparse", metrics=[]), call, DTypeError, message)


def test_validation_data_as_a_list_as_in_keras():
    model = made()
    logs = [
        model.fit(X, TARGET, validation_data=given, verbose=0).history["val_loss"]
        for given in ([X, TARGET], (X, TARGET))
    ]
    assert np.isfinite(logs).all() and len(logs[0]) == 1


class Forgetful(layers.Layer):
    """Its call() forgets to return."""

    def call(self, x):
        gpunn.ops.sum(x)


def test_a_call_that_returns_nothing():
    class Model(gpunn.Model):
        def call(self, x):
            gpunn.ops.sum(x)

    model = Model()
    model.compile("sgd", "mse")
    for act in (lambda: model.fit(X, TARGET, verbose=0), lambda: model.predict(X, verbose=0)):
        with pytest.raises(ValueError, match=r"model's call\(\) returned None\. It must return"):
            act()
    for layer in (layers.Dense(2), layers.Flatten()):
        with pytest.raises(ValueError, match=r"received None\. Does the call\(\) of the layer bef"):
            layer(Forgetful()(gpunn.Input((3,))))


@pytest.mark.parametrize("result", [None, 3.0, [1.0]])
@pytest.mark.parametrize("method", ["train_step", "test_step"])
def test_a_step_of_ones_own_returns_a_dict(method, result):
    own = type("Own", (gpunn.Sequential,), {method: lambda self, data: result})
    model = own([layers.Input((4,)), layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(
        ValueError, match=rf"{method}\(\) of .* must return a dict of logs, received"
    ):
        (model.fit if method == "train_step" else model.evaluate)(X, TARGET, verbose=0)


def test_a_loss_computed_by_numpy():
    class Model(gpunn.Sequential):
        def call(self, x, **options):
            return super().call(x, **options).numpy()

    model = Model([layers.Input((4,)), layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="No gradients provided.*NumPy's functions"):
        model.fit(X, TARGET, verbose=0)


@pytest.mark.parametrize("result", [None, 3.0])
def test_a_loss_that_returns_no_tensor(result):
    model = gpunn.Sequential([gpunn.Input((X.shape[1],)), gpunn.layers.Dense(4)])
    model.compile("sgd", lambda y_true, y_pred: result)
    with pytest.raises(ValueError, match=rf"returned {result}\. It must return a tensor"):
        model.fit(X, LABELS, verbose=0)


def test_sources_of_a_gradient_keep_their_structure():
    v = gpunn.Variable([1.0, 2.0])
    with gpunn.GradientTape(persistent=True) as tape:
        loss = gpunn.ops.sum(v * v)
    found = tape.gradient(loss, {"v": v})
    np.testing.assert_array_equal(found["v"].numpy(), [2, 4])
    with pytest.raises(TypeError, match="sources must be a tensor, or a list, tuple or dict"):
        tape.gradient(loss, "v")
