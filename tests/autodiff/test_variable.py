"""Variables: creation, names, assignment, what is watched."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import GradientTape, Variable, naming, ops
from gpunn.autodiff.variable import name_scope
from gpunn.errors import ShapeError


def test_from_values():
    v = Variable([[1, 2.5]], name="w")
    assert (v.shape, v.dtype, v.name, v.path, v.trainable) == ((1, 2), "float32", "w", "w", True)
    assert (
        Variable(np.ones(2)).dtype == "float64"
        and Variable(np.ones(2), dtype="float16").dtype == "float16"
    )


def test_the_values_are_its_own():
    values = np.ones(3, "float32")
    v = Variable(values)
    values[0] = 9
    assert v.tolist() == [1, 1, 1]


def test_from_an_initializer():
    v = Variable(lambda shape, dtype: np.full(shape, 2, dtype), shape=(2, 3), dtype="float64")
    assert v.dtype == "float64" and v.tolist() == [[2] * 3] * 2 and v.initializer is not None
    with pytest.raises(ValueError, match=r"Variable: a callable initializer needs a shape"):
        Variable(lambda shape, dtype: 0)
    with pytest.raises(ShapeError, match=r"the initial value has shape \(2,\), not \(3,\)"):
        Variable([1.0, 2.0], shape=(3,))


def test_names_and_scopes():
    naming.reset_names()
    assert [Variable(0.0).name for _ in range(3)] == ["variable", "variable_1", "variable_2"]
    with name_scope("outer"), name_scope("inner"):
        v = Variable(0.0, name="v")
    assert v.path == "outer/inner/v" and Variable(0.0, name="v").path == "v"
    with pytest.raises(ZeroDivisionError), name_scope("broken"):
        raise ZeroDivisionError
    assert Variable(0.0, name="v").path == "v"
    assert repr(v) == "<Variable path=outer/inner/v shape=() dtype=float32 cpu value=0.>"
    assert repr(Variable(np.zeros(99))).endswith("value=[0., 0., 0., ..., 0., 0., 0.]>")


def test_assignment_is_in_place():
    v = Variable([1.0, 2.0])
    array = v.data
    assert v.assign([3, 4]) is v and v.tolist() == [3, 4]
    assert v.assign_add(1).tolist() == [4, 5] and v.assign_sub([1.0, 0.5]).tolist() == [3, 4.5]
    assert v.data is array and v.dtype == "float32"
    v.assign(np.array([1.25, 2.0], "float64"))
    assert v.dtype == "float32" and v.tolist() == [1.25, 2]
    w = Variable([7.0, 7.0])
    assert v.assign(w).tolist() == [7, 7] and not np.shares_memory(v.data, w.data)
    with pytest.raises(
        ShapeError, match=r"cannot assign values of shape \(3,\) to a variable of shape"
    ):
        v.assign(np.ones(3))


def test_numpy_is_a_copy():
    """Weights are compared before and after training."""
    v = Variable([1.0, 2.0])
    before, array = v.numpy(), np.asarray(v)
    v.assign([5.0, 6.0])
    assert before.tolist() == array.tolist() == [1, 2]


def test_trainable_decides_what_is_watched():
    v = Variable([1.0], trainable=False)
    assert not v.tracked
    v.trainable = True
    assert v.tracked
    with GradientTape() as tape:
        y = v * 2.0
    assert tape.gradient(y, v).tolist() == [2]
    assert not Variable([1], dtype="int32").tracked
    assert not Variable([True], dtype="bool").tracked


def test_rebinding_keeps_the_values():
    v, flat = Variable([[1.0, 2.0], [3.0, 4.0]]), np.zeros(6, "float32")
    v.rebind(flat[1:5].reshape(2, 2))
    assert flat.tolist() == [0, 1, 2, 3, 4, 0]
    v.assign_add(1)
    assert flat.tolist() == [0, 2, 3, 4, 5, 0] and np.shares_memory(v.data, flat)


def test_variables_are_tensors():
    v = Variable([[1.0, 2.0]])
    assert (v + 1).tolist() == [[2, 3]] and (v @ v.T).tolist() == [[5]] and v[0, 1].item() == 2
    assert ops.convert_to_tensor(v) is v and v.value.tolist() == [[1, 2]] and float(v.sum()) == 3
