"""The loss functions against Keras: shapes, dtypes, options, extremes."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import math

import numpy as np
import pytest

from gpunn import losses, ops
from gpunn.errors import ShapeError

keras = pytest.importorskip("keras")

DENSE = (
    "mean_squared_error", "mean_absolute_error", "binary_crossentropy", "categorical_crossentropy",
)  # fmt: skip
ENTROPIES = ("binary_crossentropy", "categorical_crossentropy")
SPARSE = "sparse_categorical_crossentropy"


def probabilities(rng, *shape, dtype="float32"):
    p = rng.uniform(0.05, 1, shape)
    return (p / p.sum(-1, keepdims=True)).astype(dtype)


def compare(name, y_true, y_pred, rtol=2e-6, atol=1e-6, **options):
    ours = getattr(losses, name)(y_true, y_pred, **options).numpy()
    theirs = np.asarray(getattr(keras.losses, name)(y_true, y_pred, **options))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
    return ours


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("shape", [(4,), (4, 3), (2, 4, 3), (2, 2, 2, 3)])
def test_dense_losses(name, shape):
    rng = np.random.default_rng(0)
    compare(name, probabilities(rng, *shape), probabilities(rng, *shape))


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize(
    ("true", "pred"), [((4,), (4, 1)), ((4, 1), (4,)), ((4, 3, 1), (4, 3)), ((4, 3), (4, 3, 1))]
)
@pytest.mark.filterwarnings("ignore:.*categorical_crossentropy")
def test_a_trailing_axis_may_be_missing(name, true, pred):
    """Keras' own cross-entropies want equal shapes, so it gets them."""
    rng = np.random.default_rng(1)
    y_true = rng.integers(0, 2, true).astype("float32")
    y_pred = rng.uniform(0.1, 0.9, pred).astype("float32")
    equal = (4, 1) if len(true) + len(pred) == 3 else (4, 3)
    expected = getattr(keras.losses, name)(y_true.reshape(equal), y_pred.reshape(equal))
    found = getattr(losses, name)(y_true, y_pred).numpy()
    assert found.shape == equal[:1]
    np.testing.assert_allclose(found, np.asarray(expected), rtol=2e-6)


@pytest.mark.parametrize("name", ENTROPIES)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_options_of_cross_entropies(name, label_smoothing, from_logits, axis):
    rng = np.random.default_rng(2)
    y_true, y_pred = probabilities(rng, 3, 4, 5), probabilities(rng, 3, 4, 5)
    y_pred = np.log(y_pred) if from_logits else y_pred
    options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
    found = getattr(losses, name)(y_true, y_pred, axis=axis, **options).numpy()
    moved = [np.moveaxis(a, axis, -1) for a in (y_true, y_pred)]  # Keras smooths over axis -1 only
    expected = np.asarray(getattr(keras.losses, name)(*moved, **options))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize(
    ("true", "pred"),
    [((4,), (4, 3)), ((4, 1), (4, 3)), ((2, 4), (2, 4, 3)), ((2, 4, 1), (2, 4, 3))],
)
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float32"])
def test_sparse(true, pred, dtype, from_logits):
    rng = np.random.default_rng(3)
    compare(SPARSE, rng.integers(0, 3, true).astype(dtype), probabilities(rng, *pred),
            from_logits=from_logits)  # fmt: skip


@pytest.mark.parametrize("from_logits", [False, True])
def test_sparse_along_another_axis(from_logits):
    """Keras on JAX refuses it; the same with the axis moved is the oracle."""
    rng = np.random.default_rng(4)
    y_true, y_pred = rng.integers(0, 3, (2, 4)), probabilities(rng, 2, 4, 3)
    expected = losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits).numpy()
    moved = losses.sparse_categorical_crossentropy(
        y_true, np.moveaxis(y_pred, -1, 1), from_logits, axis=1
    )
    np.testing.assert_allclose(moved.numpy(), expected, rtol=1e-6)
    assert expected[1, 2] == pytest.approx(_sparse_by_hand(y_true[1, 2], y_pred[1, 2], from_logits))


def _sparse_by_hand(label, row, from_logits):
    weights = [math.exp(v) for v in row] if from_logits else [float(v) for v in row]
    return -math.log(weights[label] / sum(weights))


@pytest.mark.parametrize("ignore_class", [-1, 0, 255])
def test_ignored_classes(ignore_class):
    rng = np.random.default_rng(5)
    y_true, y_pred = rng.integers(0, 3, (4, 5)), probabilities(rng, 4, 5, 3)
    y_true[1, 2] = y_true[3] = ignore_class
    found = compare(SPARSE, y_true, y_pred, ignore_class=ignore_class)
    assert (found[y_true == ignore_class] == 0).all()
    ours = losses.SparseCategoricalCrossentropy(ignore_class=ignore_class)
    theirs = keras.losses.SparseCategoricalCrossentropy(ignore_class=ignore_class)
    assert ours(y_true, y_pred).item() == pytest.approx(float(theirs(y_true, y_pred)), rel=1e-6)
    everything = np.full((4, 5), ignore_class)
    assert ours(everything, y_pred).item() == 0


def test_ignored_classes_and_a_mask_on_the_predictions():
    y_pred = ops.convert_to_tensor(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], "float32"))
    for mask in ([True, False, True], [[True], [False], [True]]):
        y_pred._keras_mask = ops.convert_to_tensor(mask)
        loss = losses.SparseCategoricalCrossentropy(ignore_class=1)([0, 0, 1], y_pred)
        assert loss.item() == pytest.approx(-math.log(0.9), rel=1e-6)


@pytest.mark.parametrize("name", ENTROPIES)
def test_extreme_logits(name):
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [0, 0, 0]], "float32")
    targets = np.array([[0, 1, 0], [0, 0, 1], [0, 1, 0]], "float32")
    found = compare(name, targets, logits, from_logits=True)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("target", [0, 1, 0.3])
def test_binary_losses_are_exact_down_to_the_smallest(target):
    logits = np.linspace(-80, 80, 2001).astype("float32")
    wide = logits.astype("float64")
    exact = np.maximum(wide, 0) - wide * np.float32(target) + np.log1p(np.exp(-abs(wide)))
    targets = np.full((2001, 1), target, "float32")
    found = losses.binary_crossentropy(targets, logits[:, None], from_logits=True).numpy()
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_extreme_logits_of_labels():
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4]], "float32")
    found = compare(SPARSE, np.array([1, 2]), logits, from_logits=True)
    assert found[0] == 2e4 and found[1] == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", ENTROPIES)
def test_probabilities_of_zero_and_one(name):
    p = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], "float32")
    t = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]], "float32")
    found = compare(name, t, p, rtol=1e-5)
    assert np.isfinite(found).all()
    if name == "categorical_crossentropy":
        assert found[1] == pytest.approx(-math.log(1e-7), rel=1e-5)


def test_probabilities_of_zero_and_one_for_labels():
    p = np.array([[1, 0], [0, 1]], "float32")
    assert compare(SPARSE, np.array([0, 0]), p, rtol=1e-5)[1] == pytest.approx(16.118, rel=1e-4)


@pytest.mark.parametrize("name", ENTROPIES)
@pytest.mark.parametrize("from_logits", [False, True])
def test_half_precision_is_computed_in_single(name, from_logits):
    """Keras gives NaN for probabilities 0 and 1: 1 - 1e-7 is 1 in float16."""
    y = np.array([[1, 0, 0], [0.25, 0.5, 0.25]], "float16")
    t = np.array([[1, 0, 0], [0, 1, 0]], "float16")
    found = getattr(losses, name)(t, y, from_logits=from_logits)
    wide = getattr(losses, name)(t.astype("float32"), y.astype("float32"), from_logits=from_logits)
    assert found.dtype == "float16"
    np.testing.assert_allclose(found.numpy(), wide.numpy(), rtol=2e-3, atol=1e-6)
    sparse = losses.sparse_categorical_crossentropy([0, 1], y, from_logits=from_logits)
    assert sparse.dtype == "float16" and np.isfinite(sparse.numpy()).all()


@pytest.mark.parametrize("name", DENSE)
def test_dtypes_of_functions(name):
    rng = np.random.default_rng(6)
    t, y = rng.integers(0, 2, (4, 3)), probabilities(rng, 4, 3)
    for dtype in ("float16", "float32", "float64"):
        assert getattr(losses, name)(t, y.astype(dtype)).dtype == dtype
    assert losses.mean_squared_error(t, t + 1).dtype == "float32"
    assert losses.mean_squared_error([[1, 2]], [[3, 4]]).numpy() == 4


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32"])
def test_classes_compute_in_floatx(dtype):
    t, y = np.array([[0, 1]]).astype(dtype), np.array([[1, 1]]).astype(dtype)
    loss = losses.MeanSquaredError()(t, y)
    assert loss.dtype == "float32" and loss.item() == 0.5
    assert losses.MeanSquaredError(dtype="float64")(t, y).dtype == "float64"
    assert losses.MeanSquaredError(reduction=None)(t, y).dtype == "float32"


def test_the_epsilon_of_the_config():
    from gpunn import config

    config.set_epsilon(1e-3)
    loss = losses.categorical_crossentropy([[1.0, 0.0]], [[0.0, 1.0]])
    assert loss.numpy() == pytest.approx(-math.log(1e-3), rel=1e-5)


def test_one_class_warns():
    with pytest.warns(
        UserWarning, match=r"categorical_crossentropy: y_pred of shape \(2, 1\) has one"
    ):
        losses.categorical_crossentropy([[1.0], [1.0]], [[0.5], [0.5]])


def test_labels_without_a_class_give_nan():
    found = losses.sparse_categorical_crossentropy([0, 3, -1], np.full((3, 3), 1 / 3)).numpy()
    assert np.isfinite(found[0]) and np.isnan(found[1:]).all()


@pytest.mark.parametrize("name", DENSE)
def test_shapes_that_differ(name):
    message = rf"{name}: y_true and y_pred differ in shape \(y_true \(3, 2\), y_pred \(3, 4\)\)"
    with pytest.raises(ShapeError, match=message + ".*only a trailing axis of length 1"):
        getattr(losses, name)(np.zeros((3, 2)), np.zeros((3, 4)))
    with pytest.raises(ShapeError, match=f"{name}: y_true and y_pred differ"):
        getattr(losses, name)(np.zeros((4, 1)), np.zeros((4, 3)))  # Keras broadcasts silently


@pytest.mark.parametrize("name", DENSE)
def test_a_single_number_is_refused(name):
    with pytest.raises(ShapeError, match=rf"{name}: y_pred is one number.*shape \(1,\)"):
        getattr(losses, name)(1.0, 2.0)


def test_labels_that_do_not_fit():
    with pytest.raises(
        ShapeError, match=r"y_true \(4,\), y_pred \(3, 5\).*of shape \(3,\) or \(3, 1\)"
    ):
        losses.sparse_categorical_crossentropy(np.zeros(4, int), np.zeros((3, 5)))
    with pytest.raises(ShapeError, match=r"Is y_true one-hot\? Then use categorical_crossentropy"):
        losses.sparse_categorical_crossentropy(np.zeros((3, 5)), np.zeros((3, 5)))


@pytest.mark.parametrize("name", ENTROPIES)
def test_options_out_of_range(name):
    with pytest.raises(
        ValueError, match=rf"{name}: label_smoothing must be in \[0, 1\], received 1.5"
    ):
        getattr(losses, name)([[1.0, 0]], [[1.0, 0]], label_smoothing=1.5)
    with pytest.raises(TypeError, match=rf"{name}: axis must be an int, received \[0, 1\]"):
        getattr(losses, name)([[1.0, 0]], [[1.0, 0]], axis=[0, 1])
    with pytest.raises(ShapeError, match="axis 2 does not exist"):
        getattr(losses, name)([[1.0, 0]], [[1.0, 0]], axis=2)
