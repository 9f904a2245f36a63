"""Regularizers: values and gradients against Keras and differences, names, configs, errors."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from gpunn import ops, regularizers
from gpunn.autodiff.tape import grad
from gpunn.errors import ShapeError

W = np.random.default_rng(0).normal(0, 1, (5, 3))
REGULARIZERS = [
    ("L1", {"l1": 0.3}),
    ("L2", {"l2": 0.2}),
    ("L1L2", {"l1": 0.3, "l2": 0.2}),
    ("L1L2", {"l1": 0.0, "l2": 0.0}),
    ("OrthogonalRegularizer", {"factor": 0.7, "mode": "rows"}),
    ("OrthogonalRegularizer", {"factor": 0.7, "mode": "columns"}),
]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.mark.parametrize(("name", "options"), REGULARIZERS)
def test_values_are_those_of_keras(name, options, keras):
    x = W.astype(np.float32)
    penalty = getattr(regularizers, name)(**options)(x)
    assert (penalty.shape, penalty.dtype) == ((), "float32")
    expected = float(getattr(keras.regularizers, name)(**options)(keras.ops.convert_to_tensor(x)))
    assert penalty.item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_values_by_hand():
    x = np.array([[1.0, -2.0], [0.0, 3.0]])
    assert regularizers.L1(0.1)(x).item() == pytest.approx(0.6)
    assert regularizers.L2(0.1)(x).item() == pytest.approx(1.4)
    assert regularizers.L1L2(0.1, 0.2)(x).item() == pytest.approx(0.6 + 2.8)
    # The only pair of rows has the cosine -2/√5.
    cosine = regularizers.OrthogonalRegularizer(0.5)(x).item()
    assert cosine == pytest.approx(0.5 * 2 / np.sqrt(5))


@pytest.mark.parametrize(("name", "options"), REGULARIZERS)
def test_gradients_are_those_of_differences(name, options):
    regularizer = getattr(regularizers, name)(**options)
    found = grad(regularizer)(W).numpy()
    h = 1e-6
    for i in np.ndindex(W.shape):
        up, down = W.copy(), W.copy()
        up[i] += h
        down[i] -= h
        slope = (regularizer(up).item() - regularizer(down).item()) / (2 * h)
        assert found[i] == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_orthogonal_rows_cost_nothing_and_parallel_ones_the_factor():
    regularizer = regularizers.OrthogonalRegularizer(0.3)
    assert regularizer(2 * np.eye(4)).item() == pytest.approx(0, abs=1e-12)
    assert regularizer(np.outer([1.0, -2.0, 3.0], [0.6, 0.8])).item() == pytest.approx(0.3)
    assert regularizer(np.ones((1, 4))).item() == pytest.approx(0, abs=1e-12)


def test_a_row_of_zeros_has_a_finite_gradient():
    x = np.array([[0.0, 0.0], [1.0, 2.0]], np.float32)
    gradient = grad(regularizers.OrthogonalRegularizer())(x).numpy()
    assert np.isfinite(gradient).all()


def test_half_precision_stays_half():
    assert regularizers.L2()(np.ones((3, 3), np.float16)).dtype == "float16"


def test_own_regularizers():
    class Fourth(regularizers.Regularizer):
        def __init__(self, scale=2.0):
            self.scale = scale

        def __call__(self, x):
            return self.scale * ops.sum(x**4)

        def get_config(self):
            return {"scale": self.scale}

    assert Fourth()(ops.convert_to_tensor([1.0, 2.0])).item() == 34
    config = regularizers.serialize(Fourth(3.0))
    assert config == {"class_name": "Fourth", "config": {"scale": 3.0}}
    assert regularizers.deserialize(config, {"Fourth": Fourth}) == Fourth(3.0)
    with pytest.raises(ValueError, match="Unknown regularizer: 'Fourth'"):
        regularizers.deserialize(config)


# --- names and configs ---------------------------------------------------------------------------


def test_the_module_has_what_keras_has(keras):
    for name in (n for n in dir(keras.regularizers) if n[0] != "_"):
        theirs, ours = getattr(keras.regularizers, name), getattr(regularizers, name)
        if inspect.isclass(theirs):
            parameters = inspect.signature(theirs).parameters
            assert list(inspect.signature(ours).parameters) == list(parameters)
            for p in parameters.values():
                assert inspect.signature(ours).parameters[p.name].default == p.default


@pytest.mark.parametrize(("name", "options"), REGULARIZERS)
def test_configs_round_trip_and_are_those_of_keras(name, options, keras):
    regularizer = getattr(regularizers, name)(**options)
    theirs = getattr(keras.regularizers, name)(**options).get_config()
    assert regularizer.get_config() == {  # Keras gives some of the numbers in float32
        k: v if isinstance(v, str) else pytest.approx(v, rel=1e-6) for k, v in theirs.items()
    }
    copy = regularizers.deserialize(regularizers.serialize(regularizer))
    assert copy == regularizer and copy is not regularizer


def test_get():
    assert regularizers.get(None) is None
    for name, cls in {
        "l1": regularizers.L1,
        "L2": regularizers.L2,
        "l1_l2": regularizers.L1L2,
        "l1l2": regularizers.L1L2,
        "orthogonal_regularizer": regularizers.OrthogonalRegularizer,
    }.items():
        assert type(regularizers.get(name)) is cls
    assert regularizers.get(regularizers.L2) == regularizers.L2()
    regularizer = regularizers.L1(0.5)
    assert regularizers.get(regularizer) is regularizer
    assert regularizers.get({"class_name": "L1", "config": {"l1": 0.5}}) == regularizer
    assert regularizers.get(len) is len


def test_none_means_the_default():
    assert regularizers.L1(None) == regularizers.L1(0.01)
    assert regularizers.L2(None) == regularizers.L2(0.01)
    assert regularizers.L1L2(None, None) == regularizers.L1L2(0, 0)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "a", True])
@pytest.mark.parametrize("name", ["l1", "l2", "factor"])
def test_factors_are_checked(name, value):
    cls = {"l1": regularizers.L1, "l2": regularizers.L2}.get(
        name, regularizers.OrthogonalRegularizer
    )
    with pytest.raises(
        ValueError, match=f"^{name} must be a finite, non-negative number, received"
    ):
        cls(**{name: value})


def test_errors():
    with pytest.raises(ValueError, match=r"Unknown mode: 'row'\. Did you mean 'rows'"):
        regularizers.OrthogonalRegularizer(mode="row")
    with pytest.raises(
        ShapeError, match=r"OrthogonalRegularizer: x must be a matrix \(x \(2, 3, 4\)\)"
    ):
        regularizers.OrthogonalRegularizer()(np.ones((2, 3, 4)))
    with pytest.raises(NotImplementedError, match="Regularizer does not say what its penalty is"):
        regularizers.Regularizer()(np.ones(3))
    with pytest.raises(ValueError, match=r"Unknown regularizer: 'l1_12'\. Did you mean 'l1_l2'"):
        regularizers.get("l1_12")
    with pytest.raises(ValueError, match=r"Cannot interpret 0\.1 as regularizer"):
        regularizers.get(0.1)
