"""Constraints: values against Keras, what they promise, names, configs, errors."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from gpunn import config, constraints, ops
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError

RNG = np.random.default_rng(0)
W = RNG.normal(0, 1.5, (4, 6)).astype(np.float32)
KERNEL = RNG.normal(0, 0.5, (3, 3, 2, 5)).astype(np.float32)
CONSTRAINTS = [
    ("MaxNorm", {"max_value": 2}),
    ("MaxNorm", {"max_value": 1.5, "axis": 1}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.5}),
    ("MinMaxNorm", {"min_value": 2.0, "max_value": 2.5, "rate": 0.3, "axis": 1}),
]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.mark.parametrize(("name", "options"), CONSTRAINTS)
def test_values_are_those_of_keras(name, options, keras):
    ours = getattr(constraints, name)(**options)(ops.convert_to_tensor(W))
    assert (ours.shape, ours.dtype) == (W.shape, "float32")
    theirs = getattr(keras.constraints, name)(**options)(W)
    np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("axis", [(0, 1, 2), [0, 1, 2]])
@pytest.mark.parametrize("name", ["MaxNorm", "UnitNorm", "MinMaxNorm"])
def test_norms_over_several_axes(name, axis, keras):
    ours = getattr(constraints, name)(axis=axis)(KERNEL).numpy()
    theirs = np.asarray(getattr(keras.constraints, name)(axis=axis)(KERNEL))
    np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-7)


def norms(w, axis=0):
    return np.sqrt((np.asarray(w) ** 2).sum(axis))


def test_what_they_promise():
    before = norms(W)
    assert (before > 2).any() and (before < 3).any()
    assert norms(constraints.MaxNorm(2.0)(W)).max() <= 2 + 1e-6
    short = before < 2
    np.testing.assert_allclose(
        constraints.MaxNorm(2.0)(W).numpy()[:, short], W[:, short], rtol=1e-6
    )
    np.testing.assert_allclose(norms(constraints.UnitNorm()(W)), 1, rtol=1e-6)
    bounded = norms(constraints.MinMaxNorm(2.0, 3.0)(W))
    np.testing.assert_allclose(bounded, np.clip(before, 2, 3), rtol=1e-6)
    halfway = norms(constraints.MinMaxNorm(2.0, 3.0, rate=0.5)(W))
    np.testing.assert_allclose(halfway, (before + np.clip(before, 2, 3)) / 2, rtol=1e-6)
    assert (constraints.NonNeg()(W).numpy() == np.where(W > 0, W, 0)).all()
    assert constraints.Constraint()(W) is W


@pytest.mark.parametrize(("name", "options"), CONSTRAINTS)
def test_zeros_stay_finite(name, options):
    assert (getattr(constraints, name)(**options)(np.zeros((4, 6))).numpy() == 0).all()


def test_epsilon_is_the_configured_one():
    config.set_epsilon(1.0)
    np.testing.assert_allclose(constraints.UnitNorm()(np.array([[3.0]])).numpy(), [[0.75]])


def test_a_variable_is_put_back_in_place():
    weight = Variable(W, name="kernel")
    with no_grad():
        weight.assign(constraints.MaxNorm(1.0)(weight))
    assert norms(weight).max() <= 1 + 1e-6


# --- names and configs ---------------------------------------------------------------------------


def test_the_module_has_what_keras_has(keras):
    for name in (n for n in dir(keras.constraints) if n[0] != "_"):
        theirs, ours = getattr(keras.constraints, name), getattr(constraints, name)
        if inspect.isclass(theirs):
            parameters = inspect.signature(theirs).parameters
            assert list(inspect.signature(ours).parameters) == list(parameters)
            for p in parameters.values():
                assert inspect.signature(ours).parameters[p.name].default == p.default


@pytest.mark.parametrize(
    ("name", "options"), [*CONSTRAINTS, ("MaxNorm", {"axis": (0, 1, 2)}), ("Constraint", {})]
)
def test_configs_round_trip_and_are_those_of_keras(name, options, keras):
    constraint = getattr(constraints, name)(**options)
    assert constraint.get_config() == getattr(keras.constraints, name)(**options).get_config()
    copy = constraints.deserialize(constraints.serialize(constraint))
    assert copy == constraint and copy is not constraint


def test_get():
    assert constraints.get(None) is None
    for name, cls in {
        "max_norm": constraints.MaxNorm,
        "NonNeg": constraints.NonNeg,
        "unit_norm": constraints.UnitNorm,
        "min_max_norm": constraints.MinMaxNorm,
    }.items():
        assert type(constraints.get(name)) is cls
    assert constraints.get(constraints.MaxNorm) == constraints.MaxNorm()
    constraint = constraints.MaxNorm(3)
    assert constraints.get(constraint) is constraint
    assert constraints.get({"class_name": "MaxNorm", "config": {"max_value": 3}}) == constraint
    assert constraints.get(abs) is abs


def test_own_constraints_come_back_by_custom_objects():
    class Clipped(constraints.Constraint):
        def __call__(self, w):
            return ops.clip(w, -1.0, 1.0)

    description = constraints.serialize(Clipped())
    assert constraints.deserialize(description, {"Clipped": Clipped}) == Clipped()
    with pytest.raises(ValueError, match="Unknown constraint: 'Clipped'"):
        constraints.deserialize(description)


def test_errors():
    with pytest.raises(ValueError, match="MaxNorm: max_value must not be negative, received -1"):
        constraints.MaxNorm(-1)
    for low, high in ((2, 1), (-1, 1)):
        with pytest.raises(
            ValueError, match=f"0 <= min_value <= max_value must hold.*={low}, .*={high}"
        ):
            constraints.MinMaxNorm(low, high)
    with pytest.raises(ShapeError, match=r"sum: axis 2 does not exist in 2 dimension"):
        constraints.UnitNorm(axis=2)(W)
    with pytest.raises(
        ValueError, match=r"Unknown constraint: 'maxnorm'\. Did you mean 'max_norm'"
    ):
        constraints.get("maxnorm")
    with pytest.raises(ValueError, match="Cannot interpret 2 as constraint"):
        constraints.get(2)
