"""Metrics against Keras: several batches, weights, masks; and their functions."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

from gpunn import metrics, ops
from gpunn.errors import ShapeError

keras = pytest.importorskip("keras")


def numbers(*shape):
    return np.arange(1, 1 + np.prod(shape), dtype="float32").reshape(shape)


def state(metric):
    return [float(np.asarray(v)) for v in metric.variables]


def agree(ours, theirs, rtol=2e-6):
    np.testing.assert_allclose(state(ours), state(theirs), rtol=rtol, atol=1e-6)
    assert ours.result().item() == pytest.approx(float(theirs.result()), rel=rtol, abs=1e-6)


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ((4,), None), ((4, 3), None), ((), None), ((0,), None), ((4,), (4,)), ((4,), (4, 1)),
        ((4, 1), (4,)), ((4, 3), (4,)), ((4, 3), (4, 1)), ((4, 3), (4, 3)), ((4, 3), (1, 3)),
        ((4, 3, 2), (4, 3)), ((4, 3, 2), (4,)), ((4,), ()), ((4, 3), ()), ((), ()),
    ],
)  # fmt: skip
def test_values_and_weights_of_every_shape(name, values, weights):
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    for scale in (1, 3):
        w = None if weights is None else numbers(*weights) * scale
        ours.update_state(numbers(*values) / scale, w)
        theirs.update_state(numbers(*values) / scale, w)
    agree(ours, theirs)


def test_a_number_as_weight():
    """What a training loop does with the loss of a batch."""
    ours, theirs = metrics.Mean(), keras.metrics.Mean()
    for loss, batch in ((1.0, 32), (2.0, 8), (np.array([1.0, 3.0]), 0.5)):
        ours.update_state(loss, batch)
        theirs.update_state(loss, batch)
    agree(ours, theirs)


RNG = np.random.default_rng(0)
P = RNG.uniform(0.02, 1, (3, 6, 4)).astype("float32")
P /= P.sum(-1, keepdims=True)
LABELS = RNG.integers(0, 4, (3, 6))
ONE_HOT = np.eye(4, dtype="float32")[LABELS]
Y = (RNG.uniform(0, 1, (3, 6, 4)) > 0.5).astype("float32")
CASES = [
    ("MeanSquaredError", {}, Y),
    ("MeanAbsoluteError", {}, Y),
    ("RootMeanSquaredError", {}, Y),
    ("Accuracy", {}, np.round(P * 4) / 4),
    ("BinaryAccuracy", {"threshold": 0.3}, Y),
    ("CategoricalAccuracy", {}, ONE_HOT),
    ("SparseCategoricalAccuracy", {}, LABELS),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, LABELS),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, Y),
    ("BinaryCrossentropy", {"from_logits": True}, Y),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, ONE_HOT),
    ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT),
    ("SparseCategoricalCrossentropy", {}, LABELS),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS),
]


def pair(name, options):
    return getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)


def predictions(name):
    return np.round(P * 4) / 4 if name == "Accuracy" else P


@pytest.mark.parametrize(("name", "options", "y_true"), CASES)
@pytest.mark.parametrize("weights", [None, (6,), (6, 1)])
def test_batches(name, options, y_true, weights):
    ours, theirs = pair(name, options)
    for t, y, size in zip(y_true, predictions(name), (6, 6, 2)):
        w = None if weights is None else numbers(*weights)[:size]
        for metric in (ours, theirs):
            metric.update_state(t[:size], y[:size], w)
    agree(ours, theirs)
    ours.reset_state()
    assert state(ours) == [0, 0] and ours.result().item() == 0


@pytest.mark.parametrize(("name", "options", "y_true"), CASES)
@pytest.mark.parametrize("weights", [None, (3, 6), (3, 1)])
def test_sequences_with_masks(name, options, y_true, weights):
    ours, theirs = pair(name, options)
    mask = RNG.uniform(0, 1, (3, 6)) > 0.4
    y, w = predictions(name), None if weights is None else numbers(*weights)
    x, k = ops.convert_to_tensor(y), keras.ops.convert_to_tensor(y)
    x._keras_mask, k._keras_mask = ops.convert_to_tensor(mask), keras.ops.convert_to_tensor(mask)
    ours.update_state(y_true, x, w)
    if name == "RootMeanSquaredError":  # Keras' own forgets the mask: the root of its mean
        theirs = keras.metrics.MeanSquaredError()
    theirs.update_state(y_true, k, w)
    if name == "RootMeanSquaredError":
        assert ours.result().item() ** 2 == pytest.approx(float(theirs.result()), rel=1e-5)
    else:
        agree(ours, theirs, rtol=1e-5)


def test_masked_samples_with_one_weight_each():
    """Keras fails on it; by hand: values 1 to 6, weights 1 and 10 of the two samples."""
    y = ops.convert_to_tensor(numbers(2, 3))
    y._keras_mask = ops.convert_to_tensor([[True, True, False], [False, False, True]])
    metric = metrics.MeanMetricWrapper(lambda t, p: p)
    metric.update_state(numbers(2, 3), y, np.array([1.0, 10.0]))
    assert metric.result().item() == pytest.approx((1 + 2 + 10 * 6) / 12)


def test_masked_values_do_not_count_even_as_nan():
    y = ops.convert_to_tensor(np.array([0.5, np.nan], "float32"))
    y._keras_mask = ops.convert_to_tensor([True, False])
    metric = metrics.MeanMetricWrapper(lambda t, p: p)
    metric.update_state([0.0, 0.0], y)
    assert metric.result().item() == 0.5


def test_everything_masked_is_zero():
    y = ops.convert_to_tensor(numbers(3))
    y._keras_mask = ops.convert_to_tensor(np.zeros(3, bool))
    metric = metrics.MeanMetricWrapper(lambda t, p: p)
    assert metric(numbers(3), y).item() == 0


def test_ignored_classes_do_not_count():
    """As in the loss (Keras' metric divides by their number, too)."""
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    metric.update_state([0, -1, 1], [[0.5, 0.5]] * 3)
    assert metric.result().item() == pytest.approx(np.log(2), rel=1e-6)


FUNCTIONS = [
    ("binary_accuracy", (4,), (4,)),
    ("binary_accuracy", (4, 3), (4, 3)),
    ("categorical_accuracy", (5, 4), (5, 4)),
    ("categorical_accuracy", (2, 5, 4), (2, 5, 4)),
    ("sparse_categorical_accuracy", (5,), (5, 4)),
    ("sparse_categorical_accuracy", (5, 1), (5, 4)),
    ("sparse_categorical_accuracy", (2, 5), (2, 5, 4)),
    ("sparse_categorical_accuracy", (2, 5, 1), (2, 5, 4)),
    ("top_k_categorical_accuracy", (5, 4), (5, 4)),
    ("sparse_top_k_categorical_accuracy", (5,), (5, 4)),
    ("sparse_top_k_categorical_accuracy", (2, 5), (2, 5, 4)),
]


@pytest.mark.parametrize(("name", "true", "pred"), FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_functions(name, true, pred, dtype):
    """Scores are rounded, so that there are ties."""
    rng = np.random.default_rng(1)
    y_true = rng.integers(0, 2 if "binary" in name else 4, true).astype("float32")
    y_pred = (rng.integers(0, 6, pred) / 5).astype(dtype)
    options = [{"k": k} for k in (1, 2, 4, 9)] if "top_k" in name else [{}]
    for option in options:
        found = getattr(metrics, name)(y_true, y_pred, **option)
        expected = getattr(keras.metrics, name)(y_true, y_pred, **option)
        assert found.dtype == "float32"
        np.testing.assert_array_equal(found.numpy(), np.asarray(expected))


def test_top_k_of_sorted_ids():
    y_true, ids = np.array([0, 1, 4]), np.array([[3, 0, 1], [2, 0, 1], [4, 1, 2]])
    for k in (1, 2, 3):
        options = {"k": k, "from_sorted_ids": True}
        found = metrics.sparse_top_k_categorical_accuracy(y_true, ids, **options).numpy()
        expected = [label in row[:k] for label, row in zip(y_true, ids)]
        np.testing.assert_array_equal(found, expected)
    metric = metrics.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True)
    assert metric(y_true, ids).item() == pytest.approx(2 / 3)


def test_nan_never_hits():
    scores = np.array([[np.nan, 1, 2], [0, np.nan, 1], [2, 1, np.nan]], "float32")
    labels = np.array([0, 0, 0])
    assert not metrics.sparse_categorical_accuracy(labels, scores).numpy().any()
    found = metrics.sparse_top_k_categorical_accuracy([0, 2, 0], scores, k=2).numpy()
    np.testing.assert_array_equal(found, [0, 1, 1])  # the NaN stands before the label


def test_labels_without_a_class_never_hit():
    scores = np.array([[0.1, 0.9], [0.9, 0.1]], "float32")
    for function in (
        metrics.sparse_categorical_accuracy,
        metrics.sparse_top_k_categorical_accuracy,
    ):
        assert not function([2, -1], scores).numpy().any()


def test_predictions_in_other_layouts():
    scores = np.asfortranarray(np.array([[0.1, 0.9, 0.3], [0.9, 0.1, 0.3]], "float32"))
    labels = np.array([[1, 7], [1, 7]])[:, 0]
    np.testing.assert_array_equal(
        metrics.sparse_categorical_accuracy(labels, scores).numpy(), [1, 0]
    )


ERRORS = [
    ("Accuracy", (3,), (3, 2), r"accuracy: y_true and y_pred differ.*\(3,\), y_pred \(3, 2\)"),
    ("BinaryAccuracy", (3, 2), (3, 3), r"binary_accuracy: y_true and y_pred differ in shape"),
    ("CategoricalAccuracy", (3,), (3, 2), r"categorical_accuracy: y_true and y_pred differ"),
    ("SparseCategoricalAccuracy", (4,), (3, 2), r"sparse_categorical_accuracy: y_true does not"),
    ("SparseCategoricalAccuracy", (3, 2), (3, 2), r"one-hot\? Then use categorical_accuracy"),
    ("SparseCategoricalAccuracy", (3,), (3, 0), r"there are no classes \(scores \(3, 0\)\)"),
    ("RootMeanSquaredError", (3, 2), (3, 3), r"root_mean_squared_error: y_true and y_pred differ"),
    ("MeanSquaredError", (3, 2), (3, 3), r"mean_squared_error: y_true and y_pred differ"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "true", "pred", "message"), ERRORS)
def test_shapes_that_do_not_fit(name, true, pred, message):
    with pytest.raises(ShapeError, match=message):
        getattr(metrics, name)().update_state(np.zeros(true), np.zeros(pred))


@pytest.mark.parametrize(("values", "weights"), [((4, 3), (3,)), ((4,), (4, 3)), ((4, 3), (2, 3))])
def test_weights_that_do_not_fit(values, weights):
    message = rf"mean: sample_weight does not fit the values \(sample_weight \({weights[0]},"
    with pytest.raises(ShapeError, match=message + ".*or of their first axes"):
        metrics.Mean().update_state(numbers(*values), numbers(*weights))
