"""Tensor as a Python and NumPy citizen, conversion rules, symbolic tensors."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import config, ops
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.errors import DTypeError, ShapeError


def tensor(values, dtype="float32"):
    return Tensor(np.array(values, dtype))


# --- the protocols ---


def test_properties():
    x = tensor([[1, 2, 3]])
    assert (x.shape, x.ndim, x.size, x.dtype, x.device, len(x)) == (
        (1, 3),
        2,
        3,
        "float32",
        "cpu",
        1,
    )


def test_numpy_is_a_read_only_view():
    x = tensor([1, 2])
    view = x.numpy()
    assert np.shares_memory(view, x.data)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5
    x.data[0] = 7  # the tensor's own array stays writable
    assert view[0] == 7


def test_asarray():
    x = tensor([1, 2])
    assert np.asarray(x).tolist() == [1, 2] and np.asarray(x).dtype == "float32"
    assert np.asarray(x, "int8").dtype == "int8"
    copy = np.array(x)
    copy[0] = 9
    assert x.tolist() == [1, 2]
    assert np.stack([x, x]).shape == (2, 2)
    assert np.sum(np.asarray(x)) == 3


def test_numbers_of_one_element():
    x = tensor(2.5)
    assert (float(x), int(x), bool(x), x.item(), x.tolist()) == (2.5, 2, True, 2.5, 2.5)
    assert f"{x:.3f}" == "2.500" and [10, 20, 30][tensor(1, "int32")] == 20
    assert not tensor(0) and isinstance(x.item(), float)
    with pytest.raises(ValueError, match="Only a tensor of one element"):
        bool(tensor([1, 2]))
    with pytest.raises(TypeError, match="integer"):
        [1, 2][tensor(1.0)]
    with pytest.raises(TypeError, match="Only a tensor of one element"):
        float(tensor([1, 2]))


def test_iteration():
    assert [row.tolist() for row in tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    a, b = tensor([5, 6])
    assert (a.item(), b.item(), a.shape) == (5, 6, ())
    assert 5 in tensor([5, 6]) and 7 not in tensor([5, 6])
    with pytest.raises(TypeError, match=r"A tensor of shape \(\) has no length"):
        len(tensor(1))
    with pytest.raises((TypeError, ShapeError), match="0 dimension|0-d|shape"):
        iter(tensor(1))


def test_text():
    x = tensor([1, 2])
    assert repr(x) == "<Tensor shape=(2,) dtype=float32 cpu>\n[1., 2.]"
    assert f"{x}" == str(x) == repr(x)
    assert len(repr(tensor(np.zeros((1000, 1000))))) < 1000


def test_tensors_are_hashable_by_identity():
    x, y = tensor([1]), tensor([1])
    assert {x: 1, y: 2}[x] == 1 and (x == y).tolist() == [True]


def test_in_place_operators_make_new_tensors():
    x = tensor([1, 2])
    before = x
    x += 1
    assert (before.tolist(), x.tolist()) == ([1, 2], [2, 3])


def test_numpys_functions_give_numpy_arrays():
    x, v = tensor([[1.0, 2.0], [3.0, 6.0]]), Variable([1.0, 2.0])
    for found, expected in (
        (np.sum(x), 12.0),
        (np.mean(x, axis=0), [2.0, 4.0]),
        (np.exp(v), np.exp([1.0, 2.0], dtype="float32")),
        (np.argmax(a=x, axis=-1), [1, 1]),
        (np.stack([v, np.zeros(2), v]), [[1, 2], [0, 0], [1, 2]]),
    ):
        assert isinstance(found, (np.ndarray, np.generic))
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="read-only"):
        np.sum(x, axis=0, out=x[0])


def test_numpys_questions_about_shapes_read_no_values(monkeypatch):
    x = tensor([[1.0, 2.0, 3.0]])
    monkeypatch.setattr(Tensor, "numpy", None)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((1, 3), 2, 3, 3)


def test_operators_with_an_array_give_tensors():
    x, ones = tensor([1.0, 2.0]), np.ones(2, "float32")
    for found in (ones + x, ones @ x, ones < x, np.float32(2) * x):
        assert isinstance(found, Tensor)
    assert (ones - x).tolist() == [0, -1]


def test_numpys_float64_scalars_are_weak_as_python_floats():
    x, two = tensor([2.0, 4.0]), np.sqrt(4)
    for found in (x / two, two * x, ops.where(x > 3, x, two), ops.add(two, two)):
        assert found.dtype == "float32"
    assert (tensor([1, 2], "int32") * two).dtype == "float32"
    assert (tensor([1.0], dtype="float16") * two).dtype == "float16"
    assert (x * np.ones(2)).dtype == "float64"


def test_dlpack_to_torch_and_back():
    torch = pytest.importorskip("torch")
    x = tensor([[1, 2], [3, 4]])
    shared = torch.from_dlpack(x)
    assert shared.tolist() == x.tolist()
    x.data[0, 0] = 9
    assert shared[0, 0] == 9
    leaf = torch.ones(2, requires_grad=True)
    assert ops.convert_to_tensor(leaf).tolist() == [1, 1]
    assert np.from_dlpack(x).tolist() == [[9, 2], [3, 4]]


def test_no_cuda_interface_on_the_cpu():
    assert not hasattr(tensor([1]), "__cuda_array_interface__")


# --- conversion ---


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, "float32"),
        (1, "int32"),
        (True, "bool"),
        ([1, 2], "int32"),
        ([1, 2.5], "float32"),
        ([True, False], "bool"),
        ([], "float32"),
        ([[]], "float32"),
        (2**40, "int64"),
        ([-(2**31)], "int32"),
        ([2**31], "int64"),
        ((1.0, (2.0)), "float32"),
        (range(3), "int32"),
        (np.float64(1), "float64"),
        (np.int8(1), "int8"),
        (np.array([1.0]), "float64"),
        (np.array([1]), "int64"),
        ([np.float64(1.0)], "float64"),
        (np.float16([1]), "float16"),
        (np.zeros((0, 3), "float64"), "float64"),
    ],
)
def test_conversion_rules(value, dtype):
    assert asarray(value).dtype == dtype
    if isinstance(value, float | list) and dtype == "float32":
        config.set_floatx("float16")
        assert asarray(value).dtype == "float16"


def test_conversion_to_a_dtype():
    assert asarray([1, 2], "float64").dtype == "float64"
    assert asarray(tensor([1.5]), "int32").tolist() == [1]
    x = tensor([1])
    assert asarray(x) is x.data and asarray(x, "float32") is x.data
    array = np.ones(3, "float32")
    assert asarray(array) is array


def test_lists_of_tensors():
    assert asarray([tensor([1, 2]), tensor([3, 4])]).tolist() == [[1, 2], [3, 4]]
    assert asarray([[tensor(1), 2.0]]).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1, 2], [3]], "Cannot make a tensor of this sequence: .*Pad its rows to one length"),
        (
            np.array([[1], "a"], dtype=object),
            "computes with numbers, received an array of dtype object",
        ),
        ([1.0, None], r"of dtype object and shape \(2,\) \(one element is None\).*Missing values"),
        (None, "computes with numbers, received None"),
        ("text", r"received 'text' \(str\)\. Text\? Vectorize it"),
        (sum, r"received <built-in function sum> \(builtin_function_or_method\)"),
        (["a", "b"], "received an array of dtype <U1 and shape"),
        (np.array(["2020-01-01"], "datetime64[D]"), r"received an array of dtype datetime64\[D\]"),
        (1j, r"Complex numbers are not supported \(received dtype complex128\)"),
        ({"a": 1}, r"received {'a': 1} \(dict\)"),
    ],
)
def test_what_is_no_tensor(value, message):
    with pytest.raises(DTypeError, match=message):
        ops.convert_to_tensor(value)


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = ops.cast([1.0, 2.5], "bfloat16")
    assert x.dtype == "bfloat16" and x.data.dtype == ml_dtypes.bfloat16
    assert (x + x).dtype == "bfloat16" and ops.cast(x + x, "float32").tolist() == [2, 5]


# --- symbolic tensors ---


def test_symbolic_tensors():
    x = SymbolicTensor((None, 3), name="x")
    assert (x.shape, x.dtype, x.ndim, x.node) == ((None, 3), "float32", 2, None)
    assert repr(x) == "<SymbolicTensor shape=(None, 3) dtype=float32 name=x>"
    assert len(SymbolicTensor((2, 3))) == 2
    y = ops.sum(x, axis=1)
    assert y.node.call is ops.sum and y.node.args == (x,) and y.node.kwargs == {"axis": 1}
    assert len(y.node.outputs) == 1 and y.node.outputs[0] is y


@pytest.mark.parametrize(
    "use",
    [
        bool,
        float,
        int,
        len,
        list,
        np.asarray,
        lambda x: x.numpy(),
        lambda x: x.item(),
        lambda x: [0][x],
    ],
)
def test_symbolic_tensors_have_no_values(use):
    with pytest.raises(TypeError, match="is symbolic: it has a shape, but no values yet"):
        use(SymbolicTensor((None, 3)))
