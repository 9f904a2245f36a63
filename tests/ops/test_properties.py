"""Shapes, broadcasting, indexing and reductions for whatever hypothesis comes up with."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gpunn import GradientTape, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError

quick = settings(max_examples=60, deadline=None)
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def numbered(shape):
    """Each element another number, so that a swap shows."""
    return np.arange(1, math.prod(shape) + 1, dtype=np.float64).reshape(shape)


def check(call, x, expected):
    """Value, symbolic shape, and the gradient of a linear op: ⟨dy, Ax⟩ = ⟨dx, x⟩."""
    given_tensor = Tensor(x)
    with GradientTape() as tape:
        tape.watch(given_tensor)
        y = call(given_tensor)
    np.testing.assert_array_equal(y.data, expected)
    assert call(SymbolicTensor(x.shape, x.dtype)).shape == expected.shape
    dy = np.random.default_rng(0).normal(size=expected.shape)
    dx = tape.gradient(y, given_tensor, output_gradients=dy)
    assert dx.shape == x.shape
    np.testing.assert_allclose((dx.data * x).sum(), (dy * expected).sum(), rtol=1e-9, atol=1e-9)


@quick
@given(shapes.flatmap(lambda s: st.tuples(st.just(s), hnp.basic_indices(s, allow_newaxis=True))))
def test_basic_indices(case):
    shape, key = case
    x = numbered(shape)
    check(lambda t: ops.getitem(t, key), x, np.asarray(x[key]))


@quick
@given(
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=4).flatmap(
        lambda s: st.tuples(st.just(s), hnp.integer_array_indices(s))
    )
)
def test_integer_array_indices(case):
    shape, key = case
    x = numbered(shape)
    tensor = Tensor(x)
    with GradientTape() as tape:
        tape.watch(tensor)
        y = ops.getitem(tensor, key)
    np.testing.assert_array_equal(y.data, x[key])
    counts = np.zeros(shape)
    for index in zip(*(k.ravel() for k in np.broadcast_arrays(*key))):
        counts[index] += 1
    dx = tape.gradient(y, tensor)
    np.testing.assert_array_equal(dx.data, counts)


@quick
@given(
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=4).flatmap(
        lambda s: st.tuples(st.just(s), hnp.arrays(bool, s))
    )
)
def test_masks(case):
    shape, mask = case
    x = numbered(shape)
    tensor = Tensor(x)
    with GradientTape() as tape:
        tape.watch(tensor)
        y = tensor[mask]
    np.testing.assert_array_equal(y.data, [v for v, m in zip(x.flat, mask.flat) if m])
    np.testing.assert_array_equal(tape.gradient(y, tensor).data, mask)


@quick
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=4))
def test_broadcasting(case):
    a, b = (numbered(s) for s in case.input_shapes)
    x, y = Tensor(a), Tensor(b)
    with GradientTape() as tape:
        tape.watch([x, y])
        z = x * y
    assert z.shape == case.result_shape
    dz = np.random.default_rng(0).normal(size=z.shape)
    dx, dy = tape.gradient(z, [x, y], output_gradients=dz)
    assert (dx.shape, dy.shape) == (a.shape, b.shape)
    # z is linear in x and in y: ⟨dz, z⟩ = ⟨dx, x⟩ = ⟨dy, y⟩
    inner = float((dz * z.data).sum())
    np.testing.assert_allclose(
        [(dx.data * a).sum(), (dy.data * b).sum()], inner, rtol=1e-9, atol=1e-7
    )
    symbols = [SymbolicTensor(s) for s in case.input_shapes]
    assert (symbols[0] * symbols[1]).shape == case.result_shape


@quick
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=4), st.data())
def test_shapes_that_do_not_broadcast(shape, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    other = tuple(n + 1 if i == axis else n for i, n in enumerate(shape))
    with pytest.raises(ShapeError, match=rf"add: .* axis {axis - len(shape)} has lengths"):
        ops.add(numbered(shape), numbered(other))


@st.composite
def shape_and_axes(draw, min_side=0):
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=min_side, max_side=4))
    n = len(shape)
    axes = draw(
        st.none() | st.lists(st.integers(0, n - 1), unique=True, max_size=n).map(tuple)
        if n
        else st.none()
    )
    if axes is not None:
        axes = tuple(a - n if draw(st.booleans()) else a for a in axes)
        if len(axes) == 1 and draw(st.booleans()):
            axes = axes[0]
    return shape, axes, draw(st.booleans())


@quick
@given(shape_and_axes())
def test_sums(case):
    shape, axes, keepdims = case
    x = numbered(shape)
    expected = np.asarray(
        np.einsum(
            x, list(range(x.ndim)), [a for a in range(x.ndim) if a not in positions(axes, x.ndim)]
        )
    )
    if keepdims:
        expected = expected.reshape(
            [1 if a in positions(axes, x.ndim) else n for a, n in enumerate(shape)]
        )
    check(lambda t: ops.sum(t, axis=axes, keepdims=keepdims), x, expected)


def positions(axes, ndim):
    if axes is None:
        return set(range(ndim))
    return {a % ndim for a in ((axes,) if isinstance(axes, int) else axes)}


@quick
@given(shape_and_axes(min_side=1))
def test_extremes(case):
    shape, axes, keepdims = case
    x = np.random.default_rng(math.prod(shape)).permutation(numbered(shape).ravel()).reshape(shape)
    y = ops.max(x, axis=axes, keepdims=keepdims)
    lowest = ops.negative(ops.min(-x, axis=axes, keepdims=keepdims))
    np.testing.assert_array_equal(y.data, lowest.data)
    kept = [a for a in range(x.ndim) if a not in positions(axes, x.ndim)]
    for index in np.ndindex(*(shape[a] for a in kept)):
        where = tuple(index[kept.index(a)] if a in kept else slice(None) for a in range(x.ndim))
        at = (
            tuple(index[kept.index(a)] if a in kept else 0 for a in range(x.ndim))
            if keepdims
            else index
        )
        assert y.data[at] == max(np.asarray(x[where]).ravel().tolist())


@quick
@given(shapes, st.data())
def test_reshapes_and_transposes(shape, data):
    x = numbered(shape)
    order = data.draw(st.permutations(range(len(shape))))
    check(
        lambda t: ops.transpose(t, tuple(order)), x, np.einsum(x, list(range(x.ndim)), list(order))
    )
    factors = data.draw(st.permutations(shape))
    check(lambda t: ops.reshape(t, tuple(factors)), x, np.array(x.ravel()).reshape(factors))
    check(lambda t: ops.reshape(ops.transpose(t), (-1,)), x, np.array(x.T.ravel()))


@quick
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3), st.data())
def test_joining_and_parting(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = numbered(shape)
    joined = np.concatenate([x, x, x], axis)
    check(lambda t: ops.concatenate([t, t, t], axis=axis), x, joined)
    for part in ops.split(joined, 3, axis=axis):
        np.testing.assert_array_equal(part.data, x)
    times = data.draw(st.integers(0, 3))
    check(lambda t: ops.repeat(t, times, axis), x, np.repeat(x, times, axis))
    counts = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=4))
    check(lambda t: ops.tile(t, counts), x, np.tile(x, counts))
    widths = [(data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in shape]
    check(lambda t: ops.pad(t, widths), x, np.pad(x, widths))
    check(lambda t: ops.flip(t, axis), x, np.flip(x, axis))
