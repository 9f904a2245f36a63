"""Convolution at its edges: no images, large kernels, dtypes, NaN, split sums, errors."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.backend import devices
from gpunn.errors import ShapeError
from gpunn.ops import columns, conv_kernels
from gpunn.ops.conv import convolution
from gpunn.ops.windows import windows
from tests.ops.cases_conv import convolved, depthwise, transposed
from tests.ops.test_conv import assert_close, normal, with_gradients

KERNELS = {
    "conv": (ops.conv, (3, 3, 2, 4)),
    "conv_transpose": (ops.conv_transpose, (3, 3, 4, 2)),
    "depthwise_conv": (ops.depthwise_conv, (3, 3, 2, 2)),
}
every_op = pytest.mark.parametrize("name", KERNELS)


@every_op
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_no_images_and_one(name, stride, padding):
    function, shape = KERNELS[name]
    x, w = normal(3, 6, 5, 2), normal(*shape)
    together = function(x, w, stride, padding).numpy()
    y, dx, dw = with_gradients(lambda x, w: function(x, w, stride, padding), x[:0], w)
    assert (y.shape, dx.shape) == ((0, *together.shape[1:]), (0, 6, 5, 2))
    np.testing.assert_array_equal(dw, np.zeros(shape))
    y, dx, _ = with_gradients(lambda x, w: function(x, w, stride, padding), x[:1], w)
    np.testing.assert_allclose(y, together[:1], rtol=1e-12, atol=1e-12)
    assert dx.shape == (1, 6, 5, 2)


def test_no_images_on_the_simulated_gpu(simulated_gpu):
    gpu = devices.gpu()
    for function, shape in KERNELS.values():
        x, w = gpu.asarray(np.zeros((0, 6, 5, 2))), gpu.asarray(normal(*shape))
        y, dx, dw = with_gradients(lambda x, w, f=function: f(x, w, 2, "same"), x, w)
        assert (len(y), dx.shape) == (0, (0, 6, 5, 2))
        np.testing.assert_array_equal(dw, np.zeros(shape))


@every_op
def test_halves_are_summed_in_float32(name):
    """4608 products of 0.125: a running sum in float16 would stay at 256."""
    function, _ = KERNELS[name]
    shape = {"conv": (3, 3, 512, 1), "conv_transpose": (3, 3, 1, 512)}.get(name, (48, 96, 1, 1))
    x = np.ones((1, 3, 3, 512) if name != "depthwise_conv" else (1, 48, 96, 1), "float16")
    w = np.full(shape, 0.125, "float16")
    y, dx, dw = with_gradients(lambda x, w: function(x, w), x, w)
    assert {a.dtype.name for a in (y, dx, dw)} == {"float16"}
    assert y.max() == {"conv_transpose": 9 * 64}.get(name, 4608 * 0.125)


@every_op
def test_dtypes_are_promoted(name):
    function, shape = KERNELS[name]
    x, w = normal(1, 4, 4, 2), normal(*shape)
    assert function(x.astype("float16"), w.astype("float16")).dtype == "float16"
    assert function(x.astype("float16"), w.astype("float32")).dtype == "float32"
    assert function(x, w.astype("float32")).dtype == "float64"
    pixels = np.arange(32, dtype="uint8").reshape(1, 4, 4, 2)
    y = function(pixels, w.astype("float32"))
    assert y.dtype == "float32"
    expected = function(pixels.astype("float32"), w.astype("float32"))
    np.testing.assert_array_equal(y.numpy(), expected.numpy())


def test_kernels_larger_than_the_image():
    x, w = normal(2, 2, 3, 2), normal(5, 7, 2, 3)
    for strides in (1, 2):
        assert_close(
            [ops.conv(x, w, strides, "same").numpy()], [convolved(x, w, None, strides, "same")]
        )
        y = ops.conv_transpose(x, normal(5, 7, 3, 2) * 0 + 1, strides, "same")
        assert_close([y.numpy()], [transposed(x, np.ones((5, 7, 3, 2)), strides, "same")])
    d = normal(5, 7, 2, 2)
    assert_close([ops.depthwise_conv(x, d, 1, "same").numpy()], [depthwise(x, d, 1, "same")])
    line, v = normal(1, 2, 1), normal(6, 1, 2)
    expected = convolved(line, v, None, 1, "causal", 2)
    assert_close([ops.conv(line, v, 1, "causal", None, 2).numpy()], [expected])


def test_causal_sees_nothing_of_the_future():
    x, w = normal(1, 9, 2), normal(3, 2, 2)
    later = x.copy()
    later[:, 5:] = 100
    for strides, dilation in ((1, 1), (1, 3), (2, 1)):
        a, b = (ops.conv(z, w, strides, "causal", None, dilation).numpy() for z in (x, later))
        unchanged = -(-5 // strides)
        np.testing.assert_array_equal(a[:, :unchanged], b[:, :unchanged])
        assert (a[:, unchanged:] != b[:, unchanged:]).all()


def test_lists_are_images_too():
    y = ops.conv([[[1.0], [2.0], [4.0]]], [[[1.0]], [[-1.0]]])
    np.testing.assert_array_equal(y.numpy().ravel(), [-1, -2])


def test_nan_goes_through_relu_on_both_devices(simulated_gpu):
    x, w, b = np.array([[[np.nan], [1.0], [-1.0]]]), np.ones((1, 1, 1)), np.zeros(1)
    one = {"strides": (1,), "dilation": (1,), "padding": "valid", "activation": "relu"}
    gpu = devices.gpu()
    for backend in (devices.cpu, gpu):
        y = convolution(*(backend.asarray(a) for a in (x, w, b)), **one)
        np.testing.assert_array_equal(y.numpy().ravel(), [np.nan, 1, 0])


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_kernels_gradient_is_summed_of_parts(simulated_gpu, monkeypatch, groups, dtype):
    """On a GPU the pixels of a large batch are shared among blocks, whose sums are added."""
    geometry = windows("conv", (20, 18), (3, 2), (1, 1), (1, 1), "same")
    x, dy = normal(3, 20, 18, 6).astype(dtype), normal(3, 20, 18, 9).astype(dtype)
    parts = []

    def noted(array, out, axes, original=conv_kernels.reduce_sum):
        parts.append(array.shape)
        original(array, out, axes=axes)

    monkeypatch.setattr(conv_kernels, "reduce_sum", noted)
    results = []
    for backend in (devices.cpu, devices.gpu()):
        dw = backend.empty((3, 2, 6 // groups, 9), dtype)
        conv_kernels.conv_backward_kernel(
            backend.asarray(x), backend.asarray(dy), dw, windows=geometry, groups=groups
        )
        results.append(devices.to_numpy(dw))
    assert parts == [(4, 3, 2, 6 // groups, 9)]  # 1080 pixels, at least 256 each
    tolerance = 1e-3 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(*results, rtol=tolerance, atol=tolerance)


def test_unknown_lengths():
    x = SymbolicTensor((None, None, 7, 3), "float16")
    w = SymbolicTensor((3, 3, 3, 5), "float16")
    assert ops.conv(x, w).shape == (None, None, 5, 5)
    assert ops.conv(x, w, 2, "same").shape == (None, None, 4, 5)
    back = SymbolicTensor((3, 3, 5, 3), "float16")
    assert ops.conv_transpose(x, back, 2, "same").shape == (None, None, 14, 5)
    assert ops.depthwise_conv(x, back[..., :3, :]).shape == (None, None, 5, 9)
    first = SymbolicTensor((None, 3, None, 7), "float32")
    assert ops.conv(first, w, data_format="channels_first").shape == (None, 5, None, 5)


# --- errors ---


X = np.ones((2, 5, 6, 4), "float32")


def ones(*shape):
    return np.ones(shape, "float32")


ERRORS = [
    (lambda x: ops.conv(x, ones(3, 4, 2)), ShapeError,
     r"conv: inputs must be a batch of images .* \(inputs \(2, 5, 6, 4\), kernel \(3, 4, 2\)\)"),
    (lambda x: ops.conv(x, ones(4)), ShapeError, r"conv: inputs must be .* kernel \(4,\)"),
    (lambda x: ops.conv(x[0, 0], ones(4, 2)), ShapeError, "conv: inputs must be a batch of images"),
    (lambda x: ops.depthwise_conv(x, ones(3, 4, 2)), ShapeError, "depthwise_conv: inputs must be"),
    (lambda x: ops.conv_transpose(x, ones(3, 4, 2)), ShapeError, "conv_transpose: inputs must be"),
    (lambda x: ops.conv(x, ones(0, 3, 4, 2)), ShapeError, "conv: a spatial axis has length 0"),
    (lambda x: ops.conv(x[:, :0], ones(3, 3, 4, 2), 1, "same"), ShapeError,
     r"conv: a spatial axis has length 0 .*inputs \(2, 0, 6, 4\)"),
    (lambda x: ops.conv_transpose(x[:, :0], ones(3, 3, 2, 4)), ShapeError,
     "conv_transpose: a spatial axis has length 0"),
    (lambda x: ops.conv(x, ones(3, 3, 3, 2)), ShapeError,
     "conv: the 4 channels of the inputs must be a multiple of the kernel's 3 .* data_format"),
    (lambda x: ops.conv(x, ones(3, 3, 0, 2)), ShapeError, "a multiple of the kernel's 0"),
    (lambda x: ops.conv(x, ones(3, 3, 4, 0)), ShapeError, "conv: 0 filters cannot be shared"),
    (lambda x: ops.conv(x, ones(3, 3, 2, 3)), ShapeError,
     "conv: 3 filters cannot be shared among 2 groups .* Make filters a multiple"),
    (lambda x: convolution(x, ones(3, 3, 4, 2), ones(3), strides=(1, 1), dilation=(1, 1),
                           padding="same"), ShapeError,
     r"conv: the bias must have one element a filter, shape \(2,\), received \(3,\)"),
    (lambda x: ops.conv(x, ones(7, 3, 4, 2)), ShapeError,
     "conv: a window of 7 .kernel 7, dilation 1. does not fit into an axis of length 5 .*same"),
    (lambda x: ops.conv(x, ones(3, 3, 4, 2), dilation_rate=(1, 3)), ShapeError,
     "conv: a window of 7 .kernel 3, dilation 3. does not fit into an axis of length 6"),
    (lambda x: ops.depthwise_conv(x, ones(7, 3, 4, 2)), ShapeError,
     "depthwise_conv: a window of 7 .* axis of length 5"),
    (lambda x: ops.conv_transpose(x, ones(3, 3, 4, 2)), ShapeError,
     "conv_transpose: the inputs have 4 channels, the kernel .* expects 2"),
    (lambda x: ops.conv_transpose(x[:, :1], ones(2, 3, 2, 4), 2, "same", 0), ShapeError,
     r"conv_transpose: the output would have sizes \(0, 11\) .* output_padding"),
    (lambda x: ops.conv_transpose(x, ones(3, 3, 2, 4), 2, "same", 2), ValueError,
     r"conv_transpose: output_padding must be .* smaller than the stride .*\(2, 2\).*received 2"),
    (lambda x: ops.conv_transpose(x, ones(3, 3, 2, 4), 2, "same", (1, -1)), ValueError,
     "output_padding must be 0 or more"),
    (lambda x: ops.conv_transpose(x, ones(3, 3, 2, 4), 2, "same", (1,)), ValueError,
     "output_padding must be 0 or more"),
    (lambda x: ops.conv_transpose(x[0], ones(3, 2, 6), padding="causal"), ValueError,
     "Unknown padding of conv_transpose: 'causal'"),
    (lambda x: ops.depthwise_conv(x, ones(3, 3, 3, 2)), ShapeError,
     "depthwise_conv: the inputs have 4 channels, the kernel .* is for 3"),
    (lambda x: ops.separable_conv(x, ones(3, 3, 4, 2), ones(1, 1, 3, 2)), ShapeError,
     "conv: the 8 channels of the inputs must be a multiple of the kernel's 3"),
    (lambda x: ops.conv(x, ones(3, 3, 4, 2), 0), ValueError,
     "conv: strides must be a positive integer or 2 of them, received 0"),
    (lambda x: ops.conv(x, ones(3, 3, 4, 2), (1, 2, 1)), ValueError, "conv: strides must be"),
    (lambda x: ops.conv(x, ones(3, 3, 4, 2), dilation_rate=1.5), ValueError,
     "conv: dilation_rate must be a positive integer or 2 of them, received 1.5"),
    (lambda x: ops.depthwise_conv(x, ones(3, 3, 4, 2), True), ValueError,
     "depthwise_conv: strides must be"),
    (lambda x: ops.conv(x, ones(3, 3, 4, 2), padding="smae"), ValueError,
     "Unknown padding of conv: 'smae'. Did you mean 'same'"),
    (lambda x: ops.conv(x, ones(3, 3, 4, 2), padding="causal"), ValueError,
     "Unknown padding of conv: 'causal'.* Known: same, valid"),
    (lambda x: ops.conv(x, ones(3, 3, 4, 2), padding=((1, 1), (1, 1))), ValueError,
     "Unknown padding of conv"),
    (lambda x: ops.conv(x, ones(3, 3, 4, 2), data_format="NHWC"), ValueError,
     "Unknown data_format: 'NHWC'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=range(len(ERRORS)))
@pytest.mark.parametrize("symbolic", [False, True])
def test_errors(call, error, message, symbolic):
    x = SymbolicTensor(X.shape, "float32") if symbolic else ops.convert_to_tensor(X)
    with pytest.raises(error, match=message):
        call(x)


def test_unknown_channels():
    with pytest.raises(
        ShapeError, match="conv: the None channels of the inputs must be a multiple"
    ):
        ops.conv(SymbolicTensor((2, 5, 6, None)), ones(3, 3, 4, 2))


@pytest.mark.parametrize(
    ("size", "kernel", "channels", "padding", "turned"),
    [
        (16, 3, (16, 8), "same", True),
        (16, 3, (8, 16), "same", False),
        (7, 7, (16, 2), "valid", False),  # one window, but 49 pixels
        (8, 5, (32, 4), "valid", False),
    ],
)
def test_which_columns_the_kernels_gradient_multiplies(
    monkeypatch, size, kernel, channels, padding, turned
):
    """Those of dy where they are less work; either way the sum over all windows."""
    geometry = windows("conv", (size, size), (kernel, kernel), (1, 1), (1, 1), padding)
    x, dy = normal(2, size, size, channels[0]), normal(2, *geometry.out, channels[1])
    multiplied = []

    def noted(xp, a, b, out, original=columns._matmul):
        multiplied.append(out.size * a.shape[-1])
        original(xp, a, b, out)

    monkeypatch.setattr(columns, "_matmul", noted)
    dw = np.full((kernel, kernel, *channels), np.nan)
    columns.backward_kernel(np, x, dy, dw, geometry, 1)
    count = len(x) * (size * size if turned else np.prod(geometry.out)) * dw.size
    assert sum(multiplied) == count
    before = kernel // 2 if padding == "same" else 0
    wide = np.pad(x, ((0, 0), (before, before), (before, before), (0, 0)))
    for i, j in np.ndindex(kernel, kernel):
        seen = wide[:, i : i + geometry.out[0], j : j + geometry.out[1]]
        np.testing.assert_allclose(dw[i, j], np.einsum("nhwc,nhwk->ck", seen, dy), rtol=1e-10)
