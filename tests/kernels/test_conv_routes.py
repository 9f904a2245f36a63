"""Each route of convolution by itself, its memory, and the choice among them inside a training."""

import numpy as np
import pytest

import gpunn
from gpunn import check, config, layers
from gpunn.backend import cublaslt, devices, routes
from gpunn.ops import conv_routes
from gpunn.ops.conv_kernels import conv_backward_input, conv_backward_kernel, conv_forward
from gpunn.ops.conv_routes import Columns, Pointwise
from gpunn.ops.gemm import gemm
from gpunn.ops.windows import windows
from tests.simulated_gpu.device import statistics

KERNELS = (conv_forward, conv_backward_input, conv_backward_kernel)
MODES = {"FORWARD": conv_forward, "BACKWARD_INPUT": conv_backward_input}
MODES["BACKWARD_KERNEL"] = conv_backward_kernel


@pytest.fixture(autouse=True)
def _settings(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUNN_CACHE_DIR", str(tmp_path))
    before = config.route_timing(), config.conv_workspace()
    routes.forget()
    yield
    routes.forget()
    config.set_route_timing(before[0])
    config.set_conv_workspace(before[1])


@pytest.fixture
def gpu(simulated_gpu):
    return devices.gpu()


def of(kernel, name):
    return kernel.cuda.routes[name]


# --- parity ---


@pytest.mark.parametrize("workspace", [64 << 20, 6000, 1200])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_every_route_equals_the_reference(gpu, kernel, dtype, workspace):
    config.set_conv_workspace(workspace)
    counts = {}
    for name, route in kernel.cuda.routes.items():
        result = check.parity(kernel, dtype, gpu.xp, route)
        assert result.ok, f"{name}: {result.message}"
        counts[name] = result.cases
    examples = 20 if kernel is conv_forward else 10
    both = 2 if kernel is conv_forward else 1  # with and without bias and ReLU; of one, all pixels
    assert counts["implicit"] == examples and counts["pointwise"] == both
    if workspace > 6000:
        assert counts["columns"] == 8 * both  # two of ten have groups
    assert counts["columns"] > 0


def geometry(sizes=(9, 8), kernel=(3, 3), strides=(1, 1), padding="same", dilation=(1, 1)):
    return windows("conv", sizes, kernel, strides, dilation, padding)


def arrays(gpu, mode, where, n=2, c=4, k=6, dtype="float32", groups=1, bias=False, seed=0):
    rng = np.random.default_rng(seed)

    def made(*shape):
        return gpu.asarray(rng.standard_normal(shape).astype(dtype))

    x, y = (n, *where.sizes, c), (n, *where.out, k)
    w = (*where.kernel, c // groups, k)
    if mode == "FORWARD":
        return made(*x), made(*w), made(k) if bias else None, gpu.empty(y, dtype)
    if mode == "BACKWARD_INPUT":
        return made(*y), made(*w), gpu.empty(x, dtype)
    return made(*x), made(*y), gpu.empty(w, dtype)


def run(route, mode, given, where, groups=1, relu=False):
    """What the route computes, None if it does not apply; and what the reference does."""
    options = {"windows": where, "groups": groups}
    options |= {"relu": relu} if mode == "FORWARD" else {}
    on_host = [None if a is None else a.get() for a in given]
    MODES[mode].reference(np, *on_host, **options)
    if route(MODES[mode], given, options) is NotImplemented:
        return None, on_host[-1]
    return given[-1].get(), on_host[-1]


def test_check_goes_through_the_routes_and_times_none(gpu, monkeypatch):
    config.set_route_timing(True)
    monkeypatch.setattr(check, "all_kernels", lambda: {"conv_forward": conv_forward})
    results = list(check.run())
    assert all(r.ok for r in results), [r.message for r in results]
    rows = {(r.kernel, r.dtype): r.cases for r in results}
    for dtype in conv_forward.dtypes:
        found = [rows["conv_forward" + name, dtype] for name in ("", ": implicit", ": columns")]
        assert found == [20, 20, 16]
    assert ("conv_forward: tensor cores", "float64") not in rows
    assert config.route_timing() and not routes.choices_of(0).path.exists()


NOT_POINTWISE = {
    "kernel": geometry(kernel=(1, 2)), "strides": geometry(kernel=(1, 1), strides=(1, 2)),
    "padding": geometry(kernel=(3, 3)),
    "pixels left out": geometry(kernel=(1, 1)).first((8, 8)),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", NOT_POINTWISE)
def test_pointwise_is_for_plain_products_only(gpu, mode, case):
    where = NOT_POINTWISE[case]
    received, _ = run(Pointwise(mode), mode, arrays(gpu, mode, where), where)
    assert received is None


@pytest.mark.parametrize("route", [Pointwise, Columns])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", ["groups", "no library", "no images", "strided"])
def test_what_is_left_to_other_routes(gpu, route, mode, case):
    where = geometry(kernel=(1, 1))
    groups = 2 if case == "groups" else 1
    given = arrays(gpu, mode, where, n=0 if case == "no images" else 2, groups=groups)
    if case == "no library":
        cublaslt.use_library(None)
    if case == "strided":
        images = given[0].swapaxes(1, 2).copy().swapaxes(1, 2)
        given = (images, *given[1:])
    received, _ = run(route(mode), mode, given, where, groups)
    assert received is None


def test_the_sizes_of_a_transposed_convolution_may_exceed_its_windows(gpu):
    """output_padding: more pixels than windows although the kernel is 1 x 1."""
    x = np.ones((1, 3, 3, 2), "float32")
    w = np.ones((1, 1, 4, 2), "float32")
    options = {"strides": 2, "padding": "valid", "output_padding": 1}
    expected = gpunn.ops.conv_transpose(x, w, **options).numpy()
    with gpunn.device("gpu:0"):
        received = gpunn.ops.conv_transpose(x, w, **options).numpy()
    assert received.shape == (1, 6, 6, 4)
    np.testing.assert_array_equal(received, expected)


def test_relu_and_bias_belong_to_the_product(gpu):
    """One launch for y = max(0, x w + b) of a 1 x 1 kernel."""
    where = geometry(kernel=(1, 1))
    given = arrays(gpu, "FORWARD", where, bias=True)
    before = statistics().launches.total()
    received, expected = run(Pointwise("FORWARD"), "FORWARD", given, where, relu=True)
    assert statistics().launches.total() - before == 1
    assert (received == 0).any() and (received > 0).any()
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)


# --- columns: chunks and memory ---


@pytest.mark.parametrize(
    ("rows", "unit", "most", "expected"),
    [
        (100, 1, 200, 100), (100, 1, 100, 100), (1000, 1, 300, 256), (1000, 1, 999, 512),
        (100, 1, 99, 99), (10, 1, 3, 3), (12, 4, 9, 8), (12, 4, 5, 4), (12, 4, 3, 0), (5, 1, 0, 0),
        (60, 6, 30, 30), (60, 6, 59, 30),
    ],
)  # fmt: skip
def test_chunks_are_as_even_as_the_workspace_allows(rows, unit, most, expected):
    config.set_conv_workspace(max(most * 7 * 4, 1))
    assert conv_routes._chunk(rows, unit, 7, 4) == expected


def test_chunks_are_counted_in_32_bits():
    config.set_conv_workspace(1 << 40)
    assert conv_routes._chunk(1 << 22, 1, 1 << 10, 4) * (1 << 10) < 1 << 31


STRIDED = geometry(strides=(2, 2))
LIMITS = [
    ("FORWARD", geometry(), 10_000), ("FORWARD", geometry(), 1 << 20),
    ("BACKWARD_INPUT", geometry(), 10_000), ("BACKWARD_INPUT", STRIDED, 10_000),
    ("BACKWARD_INPUT", STRIDED, 3_000), ("BACKWARD_KERNEL", geometry(), 10_000),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("mode", "where", "limit"), LIMITS)
def test_the_workspace_is_not_exceeded(gpu, monkeypatch, mode, where, limit, dtype):
    """The pool's peak is one buffer of columns, within the limit, and what is documented."""
    given = arrays(gpu, mode, where, n=5, dtype=dtype)
    buffers, pool = [], gpu.xp.cuda.MemoryPool()
    config.set_conv_workspace(limit)
    monkeypatch.setattr(
        conv_routes, "empty", lambda *a: buffers.append(devices.empty(*a)) or buffers[-1]
    )
    with gpu.xp.cuda.using_allocator(pool.malloc):
        received, expected = run(Columns(mode), mode, given, where)
    tolerance = check.TOLERANCES[dtype]
    np.testing.assert_allclose(received, expected, rtol=2 * tolerance, atol=5 * tolerance)
    columns = buffers[0].nbytes
    other = {"FORWARD": 0, "BACKWARD_INPUT": 216, "BACKWARD_KERNEL": 216 * 2}[mode]  # w, its sum
    assert 0 < columns <= limit
    buffers.clear()
    assert pool.total_bytes() <= columns + cublaslt.WORKSPACE + other * given[0].itemsize
    assert pool.used_bytes() == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_workspace_for_less_than_a_window_leaves_it_to_others(gpu, mode):
    where, image = (STRIDED, 20) if mode == "BACKWARD_INPUT" else (geometry(), 1)
    given = arrays(gpu, mode, where)
    row = 9 * 4 * 4 * image
    config.set_conv_workspace(row - 1)
    assert run(Columns(mode), mode, given, where)[0] is None
    config.set_conv_workspace(row)
    assert run(Columns(mode), mode, given, where)[0] is not None


def test_chunks_of_halves_are_summed_in_float32(gpu):
    """120 chunks that each add 1/2048 of the sum so far would be lost in halves."""
    where = geometry(sizes=(30,), kernel=(1,), strides=(1,), dilation=(1,))
    x, dy, dw = arrays(gpu, "BACKWARD_KERNEL", where, n=100, c=1, k=1, dtype="float16")
    x.fill(1)
    dy.fill(1)
    config.set_conv_workspace(25 * 2)
    received, _ = run(Columns("BACKWARD_KERNEL"), "BACKWARD_KERNEL", (x, dy, dw), where)
    assert received.item() == np.float16(3000)


@pytest.mark.parametrize("mode", MODES)
def test_routes_give_the_same_bits_each_time(gpu, mode):
    config.set_conv_workspace(4000)
    for route in (Columns(mode), of(MODES[mode], "implicit")):
        found = [
            run(route, mode, arrays(gpu, mode, geometry(), n=3), geometry())[0].tobytes()
            for _ in range(2)
        ]
        assert found[0] == found[1]


@pytest.mark.parametrize("value", [0, -1, "many", 1.5, None])
def test_a_workspace_is_a_positive_number_of_bytes(value):
    with pytest.raises(ValueError, match="workspace of convolutions must be a positive number of"):
        config.set_conv_workspace(value)


# --- cublasLt: sums of products ---


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_products_are_added(gpu, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 5)).astype(dtype), rng.standard_normal((5, 4)).astype(dtype)
    wide = "float32" if dtype == "float16" else dtype
    out = gpu.asarray(np.ones((3, 4), wide))
    for _ in range(2):
        options = {"accumulate": True}
        assert cublaslt.gemm(gemm, (gpu.asarray(a), gpu.asarray(b), None, out), options) is None
    expected = 1 + 2 * (a.astype("float64") @ b.astype("float64"))
    np.testing.assert_allclose(out.get(), expected, rtol=1e-6, atol=1e-6)


def test_wider_results_take_no_bias(gpu):
    half = gpu.zeros((2, 2), "float16")
    out, bias = gpu.empty((2, 2), "float32"), gpu.zeros((2,), "float16")
    assert cublaslt.gemm(gemm, (half, half, bias, out), {}) is NotImplemented
    assert cublaslt.gemm(gemm, (out, out, None, half), {}) is NotImplemented


# --- inside a training ---

RNG = np.random.default_rng(5)
X = RNG.standard_normal((20, 8, 8, 2)).astype("float32")
Y = RNG.integers(0, 3, 20).astype("int32")


def network(jit_compile):
    gpunn.utils.set_random_seed(1)
    model = gpunn.Sequential(
        [
            gpunn.Input((8, 8, 2)), layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.Conv2D(6, 3, strides=2), layers.Conv2D(4, 1, activation="relu"),
            layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax"),
        ]
    )  # fmt: skip
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=jit_compile)
    return model


def preferring(monkeypatch, *names):
    """A clock by which these routes are the fastest; the list of what it was asked."""
    asked = []

    def clock(cupy, launch):
        asked.append(launch.func.name)
        launch()
        return names.index(launch.func.name) if launch.func.name in names else 9.0

    monkeypatch.setattr(routes, "clock", clock)
    return asked


def forget_all():
    """Choices in the file and in memory."""
    routes.choices_of(0).path.unlink()
    routes.forget()


def recording_of(model):
    """The program of the training step."""
    steps = [s for found in model.step.recordings.values() for s in found.steps.values()]
    programs = [s.program for s in steps if s.program is not None]
    (program,) = [p for p in programs if conv_backward_kernel in [call[0] for call in p.calls]]
    return program


def fitted(jit_compile):
    model = network(jit_compile)
    history = model.fit(X, Y, batch_size=5, epochs=4, shuffle=False, verbose=0).history
    return model, [history, [w.numpy().tobytes() for w in model.weights]]


@pytest.mark.parametrize("preferred", [("pointwise", "columns"), ("implicit",), None])
def test_a_recorded_training_equals_an_eager_one(gpu, monkeypatch, preferred):
    config.set_route_timing(True)
    if preferred:
        preferring(monkeypatch, *preferred)
    with gpunn.device("gpu:0"):
        _, expected = fitted(False)
        recorded, received = fitted("auto")
    assert received == expected
    assert recording_of(recorded).calls
    chosen = {r.name for f in (k.cuda for k in KERNELS) for r in f.chosen.values()}
    assert preferred is None or chosen == {*preferred}


def test_timing_inside_a_listened_step_disturbs_neither_it_nor_its_results(gpu, monkeypatch):
    """Choices are forgotten after the eager step, so that the first recorded one times anew."""
    config.set_route_timing(True)
    asked = preferring(monkeypatch, "columns")

    def trained(jit_compile, forgetful):
        model, results = network(jit_compile), []
        for step in range(8):
            if forgetful and step in (1, 2, 3):
                forget_all()
                asked.clear()
            results.append(model.train_on_batch(X[:5], Y[:5], return_dict=True))
            if forgetful and step in (1, 2):
                assert "columns" in asked and "implicit" in asked
            if forgetful and step == 3:
                assert not asked  # it was captured
        return model, results

    with gpunn.device("gpu:0"):
        _, expected = trained(False, False)
        recorded, received = trained("auto", True)
    assert received[:3] == expected[:3]
    np.testing.assert_allclose(
        [r["loss"] for r in received], [r["loss"] for r in expected], rtol=1e-5
    )
    names = [kernel.name for kernel, *_ in recording_of(recorded).calls]
    assert names.count("conv_forward") == 3 and not {"gather_columns", "copy_into"} & {*names}


def test_a_recording_holds_no_memory_of_routes_that_lost(gpu, monkeypatch):
    """The columns of 1 MiB are timed in the listened step, but not taken."""
    config.set_route_timing(True)
    sizes = {}
    for forgetful in (False, True):
        preferring(monkeypatch, "implicit")
        with gpunn.device("gpu:0"):
            model = network("auto")
            for step in range(6):
                if forgetful and step == 1:
                    forget_all()
                model.train_on_batch(X[:5], Y[:5])
        sizes[forgetful] = recording_of(model).nbytes
        routes.forget()
    assert sizes[True] == sizes[False]


# --- a real card ---


@pytest.fixture
def card(real_gpu):
    config.set_route_timing(True)
    return real_gpu


@pytest.mark.gpu
@pytest.mark.parametrize("workspace", [64 << 20, 6000])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_every_route_on_a_real_card(card, kernel, dtype, workspace):
    config.set_conv_workspace(workspace)
    for route in (None, *kernel.cuda.routes.values()):
        result = check.parity(kernel, dtype, card, route)
        assert result.ok, result.message


@pytest.mark.gpu
def test_a_recorded_training_with_timing_on_a_real_card(card):
    with gpunn.device("gpu:0"):
        _, expected = fitted(False)
        recorded, received = fitted("auto")
    assert received == expected
    assert recording_of(recorded).calls and len(routes.choices_of(0)) > 3
