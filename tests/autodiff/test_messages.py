"""What tapes, tensors and declarations of ops say about what they cannot take."""

from __future__ import annotations

import numpy as np
import pytest

import gpunn
from gpunn import GradientTape, Variable, ops
from gpunn.autodiff.arguments import parameters_of
from gpunn.autodiff.op import registry
from gpunn.errors import ShapeError, SymbolicError

X = np.ones((2, 3), "float32")


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda t, v, y: t.gradient([y, y], v), TypeError, r"\[Tensor of shape \(\), Tensor .*Sum"),
        (lambda t, v, y: t.gradient(None, v), TypeError, "target must be one tensor .*None"),
        (lambda t, v, y: t.gradient(3.0, v), TypeError, "target must be .*received 3.0"),
        (lambda t, v, y: t.gradient(y, None), TypeError, "gradient: sources must be .*received No"),
        (lambda t, v, y: t.gradient(y, v, [1.0]), ShapeError, r"has shape \(1,\), the target \(\)"),
        (lambda t, v, y: t.watch(None), TypeError, "watch: what is watched must be a tensor"),
        (lambda t, v, y: t.watch(X), TypeError, r"ndarray of shape \(2, 3\)\. Make tensors"),
        (lambda t, v, y: t.watch([X]), TypeError, "watch: what is watched must be a tensor"),
    ],
)
def test_tapes(act, error, message):
    v = Variable([1.0, 2.0])
    with GradientTape() as tape:
        y = ops.sum(v * v)
    with pytest.raises(error, match=message):
        act(tape, v, y)
    assert tape.gradient(y, v).tolist() == [2, 4]  # the tape is as it was


def test_output_gradients_may_be_numbers_and_lists():
    v = Variable([1.0, 2.0])
    with GradientTape(persistent=True) as tape:
        squares = v * v
        total = ops.sum(squares)
    assert tape.gradient(total, v, 3.0).tolist() == [6, 12]
    assert tape.gradient(squares, v, [1.0, 0.5]).tolist() == [2, 2]


def test_watch_takes_a_dict():
    x = ops.convert_to_tensor([3.0])
    with GradientTape() as tape:
        tape.watch({"x": x})
        y = x * x
    assert tape.gradient(y, x).tolist() == [6]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: gpunn.grad(3), "grad takes a function.*received 3 and argnums=0"),
        (lambda: gpunn.grad(ops.sum, "x"), "grad takes a function.*argnums='x'"),
        (lambda: gpunn.grad(ops.sum, 3)(X), r"argnums=3, but .* with 1 positional argument\(s\)"),
        (lambda: gpunn.grad(ops.sum)(x=X), r"with 0 positional argument\(s\).*not by keyword"),
    ],
)
def test_grad(act, message):
    with pytest.raises(TypeError, match=message):
        act()


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (float, TypeError, r"Only a tensor of one element is a number, .* shape \(3,\)"),
        (int, TypeError, "Only a tensor of one element"),
        (bool, ValueError, "Only a tensor of one element .* ops.any"),
        (lambda t: t.item(), ValueError, "Only a tensor of one element"),
        (lambda t: f"{t:.2f}", ValueError, "Only a tensor of one element"),
        (lambda t: "abc"[t], TypeError, "Only a tensor of one element"),
        (
            lambda t: t + None,
            TypeError,
            "for \\+: 'Tensor' and 'NoneType'",
        ),
        (lambda t: None * t, TypeError, "'NoneType' and 'Tensor'"),
        (lambda t: t - "a", TypeError, "for -: 'Tensor' and 'str'"),
        (lambda t: list(t[0]), TypeError, r"shape \(\) has no parts"),
    ],
)
def test_tensors(act, error, message):
    with pytest.raises(error, match=message):
        act(ops.ones(3))


def test_a_tensor_of_one_element_is_a_number():
    one = ops.convert_to_tensor([2.0])
    assert float(one) == 2.0 and int(one) == 2 and one.item() == 2.0 and f"{one:.1f}" == "2.0"
    assert "abc"[ops.convert_to_tensor(2)] == "c"


def test_numpys_functions_of_a_symbolic_tensor():
    x = gpunn.Input((3,))
    assert np.shape(x) == (None, 3) and np.ndim(x) == 2
    for function in (np.sum, np.max, np.exp):
        with pytest.raises(SymbolicError, match="is symbolic.*Use functions of gpunn.ops"):
            function(x)
    with pytest.raises(TypeError, match="'SymbolicTensor' and 'NoneType'"):
        x + None


def test_every_op_says_which_parameters_are_inputs():
    assert parameters_of(registry["add"].__wrapped__) == (2, ("x1", "x2"))
    assert parameters_of(registry["relu"].__wrapped__)[0] == 1
    for call in registry.values():
        assert parameters_of(call.__wrapped__)[0] > 0


def test_what_is_no_declaration_of_an_op():
    def annotated(x: Array, y: Array | None, axis: Any, rate: float = 0.0): ...  # noqa: F821
    def bare(x, y, axis=-1): ...
    def all_any(x: Any, axis: Any): ...  # noqa: F821
    def mixed(axis: int, x: Array): ...  # noqa: F821

    assert parameters_of(annotated) == (2, ("x", "y", "axis", "rate"))
    assert parameters_of(bare) == (2, ("x", "y", "axis"))
    for function in (all_any, mixed):
        with pytest.raises(TypeError, match=f"{function.__name__}: an op takes its inputs first"):
            parameters_of(function)
