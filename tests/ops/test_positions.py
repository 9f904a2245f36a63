"""What the op suite does not say of positions: errors, ties, dropped indices, order of sums."""

from __future__ import annotations

import numpy as np
import pytest

import gpunn
from gpunn import GradientTape, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import DTypeError, ShapeError
from gpunn.ops.gathering import places_along
from gpunn.ops.groups import flat_places

X = np.arange(12, dtype="float32").reshape(3, 4)


def gradients(function, *values):
    tensors = [ops.array(v) for v in values]
    with GradientTape() as tape:
        tape.watch(tensors)
        y = ops.sum(function(*tensors))
    return [g.tolist() for g in tape.gradient(y, tensors)]


ERRORS = [
    (lambda: ops.take(X, [0.5]), DTypeError, "take: indices must be integers, received dtype fl"),
    (lambda: ops.take(X, [3], axis=0), ShapeError, "take: index 3 is out of bounds .* length 3"),
    (lambda: ops.take(X, [-4], axis=0), ShapeError, "take: index -4 is out of bounds"),
    (
        lambda: ops.take(SymbolicTensor((3, None)), [7], axis=0),
        ShapeError,
        r"take: index 7 .* \(x \(3, None\), axis 0\). Use -3 to 2",
    ),
    (
        lambda: ops.take_along_axis(X, [1], axis=0),
        ShapeError,
        r"take_along_axis: x and the indices need as many axes \(x \(3, 4\), indices \(1,\)\)",
    ),
    (lambda: ops.take_along_axis(X, [[5]], axis=1), ShapeError, "take_along_axis: index 5 is out"),
    (lambda: X_[SymbolicTensor((2,), "int32")], TypeError, "cannot be an index. Use ops.take"),
    (lambda: ops.top_k(X, 5), ShapeError, r"top_k: k=5 of 4 elements along axis -1 .* Give 0 to 4"),
    (lambda: ops.sort(X, 2), ShapeError, "argsort: axis 2 does not exist in 2 dim"),
    (lambda: ops.argpartition(X, 4), ShapeError, "argpartition: kth=4 is out of bounds for 4"),
    (lambda: ops.split(X, 3, axis=1), ShapeError, "split: axis 1 of length 4 does not divide into"),
    (lambda: ops.split(X, [3, 1]), ShapeError, r"split: the indices to cut at must ascend.*\(3, 1"),
    (lambda: ops.array_split(X, [1]), TypeError, r"array_split: .* received \[1\]. .* use split"),
    (lambda: ops.dsplit(X, 2), ShapeError, r"dsplit: x needs at least 3 axes, received \(3, 4\)"),
    (lambda: ops.unstack(X, 2), ShapeError, r"unstack: axis 0 has length 3, not num=2"),
    (lambda: ops.stack([X, X[0]]), ShapeError, r"stack: .* as many axes .*\(3, 4\), \(4,\)"),
    (lambda: ops.slice(X, [0], [1]), ShapeError, r"slice: one start index and one length an axis"),
    (lambda: ops.slice(X, [0, 0], [4, 1]), ShapeError, r"slice: the window is larger than x"),
    (
        lambda: ops.slice(X, ops.array([0, 0]), [-1, 2]),
        ShapeError,
        "slice: a length of -1 needs start_indices that are integers",
    ),
    (
        lambda: ops.slice(X, ops.array([0.0, 1.0]), [1, 1]),
        DTypeError,
        "slice: start_indices must be integers, received dtype float32",
    ),
    (
        lambda: ops.slice_update(X, [0, 0], X[0]),
        ShapeError,
        r"slice_update: one start index .*\(x \(3, 4\), start_indices of shape \(2,\), window \(4,",
    ),
    (
        lambda: ops.scatter_update(X, [[0]], X[:1], "sum"),
        ValueError,
        "Unknown reduction of scatter_update: 'sum'. .*Known: add, max, min, mul",
    ),
    (
        lambda: ops.scatter_update(X, [[0], [1]], X),
        ShapeError,
        r"scatter_update: updates do not fit \(updates \(3, 4\), indices \(2, 1\).*shape \(2, 4\)",
    ),
    (
        lambda: ops.scatter(np.zeros((2, 3), "int32"), [1.0, 2.0], (4, 4)),
        ShapeError,
        r"scatter: the last axis of indices names axes of the result .* at most 2",
    ),
    (lambda: ops.scatter([[0.0]], [1.0], (4,)), DTypeError, "scatter: indices must be integers"),
    (
        lambda: ops.segment_sum(X, [[0, 1, 1]], 2),
        ShapeError,
        r"segment_sum: segment_ids need one axis.*\(segment_ids \(1, 3\), data \(3, 4\)\)",
    ),
    (lambda: ops.segment_max(X, [0, 1], 2), ShapeError, "segment_max: updates do not fit"),
    (
        lambda: ops.segment_min(X, SymbolicTensor((3,), "int32")),
        ValueError,
        "segment_min: num_segments must be given for symbolic tensors",
    ),
    (
        lambda: ops.segment_sum(SymbolicTensor((3, None)), [0, 1, 1], 2),
        ShapeError,
        "segment_sum: only the first length of the data may be unknown",
    ),
    (lambda: ops.diag(X[None]), ShapeError, "diag: x must be a vector or a matrix, .*use diagonal"),
    (lambda: ops.diagonal(X, 0, 1, -1), ShapeError, "diagonal: axis1 and axis2 are both 1"),
    (lambda: ops.tril(X[0]), ShapeError, r"tril: x needs at least 2 axes, received \(4,\)"),
    (lambda: ops.eye(2.0), TypeError, "eye: N must be an integer, received 2.0"),
    (lambda: ops.vander(X), ShapeError, r"vander: x must be a vector, received \(3, 4\)"),
    (lambda: ops.rot90(X[0]), ShapeError, r"rot90: two axes are needed \(x \(4,\)"),
    (lambda: ops.rot90(X, 1, (0, -2)), ValueError, "rot90: the axes .* are the same"),
    (lambda: ops.roll(X, (1, 2, 3), (0, 1)), ShapeError, "roll: 3 shifts for 2 axes"),
    (lambda: ops.meshgrid(X), ShapeError, r"meshgrid: x must be vectors, received \(3, 4\)"),
    (lambda: ops.meshgrid(X[0], indexing="yx"), ValueError, "Unknown indexing of meshgrid: 'yx'"),
    (lambda: ops.arange(1, 2, 0), ValueError, "arange: step is 0"),
    (lambda: ops.linspace(0, 1, -1), ValueError, "linspace: num must be an integer .* received -1"),
    (lambda: ops.geomspace(-1, 2), ValueError, "geomspace: .* same sign .* received -1 and 2"),
    (lambda: ops.repeat(X, [1, 2], 0), ShapeError, "repeat: 2 repeats for 3 elements along axis 0"),
    (lambda: ops.where(X > 0, X), ValueError, "where: x1 and x2 go together"),
    (lambda: ops.select([X > 0], []), ValueError, "select: .* received 1 conditions and 0 choices"),
    (lambda: ops.switch(0, []), ValueError, "switch: there are no branches"),
    (lambda: ops.unravel_index([0.5], (2,)), DTypeError, "unravel_index: indices must be integers"),
    (lambda: ops.size(SymbolicTensor((None, 2))), ShapeError, r"size: .* \(x \(None, 2\)\)"),
    (lambda: ops.view(X[:, :3], "float64"), ShapeError, "view: the last axis does not divide"),
    (lambda: ops.view_as_real(X), NotImplementedError, "view_as_real: gpunn has no complex"),
    (lambda: ops.view_as_complex(X), NotImplementedError, "view_as_complex: .* two tensors"),
    (lambda: ops.convert_to_tensor(X, sparse=True), NotImplementedError, "sparse=True, ragged=No"),
    (lambda: ops.expand_dims(X, (0, -4)), ShapeError, "expand_dims: an axis is named twice"),
    (lambda: ops.reshape(X, (None, -1, None)), ShapeError, "reshape: a length None is that of"),
    (lambda: ops.extract_sequences(X, 0, 1), ShapeError, "extract_sequences: .* at least 1"),
    (lambda: ops.rearrange(X, "a b"), ValueError, "rearrange: the pattern needs one '->'"),
    (lambda: ops.rearrange(X, "a b -> a"), ValueError, "rearrange: both sides must hold the same"),
    (lambda: ops.rearrange(X, "a b -> a 1 b"), ValueError, "rearrange: '1' in .* neither a name"),
    (lambda: ops.rearrange(X, "a b c -> c b a"), ShapeError, "'a b c -> c b a' is for 3 axes"),
    (lambda: ops.rearrange(X, "a b -> b a", c=2), ValueError, r"rearrange: \['c'\] are no names"),
    (lambda: ops.rearrange(X, "a (b c) -> a b c"), ValueError, "all lengths but one must be given"),
    (
        lambda: ops.rearrange(X, "a (b c) -> a b c", b=3),
        ShapeError,
        r"rearrange: an axis of length 4 does not divide into \('b', 'c'\) with {'b': 3}",
    ),
    (lambda: ops.pad(X, 1, "edges"), ValueError, "Unknown mode of pad: 'edges'. Did you mean 'edg"),
]  # fmt: skip
X_ = ops.array(X)


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_last_update_wins_and_alone_has_a_gradient():
    def function(x, updates):
        return ops.scatter_update(x, [[1], [0], [1]], updates) * ops.array([1.0, 2.0, 3.0])

    assert function(X[0, :3], X[1, :3]).tolist() == [5, 2 * 6, 6]
    assert gradients(function, X[0, :3], X[1, :3]) == [[0, 0, 3], [0, 1, 2]]


def test_equal_extremes_share_the_gradient_and_products_bear_zeros():
    ids = np.array([0, 0, 0, 1, 9])
    data = np.array([2.0, 5.0, 5.0, -1.0, 8.0], "float32")
    assert gradients(lambda x: ops.segment_max(x, ids, 3), data) == [[0, 0.5, 0.5, 1, 0]]
    update = lambda x, u: ops.scatter_update(x, [[0], [0]], u, "max")
    assert gradients(update, np.float32([5, 3]), np.float32([5, 1])) == [[0.5, 1], [0.5, 0]]
    data = np.array([2.0, 0.0, 3.0, 0.0, 8.0], "float32")
    assert gradients(lambda x: ops.segment_prod(x, ids, 2), data) == [[0, 6, 0, 1, 0]]
    update = lambda x, u: ops.scatter_update(x, [[0], [0]], u, "mul")
    assert gradients(update, np.float32([0, 3]), np.float32([5, 7])) == [[35, 1], [0, 0]]


def test_parts_without_a_gradient_give_zeros():
    x = ops.array(X)
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.sum(ops.split(x, 2, axis=1)[1]) + ops.sum(ops.unstack(x)[2])
    assert tape.gradient(y, x).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 2, 2]]


def test_sums_of_gradients_are_in_the_order_of_the_indices(simulated_gpu):
    """1e8 + 1 - 1e8 in float32 depends on the order: the bits are the same on both backends."""
    rng = np.random.default_rng(3)
    ids = rng.integers(0, 3, 300).astype("int32")
    dy = (rng.normal(size=(300, 2)) * 10.0 ** rng.integers(-4, 8, (300, 1))).astype("float32")

    def results():
        x, i = ops.array(X), ops.array(ids)
        with GradientTape() as tape:
            tape.watch(x)
            y = x[i][:, :2]
        found = [tape.gradient(y, x, output_gradients=ops.array(dy))]
        with GradientTape() as tape:
            tape.watch(x)
            y = ops.take(x, i, axis=0)[:, :2]
        found.append(tape.gradient(y, x, output_gradients=ops.array(dy)))
        found.append(ops.segment_sum(ops.array(dy), i, 3))
        return [np.array(t.numpy()[:, :2]) for t in found]

    on_cpu = results()
    with gpunn.device("gpu:0"):
        on_gpu = [results() for _ in range(2)]
    expected = np.zeros((3, 2))
    np.add.at(expected, ids, dy.astype("float64"))
    for first, second, cpu in zip(*on_gpu, on_cpu):
        assert first.tobytes() == second.tobytes()
        np.testing.assert_allclose(first, expected, rtol=1e-4, atol=20)
        np.testing.assert_allclose(cpu, expected, rtol=1e-4, atol=20)
    for other in (*on_cpu[1:],):
        assert other.tobytes() == on_cpu[0].tobytes()


def test_places_from_the_end_and_outside():
    out = np.empty(3, "int32")
    flat_places.reference(np, np.array([[2**40], [-1], [4]]), out, shape=(5,), wraps=True)
    assert out.tolist() == [5, 4, 4]
    out = np.empty((1, 2), "int32")
    places_along.reference(np, np.array([[1, -1]]), out, shape=(1, 5), axis=1)
    assert out.tolist() == [[1, 4]]


def test_keys_with_arrays_on_tensors_of_unknown_length():
    x = SymbolicTensor((None, 5, None))
    assert x[:, [0, 2]].shape == (None, 2, None)
    assert x[[1, 0, 3]].shape == (3, 5, None)
    assert x[1:, [0, 2], ..., None].shape == (None, 2, None, 1)
    assert x[..., [0, 7]].shape == (None, 5, 2)
    with pytest.raises(ShapeError, match="getitem: a mask needs axes of known length"):
        x[[True, False]]
    with pytest.raises(ShapeError, match="getitem: index 5 is out of bounds for axis 1"):
        x[:, [5]]


def test_ranges_are_made_on_the_device_that_is_current(simulated_gpu):
    with gpunn.device("gpu:0"):
        for y in (
            ops.arange(3),
            ops.linspace(0, 1, 3),
            ops.eye(2),
            ops.tri(2),
            ops.geomspace(1, 4),
        ):
            assert y.device == "gpu:0"
        found = ops.nonzero([0, 3, 0]) + ops.unique([2, 2], return_counts=True)
        assert all(isinstance(y, Tensor) and y.device == "gpu:0" for y in found)
