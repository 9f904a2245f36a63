"""Convolution on tensor cores, in the emulator: values against float64, races, routes."""

from __future__ import annotations

import numpy as np
import pytest

import gpunn
from gpunn import config
from gpunn.backend import devices
from gpunn.backend.cuda import read_source
from gpunn.backend.routes import routes_of
from gpunn.ops import conv_tensor
from gpunn.ops.conv_kernels import conv_backward_input, conv_backward_kernel, conv_forward
from gpunn.ops.conv_tensor import TensorConvolution, applies, vector
from gpunn.ops.windows import windows
from tests.simulated_gpu.device import reset_statistics, statistics
from tests.simulated_gpu.emulator import EmulatedModule, EmulatorError, available

pytestmark = pytest.mark.skipif(not available()[0], reason=available()[1])

KERNELS = {
    "FORWARD": conv_forward,
    "BACKWARD_INPUT": conv_backward_input,
    "BACKWARD_KERNEL": conv_backward_kernel,
}
#: The largest error relative to Σ |products|: two roundings of factors, one of the result.
TOLERANCE = {"float32": 1.1e-3, "float16": 6e-4, "bfloat16": 5e-3}
CASES = {  # windows, C, K, groups
    "padded": (windows("conv", (7, 6), (3, 3), (1, 1), (1, 1), "same"), 8, 16, 1),
    "odd channels and strides": (
        windows("conv", (9, 8), (3, 2), (2, 3), (1, 1), "valid"), 3, 5, 1,
    ),
    "dilated groups": (windows("conv", (9, 9), (2, 3), (1, 1), (2, 1), "same"), 32, 48, 2),
    "strides, several tiles": (windows("conv", (9, 7), (3, 3), (2, 2), (1, 1), "same"), 24, 72, 1),
    "one axis": (windows("conv", (11,), (3,), (1,), (2,), "causal"), 2, 4, 1),
    "three axes": (windows("conv", (5, 4, 6), (2, 3, 2), (2, 1, 2), (1, 1, 1), "same"), 4, 12, 1),
}  # fmt: skip


@pytest.fixture
def precision():
    """Sets the precision of products for one test."""
    before = config.matmul_precision()
    yield config.set_matmul_precision
    config.set_matmul_precision(before)


@pytest.fixture
def tile(monkeypatch):
    """Sets the size of tiles for one test."""
    return lambda size: monkeypatch.setattr(conv_tensor, "_tile", lambda *_: size)


def dtype_of(name):
    if name == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(name)


def problem(mode, geometry, c, k, groups, dtype, batch=2):
    """(arrays, options) of one of the kernels, the output unwritten"""
    rng = np.random.default_rng(0)
    shapes = {
        "x": (batch, *geometry.sizes, c), "w": (*geometry.kernel, c // groups, k),
        "y": (batch, *geometry.out, k), "bias": (k,),
    }  # fmt: skip
    made = {n: rng.standard_normal(s).astype("f4").astype(dtype) for n, s in shapes.items()}
    inputs = {"FORWARD": "x w bias", "BACKWARD_INPUT": "y w", "BACKWARD_KERNEL": "x y"}[mode]
    result = {"FORWARD": "y", "BACKWARD_INPUT": "x", "BACKWARD_KERNEL": "w"}[mode]
    out = np.full(shapes[result], np.nan, "f4").astype(dtype)
    options = {"windows": geometry, "groups": groups}
    if mode == "FORWARD":
        options["relu"] = True
    return (*(made[name] for name in inputs.split()), out), options


def shifted(x, geometry, tap):
    """What this tap of all windows reads of x with zeros around it: a view"""
    starts = [t * d for t, d in zip(tap, geometry.dilation)]
    axes = zip(starts, geometry.out, geometry.strides)
    return x[:, *(slice(start, start + (n - 1) * s + 1, s) for start, n, s in axes)]


def by_taps(mode, arrays, geometry, groups):
    """The product in float64, tap by tap of each group."""
    out = np.zeros(arrays[-1].shape)
    x, w, y = {
        "FORWARD": (arrays[0], arrays[1], out),
        "BACKWARD_INPUT": (out, arrays[1], arrays[0]),
        "BACKWARD_KERNEL": (arrays[0], out, arrays[1]),
    }[mode]
    padded = np.pad(x, [(0, 0), *zip(geometry.before, geometry.after), (0, 0)])
    c, k = w.shape[-2], w.shape[-1] // groups
    for group in range(groups):
        channels, filters = slice(group * c, (group + 1) * c), slice(group * k, (group + 1) * k)
        for tap in np.ndindex(*geometry.kernel):
            X, W = shifted(padded[..., channels], geometry, tap), w[tap][:, filters]
            if mode == "FORWARD":
                y[..., filters] += X @ W
            elif mode == "BACKWARD_INPUT":
                X += y[..., filters] @ W.T
            else:
                W += np.tensordot(X, y[..., filters], [range(X.ndim - 1)] * 2)
    if mode == "BACKWARD_INPUT":
        out = padded[:, *(slice(b, b + n) for b, n in zip(geometry.before, geometry.sizes))]
    return out


def reference(mode, arrays, options):
    """The result in float64, and the sum of the absolute products."""
    geometry, groups = options["windows"], options["groups"]
    wide = [np.zeros(1) if a is None else a.astype("f8") for a in arrays]  # None: no bias
    result = by_taps(mode, wide, geometry, groups)
    scale = by_taps(mode, [np.abs(a) for a in wide], geometry, groups)
    if mode == "FORWARD":
        result, scale = result + wide[2], scale + np.abs(wide[2])
    if options.get("relu"):
        result = np.maximum(result, 0)
    return result, scale


def error(mode, arrays, options):
    expected, scale = reference(mode, arrays, options)
    return np.max(np.abs(arrays[-1].astype("f8") - expected) / (scale + 1e-30))


def launch(mode, arrays, options, source=None, order=0):
    """Run the kernel of conv_mma.cu, or of a changed source, on NumPy arrays."""
    route = TensorConvolution(mode)
    grid, block, arguments, shared = route.launch(*arrays, **options)
    expression = route.expression(arrays, options)
    module = EmulatedModule(source or read_source("conv_mma.cu"), (), [expression])
    arguments = [np.uint64(0) if a is None else a for a in arguments]
    module.get_function(expression)(grid, block, arguments, shared, order=order)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("mode", KERNELS)
@pytest.mark.parametrize("case", CASES)
def test_small_tiles(mode, case, dtype, tile):
    tile(64)
    arrays, options = problem(mode, *CASES[case], dtype_of(dtype))
    launch(mode, arrays, options)
    assert error(mode, arrays, options) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("mode", KERNELS)
@pytest.mark.parametrize("order", [1, 7])
def test_large_tiles(mode, dtype, order, tile):
    tile(128)
    geometry = windows("conv", (9, 8), (3, 2), (2, 1), (1, 2), "same")
    arrays, options = problem(mode, geometry, 24, 136, 1, dtype, batch=3)
    launch(mode, arrays, options, order=order)
    assert error(mode, arrays, options) < TOLERANCE[dtype]


@pytest.mark.parametrize(("name", "dtype"), [("float32", "f4"), ("float16", "f2")])
def test_a_long_inner_dimension_is_split(simulated_gpu, precision, name, dtype):
    """Parts are summed in float32, and the same bits come out each time."""
    precision("high")
    geometry = windows("conv", (17, 16), (2, 1), (1, 1), (1, 1), "same")
    arrays, options = problem("BACKWARD_KERNEL", geometry, 5, 8, 1, dtype, batch=3)
    results = []
    for _ in range(2):
        on_gpu = [devices.gpu().asarray(a) for a in arrays]
        reset_statistics()
        conv_backward_kernel(*on_gpu, **options)
        results.append(on_gpu[-1].get())
    assert any(launched.startswith("add_parts") for launched in statistics().launches)
    np.testing.assert_array_equal(*results)
    assert error("BACKWARD_KERNEL", (*arrays[:-1], results[0]), options) < TOLERANCE[name]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("copy_wait<STAGES - 2>()", "copy_wait<STAGES - 1>()", "may still be filling"),
        ("    __syncthreads();  // this stage", "    // this stage", "race|filling|uninitialised"),
    ],
)
def test_bugs_of_the_pipeline_are_found(old, new, complaint, tile):
    tile(64)
    source = read_source("conv_mma.cu")
    assert source.count(old) == 1
    arrays, options = problem("FORWARD", *CASES["strides, several tiles"], "f4")
    with pytest.raises(EmulatorError, match=complaint):
        launch("FORWARD", arrays, options, source.replace(old, new))


@pytest.mark.parametrize("along", ["true", "false"])
@pytest.mark.parametrize(("type_name", "width"), [("float", 4), ("__half", 8)])
@pytest.mark.parametrize("rows", [64, 128])
def test_chunks_that_are_read_together_lie_in_different_banks(type_name, width, along, rows):
    lines, chunks = (rows, 4) if along == "true" else (4 * width, rows // width)
    source = (
        read_source("mma.cuh")
        + f"""extern "C" __global__ void k(int* out) {{
      out[threadIdx.x] = Tile<{type_name}, {rows}, {along}>::place(threadIdx.x / {chunks},
                                                                  threadIdx.x % {chunks});
    }}"""
    )
    out = np.zeros(lines * chunks, np.int32)
    EmulatedModule(source).get_function("k")((1,), (out.size,), (out,))
    assert sorted(out) == list(range(0, rows * 4 * width, width))  # each place is used once
    banks = out.reshape(lines, chunks) // width % 8  # of 16 bytes
    if along == "true" or width == 8:  # eight lines, one chunk: a phase of ldmatrix
        read = banks.reshape(-1, 8, chunks).swapaxes(1, 2)
    else:  # four lines, two chunks: words of one instruction
        read = banks.reshape(-1, 4, chunks // 2, 2).swapaxes(1, 2)
    assert (np.sort(read.reshape(-1, 8)) == np.arange(8)).all()


def test_where_it_applies(precision):
    f2, f4, f8 = (np.dtype(name) for name in ("f2", "f4", "f8"))
    assert applies(f2, 75) and applies(f2, 90) and not applies(f2, 70)
    assert not applies(f4, 90) and not applies(f8, 90)
    precision("high")
    assert applies(f4, 80) and not applies(f4, 75) and not applies(f8, 90)


def test_copies_are_as_wide_as_the_array_allows():
    x = np.zeros(64, "f2")
    x = x[-x.ctypes.data % 16 // 2 :]
    assert [vector(x, width) for width in (8, 4, 6, 3)] == [8, 2, 2, 1]
    assert [vector(x[start:], 8) for start in (1, 2, 8)] == [1, 2, 8]
    assert [vector(x[:16].view("f4"), width) for width in (4, 6, 1)] == [4, 1, 1]


@pytest.mark.parametrize("mode", KERNELS)
def test_what_it_leaves_to_other_routes(mode, precision):
    precision("high")
    route = TensorConvolution(mode)
    geometry = windows("conv", (5, 5), (3, 3), (1, 1), (1, 1), "same")
    for channels, dtype, reason in ((32, "f4", ""), (16, "f4", "narrow"), (32, "f8", "wide")):
        arrays, options = problem(mode, geometry, channels, 32, 2, dtype)
        assert (route.launch(*arrays, **options) is NotImplemented) == bool(reason)
    arrays, options = problem(mode, geometry, 32, 32, 2, "f4")
    mixed = (arrays[0].astype("f2"), *arrays[1:])
    assert route.launch(*mixed, **options) is NotImplemented
    far = windows("conv", (2,), (2,), (1 << 15,), (1 << 15,), "same")
    arrays, options = problem(mode, far, 4, 4, 1, "f4")
    assert route.launch(*arrays, **options) is NotImplemented


def product_of_ones_and_a_bit():
    """1 · (1 + 2⁻¹²): tf32 has no such number."""
    geometry = windows("conv", (4, 4), (3, 3), (1, 1), (1, 1), "valid")
    x, w = np.zeros((1, 4, 4, 4), "f4"), np.zeros((3, 3, 4, 4), "f4")
    x[..., 0], w[1, 1, 0, :] = 1, 1 + 2.0**-12
    return x, w, np.zeros((1, 2, 2, 4), "f4"), {"windows": geometry, "groups": 1, "relu": False}


@pytest.mark.parametrize(
    ("setting", "capability", "expected"),
    [("highest", 90, 1 + 2.0**-12), ("high", 90, 1), ("high", 75, 1 + 2.0**-12)],
)
def test_tf32_only_where_it_is_allowed(simulated_gpu, precision, setting, capability, expected):
    gpu = devices.gpu()
    gpu.capability = capability
    precision(setting)
    x, w, y, options = product_of_ones_and_a_bit()
    out = gpu.asarray(y)
    conv_forward(gpu.asarray(x), gpu.asarray(w), None, out, **options)
    np.testing.assert_array_equal(out.get(), np.full(y.shape, expected, "f4"))


def test_the_cpu_does_not_round(precision):
    precision("high")
    x, w, y, options = product_of_ones_and_a_bit()
    conv_forward(x, w, None, y, **options)
    assert (y == np.float32(1 + 2.0**-12)).all()


@pytest.mark.parametrize("mode", KERNELS)
def test_the_examples_of_the_kernels_in_tf32(simulated_gpu, precision, mode):
    precision("high")
    for arrays, options in KERNELS[mode].examples(np.random.default_rng(0), "float32"):
        on_gpu = [None if a is None else devices.gpu().asarray(a) for a in arrays]
        KERNELS[mode](*on_gpu, **options)
        received = (*arrays[:-1], on_gpu[-1].get())
        assert error(mode, received, options) < TOLERANCE["float32"]


def trained(jit_compile):
    """The weights after a few steps, and the launches of kernels by name."""
    gpunn.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 6, 6, 3), "f4"), rng.standard_normal((20, 2), "f4")
    reset_statistics()
    with gpunn.device("gpu"):
        model = gpunn.Sequential(
            [
                gpunn.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
                gpunn.layers.Conv2D(4, 2),
                gpunn.layers.Flatten(),
                gpunn.layers.Dense(2),
            ]
        )
        model.compile("sgd", "mse", jit_compile=jit_compile)
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return model.get_weights(), statistics()


def test_recorded_steps_compute_the_same(simulated_gpu, precision):
    precision("high")
    (eager, before), (recorded, after) = trained(False), trained(True)
    for mine, others in zip(eager, recorded, strict=True):
        np.testing.assert_array_equal(mine, others)
    assert before.replays == 0 and after.replays > 0
    for mode in KERNELS:
        assert any(f"convolution_mma<float, {mode}" in name for name in before.launches)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=list(KERNELS))
def test_tensor_cores_come_before_the_plain_product(kernel):
    names = [route.name for route in routes_of(kernel)]
    assert names.index("tensor cores") < names.index("implicit")
