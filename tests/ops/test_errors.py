"""What ops refuse and how they say it, eagerly and symbolically; unknown lengths in shape rules."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import ShapeError
from gpunn.ops import losses


def tensor(values, dtype="float32"):
    return ops.convert_to_tensor(np.array(values, dtype))


def symbol(*shape):
    return SymbolicTensor(shape, "float32")


ERRORS = [
    (
        lambda t: ops.add(t(2, 3), t(2, 4)),
        r"add: shapes \(2, 3\) and \(2, 4\) do not broadcast: axis -1 has lengths \[3, 4\]",
    ),
    (
        lambda t: ops.matmul(t(2, 3), t(4, 2)),
        r"matmul: the last axis of x1 and the last but one .* agree \(x1 \(2, 3\), x2 \(4, 2\)\)",
    ),
    (lambda t: ops.matmul(t(2, 3), t()), "matmul: a number has no matrix product"),
    (lambda t: ops.matmul(t(2, 2, 3), t(3, 3, 2)), "matmul: shapes .* do not broadcast"),
    (
        lambda t: ops.dense(t(2, 3), t(4, 5)),
        r"dense: .*\(x \(2, 3\), w \(4, 5\)\). Give x of shape",
    ),
    (lambda t: ops.dense(t(2, 4), t(4, 5), t(3)), r"dense: the bias .* Give b of shape \(5,\)"),
    (lambda t: ops.sum(t(2, 3), axis=2), "sum: axis 2 does not exist in 2 dimension.*Use -2 to 1"),
    (lambda t: ops.mean(t(2, 3), axis=(0, -2)), "mean: an axis is named twice"),
    (lambda t: ops.argmax(t(2), axis=1), "argmax: axis 1 does not exist"),
    (lambda t: ops.softmax(t(2, 3), axis=3), "softmax: axis 3 does not exist"),
    (
        lambda t: ops.reshape(t(2, 3), (4, 2)),
        r"reshape: 6 elements do not fill .*\(x \(2, 3\), new",
    ),
    (lambda t: ops.reshape(t(2, 3), (-1, 4)), "reshape: 6 elements do not fill"),
    (lambda t: ops.reshape(t(2, 3), (-1, -1)), "reshape: only one length may be -1"),
    (
        lambda t: ops.transpose(t(2, 3), (0, 0)),
        "transpose: axes .* are not a permutation of 2 axes",
    ),
    (lambda t: ops.squeeze(t(2, 3), 0), r"squeeze: axis 0 has length 2, not 1 \(x \(2, 3\)\)"),
    (lambda t: ops.expand_dims(t(2, 3), 4), "expand_dims: axis 4 does not exist"),
    (lambda t: ops.broadcast_to(t(2, 3), (2, 4)), "broadcast"),
    (lambda t: ops.broadcast_to(t(2, 3), (3,)), "broadcast"),
    (lambda t: ops.concatenate([t(2, 3), t(2, 4)]), r"concatenate: shapes must agree .*\(2, 4\)"),
    (lambda t: ops.concatenate([]), "concatenate: received no tensors"),
    (lambda t: ops.pad(t(2, 3), ((1, 1),) * 3), "pad: one pair .* an axis is needed"),
    (
        lambda t: t(2, 3)[2],
        r"getitem: index 2 is out of bounds .* length 2 \(x \(2, 3\), index \[2\]",
    ),
    (lambda t: t(2, 3)[0, 0, 0], "getitem: at most 2 indices and one ... are possible"),
    (lambda t: t(2, 3)[..., ...], "getitem: at most 2 indices and one ... are possible"),
    (lambda t: ops.take(t(2, 3), [5], axis=0), "take: index 5 is out of bounds"),
    (lambda t: ops.cumsum(t(2, 3), axis=5), "cumsum: axis 5 does not exist"),
    (lambda t: ops.where(t(2) > 0, t(3), 0.0), "where: shapes .* do not broadcast"),
    (lambda t: ops.repeat(t(2), 2, 3), "repeat: axis 3 does not exist"),
    (
        lambda t: losses.softmax_cross_entropy_loss(t(2, 3), t(2, 4)),
        r"softmax_cross_entropy_loss: targets do not fit .* Give targets of shape \(2, 3\)",
    ),
    (
        lambda t: losses.sparse_softmax_cross_entropy_loss(t(2, 3), t(2, 3)),
        r"Give targets of shape \(2,\)",
    ),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
@pytest.mark.parametrize("make", [lambda *s: tensor(np.ones(s)), symbol], ids=["eager", "symbolic"])
def test_shape_errors(number, make):
    call, message = ERRORS[number]
    with pytest.raises(ShapeError, match=message):
        call(make)


def test_other_errors():
    with pytest.raises(ValueError, match="clip: x_min=2 is greater than x_max=1. Swap them."):
        ops.clip(tensor([1.0]), 2, 1)
    with pytest.raises(
        ShapeError, match=r"unstack: axis 0 has an unknown length \(x \(None, 3\)\)"
    ):
        ops.unstack(symbol(None, 3))
    with pytest.raises(
        ShapeError, match=r"getitem: a mask needs axes of known length .*index \[array \(2,\)\]"
    ):
        symbol(None, 3)[[True, False]]
    with pytest.raises(
        TypeError, match="sum: received 4 arguments, expected 1 to 3: x, axis, keepdims"
    ):
        ops.sum(tensor([1.0]), 0, True, 5)
    with pytest.raises(ValueError, match="Unknown dtype: 'float33'. Did you mean 'float32'"):
        ops.cast(tensor([1.0]), "float33")


def test_inputs_by_name():
    x = tensor([[1, 2], [3, 4]])
    assert ops.sum(x=x, axis=1).tolist() == [3, 7] and ops.relu(x=x).tolist() == x.tolist()
    assert ops.subtract(x2=x, x1=x * 2).tolist() == x.tolist()
    assert ops.subtract(x * 2, x2=x).tolist() == x.tolist()
    with pytest.raises(TypeError, match="Unknown argument of add: .first.. Known: x1, x2"):
        ops.add(first=x, second=x)


def test_unknown_lengths_in_slices():
    x = symbol(None, None, 3)
    assert x[:, 1:].shape == (None, None, 3) and x[:, -1].shape == (None, 3)
    assert x[..., 0].shape == (None, None) and x[None].shape == (1, None, None, 3)
    assert x[:, None].shape == (None, 1, None, 3) and x[..., :2].shape == (None, None, 2)
    assert x[0].shape == (None, 3)


def test_unknown_lengths_in_shapes():
    x = symbol(None, None, 3)
    assert ops.expand_dims(x, 1).shape == (None, 1, None, 3)
    assert ops.repeat(x, 2, 1).shape == (None, None, 3) and ops.repeat(x, 2, -1).shape == (
        None,
        None,
        6,
    )
    assert ops.tile(x, (1, 1, 2)).shape == (None, None, 6)
    assert ops.concatenate([x, symbol(None, 4, 3)], axis=1).shape == (None, None, 3)
    assert ops.add(x, symbol(None, 1, 3)).shape == (None, None, 3)
    assert ops.add(symbol(None, 4), symbol(7, 1)).shape == (7, 4)
    assert ops.matmul(x, symbol(3, 5)).shape == (None, None, 5)
    assert ops.sum(x, axis=1).shape == (None, 3) and ops.pad(x, 1).shape == (None, None, 5)
    assert ops.reshape(symbol(None, 4), (-1, 2, 2)).shape == (None, 2, 2)
    assert ops.squeeze(symbol(None, 1)).shape == (None,)
