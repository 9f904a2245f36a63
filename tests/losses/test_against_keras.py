"""All losses against Keras: values, weights, masks, dtypes, gradients, configs."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import itertools

import numpy as np
import pytest

import gpunn
from gpunn import losses, ops
from gpunn.errors import ShapeError
from gpunn.losses.reduction import REDUCTIONS
from tests.losses.catalogue import CASES, LABELS, LOSSES, NAMES, OVERLAP, data, function
from tests.losses.keras_process import KerasProcess

keras = pytest.importorskip("keras")
jax = pytest.importorskip("jax")

MASK = np.array([True, False, True, True])
WEIGHTS = np.array([0.5, 2.0, 0.25, 1.5], "float32")
# JAX takes seconds to compile CTC; `test_gradients.py` has it, and all options.
DIFFERENTIATED = [(name, LOSSES[name][3][0]) for name in NAMES if name != "CTC"]
DIFFERENTIATED += [case for case in CASES if "from_logits" in case[1]]


@pytest.fixture(scope="module")
def theirs():
    process = KerasProcess()
    yield process
    process.close()


def close(ours, expected, rtol=1e-5):
    expected = np.asarray(expected)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours.numpy(), expected, rtol=rtol, atol=rtol / 5)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_functions(theirs, name, options):
    for shape in (
        [(4, 3)] if name in ("Circle", "CTC") else [(4, 3), (1, 3), (2, 5, 3), (2, 2, 3, 3)]
    ):
        y_true, y_pred = data(name, shape, seed=len(shape), options=options)
        expected = theirs(LOSSES[name][0], y_true, y_pred, **options)
        close(function(name)(y_true, y_pred, **options), expected)


@pytest.mark.parametrize("name", ["CosineSimilarity", "BinaryFocalCrossentropy"])
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_other_axes(theirs, name, axis):
    y_true, y_pred = data(name, (4, 2, 3))
    moved = (np.moveaxis(v, axis, -1) for v in (y_true, y_pred))  # Keras on NumPy fails on axis 0
    expected = theirs(LOSSES[name][0], *moved)
    close(function(name)(y_true, y_pred, axis=axis), expected)


def test_other_axes_of_classes(theirs):
    """Keras weighs and smooths along the last axis whatever `axis` is; moved, it is the oracle."""
    y_true, y_pred = data("CategoricalFocalCrossentropy", (4, 2, 3))
    options = {"alpha": [0.1, 0.2, 0.3], "label_smoothing": 0.3}
    expected = theirs("categorical_focal_crossentropy", y_true, y_pred, **options)
    moved = (np.moveaxis(v, -1, 1) for v in (y_true, y_pred))
    close(losses.categorical_focal_crossentropy(*moved, axis=1, **options), expected)


def compare_reductions(theirs, name, options):
    y_true, y_pred = data(name)
    x = ops.convert_to_tensor(y_pred)
    for mask, w, reduction in itertools.product((None, MASK), (None, WEIGHTS), REDUCTIONS):
        x._keras_mask = None if mask is None else ops.convert_to_tensor(mask)
        options = {**options, "reduction": reduction}
        close(
            getattr(losses, name)(**options)(y_true, x, w),
            theirs(name, y_true, y_pred, w, mask=mask, **options),
        )


@pytest.mark.parametrize("name", NAMES)
def test_weights_masks_and_reductions(theirs, name):
    compare_reductions(theirs, name, {"axis": -1} if name in OVERLAP else {})


@pytest.mark.parametrize("name", OVERLAP)
def test_one_loss_of_all_rows(theirs, name):
    """Weights and a mask of rows, where the rows are summed."""
    compare_reductions(theirs, name, {})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_dtypes(theirs, name, dtype):
    """Of float32 in Keras, whose half precision has NaNs where 1 - ε is 1."""
    y_true, y_pred = data(name, dtype=dtype)
    options = {"q": 0.5} if "Generalized" in name else {}
    found = function(name)(y_true, y_pred, **options)
    assert found.dtype == dtype
    t, x = data(name)
    rtol = 2e-2 if dtype == "float16" else 1e-5
    expected = theirs(LOSSES[name][0], t, x, **options)
    np.testing.assert_allclose(found.numpy(), expected, rtol=rtol, atol=rtol / 5)


@pytest.mark.parametrize(("name", "options"), DIFFERENTIATED)
def test_gradients(name, options):
    """Through the class, with weights."""
    rows = {"axis": -1} if name in OVERLAP else {}
    y_true, y_pred = data(name, seed=5, options=options)
    loss = getattr(keras.losses, name)(**options, **rows)
    value, expected = jax.value_and_grad(lambda x: loss(y_true, x, WEIGHTS))(y_pred)
    x = gpunn.Variable(y_pred)
    with gpunn.GradientTape() as tape:
        ours = getattr(losses, name)(**options, **rows)(y_true, x, WEIGHTS)
    assert ours.item() == pytest.approx(float(value), rel=1e-5)
    close(tape.gradient(ours, x), expected, rtol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_configs_of_one_make_the_other(name):
    """Ours has all options: Keras forgets delta and some axes."""
    ours, keras_loss = getattr(losses, name)(), getattr(keras.losses, name)()
    config = keras_loss.get_config()
    assert config == {k: v for k, v in ours.get_config().items() if k in config}
    assert set(ours.get_config()) - set(config) <= {"delta", "axis"}
    assert type(ours).from_config(config) == ours
    assert type(keras_loss).from_config(ours.get_config()).get_config() == config


# --- what each does in a special way ---


@pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("targets", [[[0, 1], [1, 1]], [[0, 1], [1, -1]], [[0, 0.5], [1, 1]]])
def test_targets_of_0_and_1(theirs, name, targets):
    """They stand for -1 and 1 if there are no others."""
    t, x = np.float32(targets), np.float32([[0.3, -0.4], [2.0, 0.5]])
    close(getattr(losses, name)(t, x), theirs(name, t, x))


SPECIAL = [
    ("mean_absolute_percentage_error", [[0.0, -2.0]], [[1.0, 1.0]]),
    ("mean_squared_logarithmic_error", [[-2.0, 4.0, 0.0]], [[1.0, -0.5, 0.0]]),
    ("kl_divergence", [[0.0, 0.5, 2.0]], [[0.3, 0.0, 0.1]]),
    ("poisson", [[0.0, 0.5, 2.0]], [[0.3, 0.0, 0.1]]),
    ("log_cosh", [[0.0, 500.0, -500.0]], [[0.3, 0.0, 0.0]]),
    ("categorical_hinge", [[-1.0, 1.0, -1.0]], [[0.3, -0.4, 2.0]]),
    ("dice", [[0.0, 0.0]], [[0.0, 0.0]]),
    ("dice", [[1e-7, 0.0]], [[1e-7, 1e-6]]),
    ("tversky", [[0.0, 0.0]], [[0.0, 0.0]]),
    ("tversky", [[1e-7, 0.0]], [[1.0, 1e-6]]),
    ("categorical_focal_crossentropy", [[0.0, 1.0]], [[2.0, 0.0]]),
    ("binary_focal_crossentropy", [[0.0, 1.0]], [[1.0, 0.0]]),
]


@pytest.mark.parametrize(("name", "y_true", "y_pred"), SPECIAL)
def test_extremes(theirs, name, y_true, y_pred):
    y_true, y_pred = np.float32(y_true), np.float32(y_pred)
    close(getattr(losses, name)(y_true, y_pred), theirs(name, y_true, y_pred))


def test_cosine_of_short_vectors():
    """Norms are at least ε. (Keras on NumPy has a smaller ε here.)"""
    t, x = np.float32([[0, 0], [1e-8, 0]]), np.float32([[0.3, 0], [1e-8, 0]])
    close(losses.cosine_similarity(t, x), keras.losses.cosine_similarity(t, x))


@pytest.mark.parametrize("name", ["BinaryFocalCrossentropy", "CategoricalFocalCrossentropy"])
def test_extreme_logits_are_clipped(theirs, name):
    y_true, y_pred = data(name)
    y_pred = 40 * (y_pred - 0.4)
    expected = theirs(LOSSES[name][0], y_true, y_pred, from_logits=True)
    close(function(name)(y_true, y_pred, from_logits=True), expected)


def test_generalized_entropy_of_certainties(theirs):
    labels, p = np.array([0, 1, 2]), np.float32([[0.3, 0.5, 0.3], [2, 0, 1], [0.1, 0.2, 2]])
    ours = losses.categorical_generalized_cross_entropy(labels, p, 0.5)
    close(ours, theirs("categorical_generalized_cross_entropy", labels, p, 0.5))
    wrong = losses.categorical_generalized_cross_entropy([0, 3, -1], p, 0.5).numpy()
    assert np.isfinite(wrong[0]) and np.isnan(wrong[1:]).all()


def unit_rows(n, seed):
    x = np.random.default_rng(seed).normal(size=(n, 4)).astype("float32")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("remove_diagonal", [True, False])
def test_circle_with_references(theirs, remove_diagonal):
    labels, references = np.array([0, 1, 0, 2, 1, 1]), np.array([0, 1, 5, 2, 2])
    given = labels, unit_rows(6, 3), references, unit_rows(5, 4), remove_diagonal, 9.0
    close(losses.circle(*given), theirs("circle", *given))


def test_circle_of_rows_that_are_too_long(theirs):
    """Similarities above 1 count as 1."""
    labels, x = np.array([0, 1, 0, 2, 1, 1]), 2 * unit_rows(6, 3)
    close(losses.circle(labels, x, gamma=2.0), theirs("circle", labels, x, gamma=2.0))


@pytest.mark.parametrize("labels", [[0, 1, 0, 2], [1, 1, 1, 1], [0, 1, 2, 3], [0, 0, 0, 1]])
def test_circle_masks_rows_without_a_partner(theirs, labels):
    labels, x = np.array(labels), unit_rows(4, 5)
    for w in (None, WEIGHTS):
        close(losses.Circle()(labels, x, w), theirs("Circle", labels, x, w))


def test_circle_keeps_large_labels_apart():
    x = np.float32([[1, 0], [0, 1], [0.6, 0.8]])
    found = losses.Circle(gamma=1.0)(np.array([2**24, 2**24 + 1, 2**24 + 1]), x)
    assert found.item() == pytest.approx(losses.Circle(gamma=1.0)([0, 1, 1], x).item())


def test_circle_refuses_shapes_that_do_not_fit():
    x = np.eye(3, dtype="float32")
    for arguments, message in (
        ((np.zeros((3, 3), int), np.zeros((3, 3, 2))), r"y_pred must have shape \(rows, n\)"),
        (([0, 1, 2], x, None, np.eye(2)), r"as many columns as y_pred \(ref_embeddings \(2, 2\)"),
        (([0, 1, 2], x, [0, 1]), r"one label each \(labels \(2,\), embeddings \(3, 3\)\)"),
        (([0, 1, 2], x, None, x[:2]), r"Give ref_labels and ref_embeddings together"),
        (([0, 1], x), r"circle: y_true does not fit y_pred \(y_true \(2,\), y_pred \(3, 3\)"),
    ):
        with pytest.raises(ShapeError, match=message):
            losses.circle(*arguments)


def test_one_alpha_for_each_class():
    y_true, y_pred = data("CategoricalFocalCrossentropy")
    message = "categorical_focal_crossentropy: alpha has 2 numbers, but there are 3 classes"
    with pytest.raises(ValueError, match=message):
        losses.categorical_focal_crossentropy(y_true, y_pred, alpha=[0.5, 0.5])


@pytest.mark.parametrize("name", [n for n in NAMES if n not in LABELS])
def test_shapes_that_differ(name):
    fn = LOSSES[name][0]
    message = rf"{fn}: y_true and y_pred differ in shape \(y_true \(3, 2\), y_pred \(3, 4\)\)"
    with pytest.raises(ShapeError, match=message):
        function(name)(np.zeros((3, 2)), np.zeros((3, 4)))
