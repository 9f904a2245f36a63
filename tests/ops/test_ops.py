"""Every op: value, gradient, shape rule, symbolic use, memory layouts, no mutation."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from gpunn import GradientTape, ops
from gpunn.autodiff.op import registry
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from tests.ops.cases import CASES, load

load()
ALL = [case for cases in CASES.values() for case in cases]
DIFFERENTIABLE = [case for case in ALL if case.differentiable]
TOLERANCE = {"float32": 3e-6, "float16": 4e-3}
# Not continuous, or a draw from a state that the call changes: no central differences.
JUMPS = {"floor_divide"}
STEPS = 1e-5

every_case = pytest.mark.parametrize("case", ALL, ids=repr)
every_gradient = pytest.mark.parametrize("case", DIFFERENTIABLE, ids=repr)


def tensors(arrays):
    return [Tensor(a) if isinstance(a, np.ndarray) else a for a in arrays]


def forward_and_backward(case, arrays, seed=1):
    """The result, and the gradients for a random output gradient, which is returned too."""
    inputs = tensors(arrays)
    with GradientTape() as tape:
        tape.watch([inputs[i] for i in case.differentiable])
        y = case.call(*inputs)
    dy = np.random.default_rng(seed).normal(size=y.shape).astype(y.dtype)
    wanted = [inputs[i] for i in case.differentiable]
    gradients = tape.gradient(y, wanted, output_gradients=dy) if wanted else []
    return y, dy, gradients


def test_every_op_has_a_case():
    missing = set(registry) - set(CASES)
    assert not missing, f"add cases in tests/ops/cases_*.py for: {sorted(missing)}"
    assert not set(CASES) - set(registry), "cases of ops that do not exist"


def test_a_case_that_is_named_for_an_op_uses_it():
    """Composites are listed under the op they are made of; see that it is true."""
    for case in ALL:
        symbols = [SymbolicTensor(a.shape, a.dtype) for a in case.arrays("float32")]
        if case.op in ("getitem", "reshape") or case.label == "large":
            continue
        names = {f.__name__.strip("_") for f in functions_of(case.call(*symbols))}
        assert case.op in names, case


def functions_of(symbol):
    found, stack = set(), [symbol]
    while stack:
        node = stack.pop().node
        if node is not None:
            found.add(node.call)
            stack += [x for x in node.args if isinstance(x, SymbolicTensor)]
    return found


@every_case
def test_value_dtype_and_shape_rule(case):
    for dtype in ("float64", "float32", "float16"):
        arrays = case.arrays(dtype)
        y = case.call(*tensors(arrays))
        with np.errstate(all="ignore"):
            expected = np.asarray(
                case.oracle(
                    *[np.asarray(a, "float64") if a.dtype.kind == "f" else a for a in arrays]
                )
            )
        tolerance = case.tolerance if dtype == "float64" else TOLERANCE[dtype]
        assert y.shape == expected.shape
        assert isinstance(y.data, np.ndarray)
        scale = 1 + np.abs(np.where(np.isfinite(expected), expected, 0)).max(initial=0)
        np.testing.assert_allclose(
            y.data.astype(expected.dtype), expected, rtol=tolerance, atol=tolerance * scale
        )
        assert y.dtype == (case.result or dtype), dtype
        symbol = case.call(*[SymbolicTensor(a.shape, a.dtype) for a in arrays])
        assert (symbol.shape, symbol.dtype) == (y.shape, y.dtype)


def central_differences(case, arrays, i, dy):
    """Σ dy · ∂y/∂x for each element of input i, by (f(x + h) - f(x - h)) / 2h."""
    gradient = np.zeros(arrays[i].shape)
    for index in np.ndindex(arrays[i].shape):
        values = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[i][index] += sign * STEPS
            values.append(np.asarray(case.call(*tensors(moved)).data, "float64"))
        gradient[index] = ((values[0] - values[1]) * dy).sum() / (2 * STEPS)
    return gradient


@every_gradient
def test_gradient_equals_central_differences(case):
    arrays = case.arrays()
    before = [a.copy() for a in arrays]
    _, dy, gradients = forward_and_backward(case, [a.copy() for a in arrays])
    for i, received in zip(case.differentiable, gradients, strict=True):
        expected = central_differences(case, before, i, dy)
        if case.op in JUMPS:
            expected = np.zeros_like(expected)
        assert received.dtype == "float64"
        assert received.shape == arrays[i].shape
        np.testing.assert_allclose(received.data, expected, rtol=1e-6, atol=1e-7)


@every_gradient
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_gradients_have_the_dtype_and_shape_of_their_input(case, dtype):
    arrays = case.arrays(dtype)
    _, _, gradients = forward_and_backward(case, arrays)
    for i, received in zip(case.differentiable, gradients, strict=True):
        assert (received.dtype, received.shape) == (dtype, arrays[i].shape)


@every_gradient
def test_only_the_wanted_gradients(case):
    """Each input alone gives what it gives among others."""
    _, _, together = forward_and_backward(case, case.arrays())
    for place, i in enumerate(case.differentiable):
        inputs = tensors(case.arrays())
        with GradientTape() as tape:
            tape.watch(inputs[i])
            y = case.call(*inputs)
        dy = np.random.default_rng(1).normal(size=y.shape).astype(y.dtype)
        alone = tape.gradient(y, inputs[i], output_gradients=dy)
        np.testing.assert_array_equal(alone.data, together[place].data)


@every_case
def test_inputs_and_output_gradient_are_not_changed(case):
    """But for the state of random ops, which advances. y stays as well while gradients flow."""
    arrays = case.arrays()
    given = [a.copy() for a in arrays]
    inputs = tensors(given)
    with GradientTape() as tape:
        tape.watch([inputs[i] for i in case.differentiable])
        y = case.call(*inputs)
    y_before = y.data.copy()
    if case.differentiable:
        dy = np.random.default_rng(1).normal(size=y.shape).astype(y.dtype)
        dy_before = dy.copy()
        tape.gradient(y, [inputs[i] for i in case.differentiable], output_gradients=dy)
        np.testing.assert_array_equal(dy, dy_before)
    np.testing.assert_array_equal(y.data, y_before)
    for before, after in zip(arrays, given, strict=True):
        if before.dtype != np.uint32:
            np.testing.assert_array_equal(after, before)


def laid_out(array, layout):
    """The same values in another memory layout, as a view of a larger array."""
    if array.dtype == np.uint32 or array.ndim == 0:
        return array
    if layout == "transposed":
        return np.asfortranarray(array)
    if layout == "reversed":
        back = (slice(None, None, -1),) * array.ndim
        return np.ascontiguousarray(array[back])[(*back, ...)]
    wide = np.full([2 * n for n in array.shape], array.dtype.type(1))
    view = wide[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


@every_case
@pytest.mark.parametrize("layout", ["transposed", "reversed", "every second"])
def test_memory_layouts(case, layout):
    y, _, gradients = forward_and_backward(case, case.arrays())
    views = [laid_out(a, layout) for a in case.arrays()]
    y_of_views, _, gradients_of_views = forward_and_backward(case, views)
    np.testing.assert_allclose(y_of_views.data, y.data, rtol=1e-13, atol=1e-13)
    for of_view, plain in zip(gradients_of_views, gradients, strict=True):
        np.testing.assert_allclose(of_view.data, plain.data, rtol=1e-12, atol=1e-13)


@every_gradient
def test_a_strided_output_gradient(case):
    """What flows back may be a view: transposed, or one number broadcast with strides of 0."""
    arrays = case.arrays()
    for make in (
        lambda dy: dy.copy("F"),
        lambda dy: np.broadcast_to(dy.ravel()[:1].reshape(()), dy.shape),
    ):
        results = []
        for view in (True, False):
            inputs = tensors(case.arrays())
            with GradientTape() as tape:
                tape.watch([inputs[i] for i in case.differentiable])
                y = case.call(*inputs)
            if y.size == 0:
                return
            dy = make(np.random.default_rng(1).normal(size=y.shape))
            dy = dy if view else dy.copy()
            found = tape.backward({id(y): dy}, [inputs[i] for i in case.differentiable])
            results.append(found)
        for of_view, plain, i in zip(*results, case.differentiable, strict=True):
            assert of_view.shape == arrays[i].shape
            np.testing.assert_allclose(of_view, plain, rtol=1e-12, atol=1e-13)


def evaluate(symbol, values):
    """Run the calls that lead to a symbolic tensor on the tensors given for its inputs."""
    if not isinstance(symbol, SymbolicTensor):
        return symbol
    node = symbol.node
    if node is None:
        return values[id(symbol)]
    out = node.call(*[evaluate(x, values) for x in node.args], **node.kwargs)
    parts = out if isinstance(out, tuple) else [out]
    return next(part for part, y in zip(parts, node.outputs, strict=True) if y is symbol)


@pytest.mark.parametrize("case", [c for c in ALL if c.batch], ids=repr)
def test_symbolic_use_with_an_unknown_length(case):
    """The first axis is unknown when the ops are named, and known when they run."""
    arrays = case.arrays()
    symbols = [
        SymbolicTensor((None, *a.shape[1:]) if i in case.batch else a.shape, a.dtype)
        for i, a in enumerate(arrays)
    ]
    out = case.call(*symbols)
    expected = case.call(*tensors(case.arrays()))
    assert len(out.shape) == len(expected.shape)
    assert all(n in (None, m) for n, m in zip(out.shape, expected.shape, strict=True))
    assert out.dtype == expected.dtype
    given = {id(s): Tensor(a) for s, a in zip(symbols, case.arrays(), strict=True)}
    np.testing.assert_array_equal(evaluate(out, given).data, expected.data)


@every_case
def test_gpu_equals_cpu(simulated_gpu, case):
    """Values and gradients on the simulated GPU, from arrays that live there."""
    y, dy, gradients = forward_and_backward(case, case.arrays("float32"))
    gpu = devices.gpu()
    inputs = [Tensor(gpu.asarray(a)) for a in case.arrays("float32")]
    with GradientTape() as tape:
        tape.watch([inputs[i] for i in case.differentiable])
        on_gpu = case.call(*inputs)
    assert on_gpu.device == "gpu:0"
    assert on_gpu.dtype == y.dtype
    np.testing.assert_allclose(on_gpu.numpy(), y.data, rtol=2e-6, atol=4e-6)
    if case.differentiable:
        wanted = [inputs[i] for i in case.differentiable]
        found = tape.gradient(on_gpu, wanted, output_gradients=dy)
        for received, expected in zip(found, gradients, strict=True):
            assert received.device == "gpu:0"
            np.testing.assert_allclose(received.numpy(), expected.data, rtol=1e-5, atol=1e-5)


def test_public_names_are_functions():
    for name in ops.__all__:
        assert callable(getattr(ops, name)), name
        assert inspect.getdoc(getattr(ops, name)), f"{name} has no docstring"
