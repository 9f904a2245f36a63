"""The fake cublasLt, driven through its C interface, against NumPy."""

import ctypes
import itertools

import numpy as np
import pytest

from tests.simulated_gpu import fake_cublaslt_path
from tests.simulated_gpu.emulator import available

pytestmark = pytest.mark.skipif(not available()[0], reason=available()[1])

INVALID_VALUE, NOT_SUPPORTED = 7, 15
TYPES = {"float32": 0, "float64": 1, "float16": 2}  # cudaDataType
COMPUTE_32F, COMPUTE_64F, COMPUTE_TF32 = 68, 70, 77
TRANSA, TRANSB, EPILOGUE, BIAS_POINTER, AUX_POINTER, AUX_LD = 3, 4, 7, 8, 11, 12
BATCH_COUNT, BATCH_STRIDE = 5, 6
DEFAULT, RELU, BIAS, DRELU, BGRAD, GELU, DGELU, AUX, BGRADA, BGRADB = (
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512,
)  # fmt: skip


class Heuristic(ctypes.Structure):
    _fields_ = [
        ("algo", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    ]


def column_major(array):
    return np.asfortranarray(array)


class Gemm:
    """D = alpha op(A) op(B) + beta C with an epilogue, on column-major NumPy arrays."""

    def __init__(self, a, b, d, *, transa=0, transb=0, epilogue=DEFAULT, compute=None, bias=None,
                 aux=None, aux_ld=None):  # fmt: skip
        self.lib = ctypes.CDLL(str(fake_cublaslt_path()))
        wide = d.dtype == np.float64
        self.scalar = ctypes.c_double if wide else ctypes.c_float
        compute = compute or (COMPUTE_64F if wide else COMPUTE_32F)
        self.handle, self.desc = ctypes.c_void_p(), ctypes.c_void_p()
        self.expect(0, self.lib.cublasLtCreate(ctypes.byref(self.handle)))
        self.expect(
            0, self.lib.cublasLtMatmulDescCreate(ctypes.byref(self.desc), compute, int(wide))
        )
        self.arrays = a, b, d, bias, aux
        self.layouts = [self.layout(x) for x in (a, b, d)]
        self.set(TRANSA, ctypes.c_int32(transa))
        self.set(TRANSB, ctypes.c_int32(transb))
        self.set(EPILOGUE, ctypes.c_int32(epilogue))
        if bias is not None:
            self.set(BIAS_POINTER, ctypes.c_void_p(bias.ctypes.data))
        if aux is not None:
            self.set(AUX_POINTER, ctypes.c_void_p(aux.ctypes.data))
            self.set(AUX_LD, ctypes.c_int64(aux_ld))

    @staticmethod
    def expect(status, received):
        assert received == status, f"status {received}, expected {status}"

    def set(self, attribute, value):
        size = ctypes.c_size_t(ctypes.sizeof(value))
        self.expect(
            0,
            self.lib.cublasLtMatmulDescSetAttribute(
                self.desc, attribute, ctypes.byref(value), size
            ),
        )

    def layout(self, array):
        """Of a column-major matrix or of a stack of them, batch last."""
        layout, (rows, columns) = ctypes.c_void_p(), array.shape[:2]
        leading = array.strides[1] // array.itemsize
        self.lib.cublasLtMatrixLayoutCreate(
            ctypes.byref(layout),
            TYPES[array.dtype.name],
            ctypes.c_uint64(rows),
            ctypes.c_uint64(columns),
            ctypes.c_int64(leading),
        )
        if array.ndim == 3:
            count, stride = ctypes.c_int32(array.shape[2]), array.strides[2] // array.itemsize
            set_attribute = self.lib.cublasLtMatrixLayoutSetAttribute
            set_attribute(layout, BATCH_COUNT, ctypes.byref(count), ctypes.c_size_t(4))
            stride = ctypes.c_int64(stride)
            set_attribute(layout, BATCH_STRIDE, ctypes.byref(stride), ctypes.c_size_t(8))
        return layout

    def heuristic(self, workspace):
        preference, result, found = ctypes.c_void_p(), Heuristic(), ctypes.c_int()
        self.lib.cublasLtMatmulPreferenceCreate(ctypes.byref(preference))
        limit = ctypes.c_uint64(workspace)
        self.lib.cublasLtMatmulPreferenceSetAttribute(
            preference, 1, ctypes.byref(limit), ctypes.c_size_t(8)
        )
        a, b, d = self.layouts
        status = self.lib.cublasLtMatmulAlgoGetHeuristic(
            self.handle, self.desc, a, b, d, d, preference, 1,
            ctypes.byref(result), ctypes.byref(found),
        )  # fmt: skip
        return status, result

    def run(self, alpha=1.0, beta=0.0, algo=None, workspace=None, workspace_bytes=0, stream=None):
        a, b, d = (ctypes.c_void_p(x.ctypes.data) for x in self.arrays[:3])
        la, lb, ld = self.layouts
        alpha, beta = self.scalar(alpha), self.scalar(beta)
        return self.lib.cublasLtMatmul(
            self.handle, self.desc, ctypes.byref(alpha), a, la, b, lb, ctypes.byref(beta),
            d, ld, d, ld, algo, workspace, ctypes.c_size_t(workspace_bytes), stream,
        )  # fmt: skip


@pytest.fixture
def operands():
    """A (5, 7), B (7, 6) and an empty D (5, 6)"""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 7)), rng.standard_normal((7, 6))
    return [column_major(x.astype("f4")) for x in (a, b, np.full((5, 6), np.nan))]


@pytest.mark.parametrize(("dtype", "tolerance"), [("f4", 1e-6), ("f8", 1e-14), ("f2", 1e-3)])
@pytest.mark.parametrize(("transa", "transb"), list(itertools.product((0, 1), repeat=2)))
def test_transposes_and_types(operands, dtype, tolerance, transa, transb):
    a, b, d = (x.astype(dtype) for x in operands)
    stored_a = column_major(a.T) if transa else a
    stored_b = column_major(b.T) if transb else b
    assert Gemm(stored_a, stored_b, d, transa=transa, transb=transb).run() == 0
    expected = a.astype(float) @ b.astype(float)
    np.testing.assert_allclose(d, expected, rtol=tolerance, atol=tolerance)


def test_leading_dimensions_alpha_and_beta(operands):
    a, b, _ = operands
    large = column_major(np.zeros((9, 11), "f4"))
    large[2:7, 3:10] = a
    d = column_major(np.ones((8, 6), "f4"))
    assert Gemm(large[2:7, 3:10], b, d[1:6]).run(alpha=2, beta=-3) == 0
    np.testing.assert_allclose(d[1:6], 2 * (a @ b) - 3, rtol=1e-5, atol=1e-5)
    assert (d[0] == 1).all() and (d[6:] == 1).all()


def test_batches():
    rng = np.random.default_rng(0)
    a = np.asfortranarray(rng.standard_normal((3, 4, 5), "f4"))
    b = np.asfortranarray(rng.standard_normal((4, 2, 5), "f4"))
    d = np.zeros((3, 2, 5), "f4", order="F")
    assert Gemm(a, b, d).run() == 0
    np.testing.assert_allclose(d, np.einsum("ikn,kjn->ijn", a, b), rtol=1e-5, atol=1e-6)


def test_tf32_drops_mantissa_bits(operands):
    a = column_major(np.array([[1 + 2**-10 + 2**-13]], "f4"))
    b, d = column_major(np.ones((1, 1), "f4")), column_major(np.zeros((1, 1), "f4"))
    assert Gemm(a, b, d, compute=COMPUTE_TF32).run() == 0
    assert d[0, 0] == np.float32(1 + 2**-10)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def test_relu_bias_and_its_mask_give_the_gradient(operands):
    a, b, d = operands
    bias = np.linspace(-1, 1, 5, dtype="f4")
    mask = np.zeros(128 * 6 // 8, np.uint8)
    epilogue = RELU | AUX | BIAS
    assert Gemm(a, b, d, epilogue=epilogue, bias=bias, aux=mask, aux_ld=128).run() == 0
    z = a @ b + bias[:, None]
    np.testing.assert_allclose(d, np.maximum(z, 0), rtol=1e-5, atol=1e-6)

    gradient, bias_gradient = np.zeros_like(d), np.zeros(5, "f4")
    identity, dy = column_major(np.eye(5, dtype="f4")), column_major(np.ones((5, 6), "f4"))
    epilogue = DRELU | AUX | BGRAD
    backward = Gemm(
        identity, dy, gradient, epilogue=epilogue, bias=bias_gradient, aux=mask, aux_ld=128
    )
    assert backward.run() == 0
    np.testing.assert_array_equal(gradient, z > 0)
    np.testing.assert_array_equal(bias_gradient, (z > 0).sum(1))


def test_gelu_and_its_input_give_the_gradient(operands):
    a, b, d = operands
    saved = column_major(np.zeros((8, 6), "f4"))
    assert Gemm(a, b, d, epilogue=GELU | AUX, aux=saved, aux_ld=8).run() == 0
    z = a.astype(float) @ b
    np.testing.assert_allclose(d, gelu(z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(saved[:5], z, rtol=1e-5, atol=1e-6)

    gradient, identity = np.zeros_like(d), column_major(np.eye(5, dtype="f4"))
    dy = column_major(np.ones((5, 6), "f4"))
    backward = Gemm(identity, dy, gradient, epilogue=DGELU | AUX, aux=saved, aux_ld=8)
    assert backward.run() == 0
    step = 1e-6
    np.testing.assert_allclose(
        gradient, (gelu(z + step) - gelu(z - step)) / (2 * step), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("epilogue", "operand", "axis"), [(BGRADA, 0, 1), (BGRADB, 1, 0)])
def test_bias_gradients_of_operands(operands, epilogue, operand, axis):
    expected = operands[operand].sum(axis)
    sums = np.zeros(len(expected), "f4")
    assert Gemm(*operands, epilogue=epilogue, bias=sums).run() == 0
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(operands[2], operands[0] @ operands[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "options", "status"),
    [
        ("inner", {}, INVALID_VALUE),
        ("none", {"epilogue": BIAS}, INVALID_VALUE),
        ("none", {"epilogue": RELU | AUX, "aux": np.zeros(96, np.uint8), "aux_ld": 64}, 7),
        ("none", {"epilogue": 3}, INVALID_VALUE),
        ("none", {"compute": COMPUTE_64F}, NOT_SUPPORTED),
        ("half output", {}, NOT_SUPPORTED),
    ],
)
def test_refuses_what_does_not_fit(operands, change, options, status):
    a, b, d = operands
    if change == "inner":
        a = column_major(a[:, :6])
    if change == "half output":
        d = d.astype("f2")
    assert Gemm(a, b, d, **options).run() == status


def test_refuses_too_little_workspace(operands):
    gemm = Gemm(*operands)
    status, plan = gemm.heuristic(1 << 20)
    assert status == 0 and 0 < plan.workspace <= 1 << 20
    workspace = np.zeros(plan.workspace // 8 + 2, np.float64)
    pointer = ctypes.c_void_p(workspace.ctypes.data + -workspace.ctypes.data % 16)
    algo = ctypes.byref(plan.algo)
    assert gemm.run(algo=algo) == INVALID_VALUE
    odd = ctypes.c_void_p(pointer.value + 1)
    assert gemm.run(1, 0, algo, odd, plan.workspace) == INVALID_VALUE
    assert gemm.run(1, 0, algo, pointer, plan.workspace) == 0


def test_heuristic_refuses_misfits(operands):
    a, b, d = operands
    assert Gemm(a, column_major(b[:6]), d).heuristic(0)[0] == INVALID_VALUE
