"""Every op in a recorded step, forward and backward: replays with new values equal eager runs."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import gpunn
from gpunn import GradientTape, ops
from gpunn.autodiff.tensor import Tensor
from gpunn.structure import leaves
from gpunn.training.data import to_tensors
from gpunn.training.recording import RecordedStep, quiet
from tests.ops.cases import CASES, Case, load
from tests.simulated_gpu.device import statistics

load()
RECORDED = 4  # after so many runs a step is replayed, at the latest

LISTS = ("list", "pairs", "mixed")
#: What cannot be recorded, and what the step says: on the CPU, on a GPU.
HOST_DATA = "'gather' got arrays or options that no kernel made", "an array is made of host data"
REFUSED = {
    **{f"getitem-{label}": HOST_DATA for label in LISTS},  # a list makes a new array in each step
    "getitem-array": (None, HOST_DATA[1]),  # the same array each time, but in the host's memory
    "getitem-mask": ("a value is read on the host",) * 2,  # its values decide the shape
}

PRODUCTS = ("dense", "matmul")  # of a library on GPUs, which takes packed arrays only
MADE_ON_THE_HOST = "returns an array that no kernel made", HOST_DATA[1]


@pytest.fixture(scope="module", autouse=True)
def few_objects():
    """A GPU's recorder collects garbage, which takes longer than the rest of it if all of pytest's
    objects are looked at.
    """
    gc.freeze()
    yield
    gc.unfreeze()


def with_indices(label, take, *highs):
    """Indices that are tensors: values of the batch, in which some come twice."""

    def inputs(rng):
        indices = [rng.integers(0, n, (2, 4)).astype("int32") for n in highs]
        return (rng.normal(size=(3, 4)), *indices)

    return Case("getitem", label, take, inputs, oracle=np.take)


ALL = [case for cases in CASES.values() for case in cases] + [
    with_indices("take of a tensor", lambda x, i: ops.take(x, i, axis=0), 3),
    with_indices("take of a tensor, flat", ops.take, 12),
    with_indices("column of a tensor", lambda x, i: x[1:, i], 4),
    with_indices("two tensors", lambda x, i, j: x[i, j], 3, 4),
]

#: Ops of cuSOLVER and cuFFT, and the one that runs on the host.
LIBRARIES = (
    "inv", "det", "slogdet", "solve", "cholesky", "qr", "lu_factor", "eigh", "svd", "pinv",
    "fft", "fft2", "ifft2", "rfft", "irfft",
)  # fmt: skip
for case in ALL:
    if case.op in LIBRARIES:
        REFUSED[repr(case)] = (None, "which CUDA cannot capture")
    elif case.op == "eig":
        REFUSED[repr(case)] = ("a value is read on the host", "which CUDA cannot capture")


def values(case, turn, dtype, transposed):
    """Inputs that are others in each turn; axes in reverse if the step is to transpose them."""
    first, arrays = (
        [a.astype(dtype) if a.dtype == np.float64 else a for a in map(np.array, inputs)]
        for inputs in (case.inputs(np.random.default_rng(seed)) for seed in (0, turn))
    )
    for i, array in enumerate(arrays):
        if np.array_equal(array, first[i], equal_nan=array.dtype.kind == "f"):  # not random
            further = turn if array.dtype == np.uint32 else 0  # the state of a random stream
            arrays[i] = np.roll(array, turn) + array.dtype.type(further)
    return tuple(np.ascontiguousarray(a.T) if transposed and a.ndim else a for a in arrays)


def forward_and_backward(case, transposed):
    """A step (inputs, output gradient) -> result and gradients."""

    def turned(x):
        return ops.transpose(x) if transposed and x.ndim > 1 else x

    def step(xs, dy):
        xs = [turned(x) for x in xs]
        wanted = [xs[i] for i in case.differentiable]
        with GradientTape() as tape:
            tape.watch(wanted)
            y = turned(case.call(*xs))
        return y, tape.gradient(y, wanted, output_gradients=dy) if wanted else []

    return step


def on_host(result):
    return [t.numpy().copy() for t in leaves(result)]


def assert_equal(received, expected):
    for a, b in zip(received, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.tobytes() == b.tobytes()  # of zeros the sign, too


def assert_replays(step, batches, reason):
    """The last of the batches are replayed, without `step` and on other values than before, and
    give what `step` gives eagerly. With a reason they run eagerly, because of it.
    """
    calls = []
    recorded = RecordedStep()

    def counted(*batch):
        calls.append(1)
        return step(*batch)

    received, seen = [], []
    with quiet():
        for number, batch in enumerate(batches):
            if number == RECORDED:
                calls.clear()
            received.append(recorded(counted, batch))
            seen.append(on_host(received[-1]))
        replayed = len(batches) - RECORDED
        assert (recorded.program is None) == (reason is not None), recorded.problem
        assert reason is None or reason in recorded.problem
        assert len(calls) == (0 if reason is None else replayed)
        for result, values in zip(received, seen, strict=True):
            assert_equal(on_host(result), values)  # no step overwrites the results of another
        for batch, values in zip(batches[RECORDED:], seen[RECORDED:], strict=True):
            assert_equal(on_host(step(*to_tensors(batch))), values)


def assert_case_replays(case, dtype, transposed, reason):
    inputs = [values(case, turn, dtype, transposed) for turn in range(RECORDED + 2)]
    y = case.call(*[Tensor(x.T.copy() if transposed else x.copy()) for x in inputs[0]])
    shape, batches = y.shape[::-1] if transposed else y.shape, []
    for turn, xs in enumerate(inputs):
        dy = np.asarray(np.random.default_rng(turn).normal(size=shape), y.dtype)
        batches.append((xs, dy if case.differentiable else None))
    for one, other in ((RECORDED - 1, RECORDED), (RECORDED, RECORDED + 1)):
        pairs = zip(batches[one][0], batches[other][0], strict=True)
        assert any(a.tobytes() != b.tobytes() for a, b in pairs)
    assert_replays(forward_and_backward(case, transposed), batches, reason)


@pytest.mark.parametrize("case", ALL, ids=repr)
def test_on_the_cpu(case):
    reason = REFUSED.get(repr(case), (None, None))[0]
    for dtype in ("float32", "float16"):
        assert_case_replays(case, dtype, transposed=False, reason=reason)
    assert_case_replays(case, "float32", transposed=True, reason=reason)


@pytest.mark.parametrize("case", ALL, ids=repr)
def test_on_the_simulated_gpu(simulated_gpu, case):
    reason = REFUSED.get(repr(case), (None, None))[1]
    with gpunn.device("gpu:0"):
        before = statistics().replays
        assert_case_replays(case, "float32", transposed=False, reason=reason)
        assert statistics().replays - before >= (2 if reason is None else 0)
        if case is CASES[case.op][0] or case.op in PRODUCTS:
            assert_case_replays(case, "float32", transposed=True, reason=reason)


#: Functions of x (3, 4) made of other ops, and of tensors that are made in the step.
COMPOSITES = {
    "statistics": lambda x: [
        ops.var(x, axis=0),
        ops.std(x),
        ops.logsumexp(x, 1),
        ops.norm(x, 3, 1),
    ],
    "normalize": lambda x: ops.normalize(x, axis=0),
    "truth": lambda x: [ops.any(x > 1, axis=0), ops.all(x > -3), ops.isfinite(x)],
    "axes": lambda x: [ops.moveaxis(x, 0, 1), ops.swapaxes(x, 0, 1), ops.ravel(ops.transpose(x))],
    "parts": lambda x: [*ops.split(x, [1, 3], axis=1), *ops.unstack(x, axis=0), ops.flip(x, 1)],
    "many parts": lambda x: ops.stack([x * i for i in range(12)], axis=1),
    "constants": lambda x: [x * ops.ones((4,)), ops.zeros((3, 1)) - x, ops.full((2,), 3.0)],
    "like": lambda x: [ops.ones_like(x) + x, ops.zeros_like(x, "int32"), ops.stop_gradient(x) * 2],
    "tied weights": lambda x: ops.matmul(ops.tanh(ops.matmul(x, ops.transpose(x))), x),
    "dtypes": lambda x: [ops.cast(x, "float16") + x, ops.cast(x * 9, "int32") // 2, x**2 / 3],
    "nan": lambda x: [ops.nanstd(x, 0), ops.nanmax(x), ops.nan_to_num(x), ops.fmax(x, 0.1)],
    "quantiles": lambda x: [ops.quantile(x, 0.3, axis=1), ops.median(x), ops.ptp(x, axis=0)],
    "rare": lambda x: [ops.isclose(x, 0.5), ops.max(x, initial=0.1), ops.average(x, 0, x[:, 0])],
    "sequences": lambda x: [ops.diff(x), ops.trapezoid(x), ops.correlate(x[0], x[1], "full")],
    "arange": lambda x: ops.arange(4, dtype="float32"),
    "linspace": lambda x: ops.linspace(0, 1, 4),
    "eye": lambda x: ops.eye(3),
    "list": lambda x: [ops.convert_to_tensor([1.0, 2.0]), x * [1, 2, 3, 4]],
    "host array": lambda x: ops.convert_to_tensor(np.array([1.0, 2.0])),
    "mask": lambda x: x[x > 0],
}
REFUSED_FUNCTIONS = {
    "host array": MADE_ON_THE_HOST,
    "mask": REFUSED["getitem-mask"],
}


def assert_function_replays(name, place):
    rng = np.random.default_rng(1)
    batches = [(rng.normal(size=(3, 4)).astype("float32"),) for _ in range(RECORDED + 2)]
    assert_replays(COMPOSITES[name], batches, REFUSED_FUNCTIONS.get(name, (None, None))[place])


@pytest.mark.parametrize("name", COMPOSITES)
def test_functions_of_ops_on_the_cpu(name):
    assert_function_replays(name, 0)


@pytest.mark.parametrize("name", COMPOSITES)
def test_functions_of_ops_on_the_simulated_gpu(simulated_gpu, name):
    with gpunn.device("gpu:0"):
        assert_function_replays(name, 1)
