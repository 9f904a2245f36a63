"""Steps as CUDA graphs, on the simulated GPU: the same bits, no traffic, a way out of errors."""

import copy
import gc
import re
import threading
import warnings
import weakref

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops, optimizers
from gpunn.backend import cublaslt, devices
from gpunn.backend.capture import _user_line
from gpunn.backend.thread import local
from gpunn.errors import DeviceError
from gpunn.optimizers import schedules
from gpunn.training import recording
from tests.simulated_gpu import device as simulated
from tests.simulated_gpu.device import statistics

RNG = np.random.default_rng(6)
X = RNG.normal(size=(46, 4)).astype("float32")
Y = RNG.integers(0, 3, 46).astype("int32")
W = RNG.uniform(0.5, 2, 46).astype("float32")
RECORDED = 5  # after so many runs a step is replayed, at the latest


@pytest.fixture(autouse=True)
def gpu(simulated_gpu):
    gc.freeze()  # a recorder collects garbage, among which there should not be all of pytest
    with gpunn.device("gpu:0"):
        yield simulated_gpu
    gc.unfreeze()


class After(gpunn.Model):
    """A layer of the user's, which sees no symbolic tensors, and a model."""

    def __init__(self, first, rest):
        super().__init__()
        self.first, self.rest = first, rest

    def call(self, x):
        return self.rest(self.first(x))


def compiled(jit_compile, first=None, optimizer=None, **options):
    """A model with dropout, decay, clipping and a schedule, after the layer `first`."""
    gpunn.utils.set_random_seed(3)
    model = gpunn.Sequential(
        [
            gpunn.Input((4,)), layers.Dense(5, "relu", kernel_regularizer="l2"),
            layers.Dropout(0.3), layers.Dense(3, "softmax"),
        ]
    )  # fmt: skip
    model = model if first is None else After(first, model)
    optimizer = optimizer or optimizers.AdamW(
        schedules.CosineDecay(0.02, 150), weight_decay=0.1, global_clipnorm=0.5
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, jit_compile=jit_compile, **options)
    return model


def steps(model, kind="train"):
    """The recorded steps of one kind, of the step in use."""
    found = model.step.recordings[kind]
    return list(found.steps.values())


def is_replayed(model, kind="train"):
    return [step.program is not None for step in steps(model, kind)] == [True]


def train(model, count, rows=8, first=0):
    """So many steps with weighted classes, each on other samples; the loss of each."""
    order = np.random.default_rng(0).integers(0, len(X), (first + count, rows))[first:]
    return [model.train_on_batch(X[i], Y[i], class_weight={0: 2.0, 2: 0.5}) for i in order]


def assert_same_state(one, other):
    """Weights, slots, iterations and random streams agree in every bit."""
    states = [
        [*m.weights, *m.optimizer.variables, *(d.seed_generator.state for d in dropouts(m))]
        for m in (one, other)
    ]
    for a, b in zip(*states, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


def dropouts(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, layers.Dropout)]


def assert_nothing_is_open(gpu):
    """No stream is capturing, and all is as it is outside a recording."""
    assert not any(stream.is_capturing() for stream in simulated._streams_by_pointer.values())
    assert gpu.cuda.get_current_stream() is gpu.cuda.Stream.null
    pool = gpu.get_default_memory_pool()
    before = pool.used_bytes()
    kept = devices.gpu().zeros((300,), "float32")
    assert pool.used_bytes() == before + kept.nbytes
    assert gc.isenabled()
    assert local.recorder is None


# --- what a replay computes ---


def test_200_steps_are_bit_identical():
    eager, recorded = compiled(False), compiled("auto")
    assert train(eager, 200) == train(recorded, 200)
    assert is_replayed(recorded) and not eager.step.recordings
    assert_same_state(eager, recorded)


OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(0.01, amsgrad=True, clipnorm=0.5),
    "sgd": lambda: optimizers.SGD(
        schedules.ExponentialDecay(0.1, 4, 0.9), momentum=0.9, nesterov=True, clipvalue=0.1
    ),
    "rmsprop": lambda: optimizers.RMSprop(lambda: 0.01, centered=True, momentum=0.5),
    "adagrad": lambda: optimizers.Adagrad(0.05, weight_decay=0.01),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_are_bit_identical(optimizer):
    eager, recorded = (compiled(j, optimizer=OPTIMIZERS[optimizer]()) for j in (False, True))
    assert train(eager, 15) == train(recorded, 15)
    assert is_replayed(recorded)
    assert_same_state(eager, recorded)


def test_fit_with_a_ragged_last_batch_is_bit_identical():
    """37 samples for training and 9 for validation, in batches of 8."""
    found = []
    for jit_compile in (False, "auto"):
        model = compiled(jit_compile, metrics=["accuracy"])
        gpunn.utils.set_random_seed(5)
        history = model.fit(
            X, Y, batch_size=8, epochs=5, validation_split=0.2, sample_weight=W, verbose=0
        ).history
        if jit_compile:
            assert [step.program is not None for step in steps(model)] == [True, True]
            assert [step.program is not None for step in steps(model, "test")] == [True, True]
        evaluated = model.evaluate(X, Y, batch_size=8, sample_weight=W, verbose=0)
        found.append((model, history, evaluated, model.predict(X, batch_size=8, verbose=0)))
    (eager, *expected), (recorded, *received) = found
    assert_same_state(eager, recorded)
    assert expected[:2] == received[:2]
    assert expected[2].tobytes() == received[2].tobytes()


def test_work_outside_the_graph_keeps_its_place():
    """Other batches, other models, weights and metrics that are read and set, between replays."""
    eager, recorded = compiled(False), compiled("auto")
    other = compiled(True, layers.Dense(4))
    for model in (eager, recorded):
        for turn in range(12):
            train(model, 1, first=turn)
            train(model, 1, rows=3, first=turn)
            if model is recorded:
                train(other, 1, first=turn)
            if turn % 5 == 4:
                model.set_weights([0.9 * w for w in model.get_weights()])
    assert [step.program is not None for step in steps(recorded)] == [True, True]
    assert is_replayed(other)
    assert_same_state(eager, recorded)


# --- what a replay costs ---


def cost(work):
    """What the device was asked to do meanwhile."""
    before = copy.deepcopy(statistics())
    work()
    after = statistics()
    counts = ("allocations", "host_to_device", "device_to_host", "replays")
    difference = {name: getattr(after, name) - getattr(before, name) for name in counts}
    return difference, dict(after.launches - before.launches)


@pytest.mark.parametrize("rate", [0.01, schedules.CosineDecay(0.02, 150), lambda: 0.01])
def test_a_replay_moves_its_inputs_and_nothing_else(rate):
    model = compiled("auto", optimizer=optimizers.AdamW(rate, weight_decay=0.1, clipnorm=1.0))
    train(model, RECORDED)
    for _ in range(2):  # both pinned buffers of each input
        model.step.train(X[:8], Y[:8], W[:8])
    counts, launches = cost(lambda: [model.step.train(X[:8], Y[:8], W[:8]) for _ in range(3)])
    assert counts == {
        "allocations": 0, "host_to_device": 9, "device_to_host": 0, "replays": 3
    }  # fmt: skip
    rates = {"fill": 3} if callable(rate) else {}
    assert launches == {"memcpyAsync": 9, "copyto": 9, **rates}


def test_arrays_of_the_device_are_not_uploaded(gpu):
    model = compiled("auto")
    batch = [devices.gpu().asarray(part[:8]) for part in (X, Y, W)]
    for _ in range(RECORDED):
        model.step_for(batch[0]).train(*batch)
    counts, launches = cost(lambda: model.step.train(*batch))
    assert counts == {
        "allocations": 0, "host_to_device": 0, "device_to_host": 0, "replays": 1
    }  # fmt: skip
    assert launches == {"copyto": 3, "fill": 1}


def test_predictions_cost_a_copy_of_the_result():
    model = compiled("auto")
    for _ in range(RECORDED + 2):
        model.predict_on_batch(X[:8])
    counts, launches = cost(lambda: model.step.predict(X[:8]))
    assert counts == {
        "allocations": 1, "host_to_device": 1, "device_to_host": 0, "replays": 1
    }  # fmt: skip
    assert launches == {"memcpyAsync": 1, "copyto": 1, "copy": 1}


def test_a_recording_works_in_memory_of_its_own(gpu):
    model = compiled("auto")
    train(model, 1)
    before = gpu.get_default_memory_pool().used_bytes()
    train(model, RECORDED)
    (step,) = steps(model)
    assert step.nbytes == step.program.pool.total_bytes() > 0
    inputs = X[:8].nbytes + Y[:8].nbytes + W[:8].nbytes
    places = 3  # of each: what the graph reads, and what its two pinned buffers are copied to
    assert gpu.get_default_memory_pool().used_bytes() - before == places * inputs


# --- results are the caller's ---


def test_later_replays_leave_predictions_alone():
    model = compiled("auto")
    batches = [X[i : i + 8] for i in range(12)]
    expected = [model(batch).numpy() for batch in batches]
    on_device = [model.step_for(batch).predict(batch) for batch in batches]
    on_host = [model.predict_on_batch(batch) for batch in batches]
    assert is_replayed(model, "predict")
    for a, b, c in zip(expected, on_device, on_host, strict=True):
        assert a.tobytes() == b.numpy().tobytes() == c.tobytes()


def test_a_model_that_returns_its_input():
    gpunn.utils.set_random_seed(0)
    model = gpunn.Sequential([gpunn.Input((2, 2)), layers.Flatten()])
    model.compile("sgd", "mse")
    x = X[:40].reshape(40, 2, 2)
    parts = [model.step_for(x).predict(x[i : i + 4]) for i in range(0, 40, 4)]
    assert is_replayed(model, "predict")
    np.testing.assert_array_equal(np.concatenate([p.numpy() for p in parts]), X[:40])
    np.testing.assert_array_equal(model.predict(x, batch_size=4, verbose=0), X[:40])


def test_evaluations_are_replayed():
    model = compiled("auto", metrics=["accuracy"])
    train(model, 3)
    expected = compiled(False, metrics=["accuracy"])
    expected.set_weights(model.get_weights())
    for first in range(8):
        batch = X[first : first + 8], Y[first : first + 8], W[first : first + 8]
        assert model.test_on_batch(*batch) == expected.test_on_batch(*batch)
    assert is_replayed(model, "test")


# --- what changes between steps ---

CHANGES = {
    "learning rate": (lambda m: setattr(m.optimizer, "learning_rate", 0.1), True),
    "a function for a schedule": (
        lambda m: setattr(m.optimizer, "learning_rate", lambda: 0.003), False
    ),
    "a schedule for another": (
        lambda m: setattr(m.optimizer, "learning_rate", schedules.CosineDecay(0.1, 30)), False
    ),
    "trainable": (lambda m: setattr(m.layers[0], "trainable", False), False),
    "dropout": (lambda m: setattr(m.layers[1], "rate", 0.7), False),
    "clipnorm": (lambda m: setattr(m.optimizer, "global_clipnorm", 0.01), False),
    "weights": (lambda m: m.set_weights([0.5 * w for w in m.get_weights()]), True),
    "iterations": (lambda m: m.optimizer.iterations.assign(100), True),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_between_steps_holds_at_once(name):
    change, keeps_recording = CHANGES[name]
    models = []
    for jit_compile in (False, "auto"):
        optimizer = optimizers.AdamW(0.05, weight_decay=0.1) if name == "learning rate" else None
        model = compiled(jit_compile, optimizer=optimizer)
        seen = [train(model, 6), model.predict_on_batch(X).tolist()]
        programs = [step.program for step in steps(model)] if jit_compile else []
        change(model)
        seen += [train(model, 6, first=6), model.predict_on_batch(X).tolist()]
        models.append((model, seen, programs))
    (eager, expected, _), (recorded, received, before) = models
    assert received == expected
    assert_same_state(eager, recorded)
    assert is_replayed(recorded)
    assert (steps(recorded)[0].program is before[0]) == keeps_recording


def test_another_device_in_between():
    eager, recorded = compiled(False), compiled("auto")
    for model in (eager, recorded):
        train(model, 6)
        with gpunn.device("cpu"), pytest.raises(DeviceError, match="different devices"):
            train(model, 1)
        train(model, 6, first=6)
    assert is_replayed_on(recorded, "gpu:0")
    assert_same_state(eager, recorded)


def is_replayed_on(model, device):
    found = model.step.recordings["train"]
    return {key[0] for key, step in found.steps.items() if step.program is not None} == {device}


def test_a_function_has_a_recording_for_each_device():
    function = gpunn.function(lambda x: ops.softmax(ops.matmul(x, ops.transpose(x))))
    for first in range(8):
        x = X[first : first + 5]
        expected = np.exp(x @ x.T) / np.exp(x @ x.T).sum(-1, keepdims=True)
        for name in ("cpu", "gpu:0"):
            with gpunn.device(name):
                y = function(x)
            assert y.device == name
            np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4)
    found = function.recordings.steps
    assert sorted(key[0] for key in found) == ["cpu", "gpu:0"]
    assert all(step.program is not None for step in found.values())


# --- how much is kept ---


def predict_sizes(model, *sizes):
    for size in sizes:
        for _ in range(RECORDED):
            model.predict_on_batch(X[:size])


def test_recordings_are_bounded_in_number():
    model = compiled("auto")
    predict_sizes(model, *range(1, 13))
    assert len(steps(model, "predict")) == 8
    assert all(step.program is not None for step in steps(model, "predict"))


def test_recordings_are_bounded_in_bytes(monkeypatch, gpu):
    model = compiled("auto")
    predict_sizes(model, 1)
    (first,) = steps(model, "predict")
    monkeypatch.setattr(recording, "_MOST_BYTES", first.nbytes)  # of all but the newest
    oldest = weakref.ref(first.program.pool)
    predict_sizes(model, 2)
    assert steps(model, "predict")[0] is first
    del first
    predict_sizes(model, 3)
    assert len(steps(model, "predict")) == 1
    gc.collect()
    assert oldest() is None
    np.testing.assert_array_equal(model.predict_on_batch(X[:1]), model(X[:1]).numpy())


# --- code that cannot be captured runs eagerly, and the user hears why, once ---


def line_of(function, text):
    """``file:line`` of the line of a function that contains the text."""
    code = function.__code__
    with open(code.co_filename) as file:
        lines = file.read().splitlines()
    number = next(n for n in range(code.co_firstlineno, len(lines)) if text in lines[n]) + 1
    return f"{code.co_filename}:{number}"


class ReadsSum(layers.Layer):
    def call(self, x):
        return x * 2 if float(ops.sum(x)) > 0 else x * 3  # reads


class Prints(layers.Layer):
    def call(self, x):
        str(ops.max(x))  # reads
        return x * 2


class UploadsConstant(layers.Layer):
    def call(self, x):
        return x * ops.convert_to_tensor(np.arange(4, dtype="float32"))


class UploadsOther(layers.Layer):
    """Another array in each step."""

    number = 0

    def call(self, x):
        object.__setattr__(self, "number", self.number + 1)
        return x + np.full((4,), self.number, "float32")


class CupyMatmul(layers.Layer):
    """CuPy refuses to capture cuBLAS."""

    def call(self, x):
        return x + gpunn.Tensor(x.data @ devices.gpu().xp.ones((4, 4), "float32"))


class BooleanIndex(layers.Layer):
    def call(self, x):
        return x * gpunn.Tensor(x.data[x.data > 0].sum())


class Synchronizes(layers.Layer):
    def call(self, x):
        devices.gpu().synchronize()
        return x * 2


class Remembers(layers.Layer):
    """Adds what it was given in the step before."""

    def call(self, x):
        before = getattr(self, "before", None)
        object.__setattr__(self, "before", gpunn.Tensor(ops.tanh(x).data))
        return x if before is None else x + before


REFUSED = {
    ReadsSum: "a value is read on the host at " + re.escape(line_of(ReadsSum.call, "# reads")),
    Prints: "a value is read on the host at " + re.escape(line_of(Prints.call, "# reads")),
    UploadsConstant: "an array is made of host data at " + re.escape(__file__),
    UploadsOther: "an array is made of host data at " + re.escape(__file__),
    CupyMatmul: "CUDA cannot capture it: calling cuBLAS API during stream capture",
    BooleanIndex: "CUDA cannot capture it: indexing by a boolean array is not permitted",
    Synchronizes: "CUDA cannot capture it: cudaErrorStreamCaptureUnsupported",
    Remembers: "got arrays or options that no kernel made, at " + re.escape(__file__),
}


@pytest.mark.parametrize("layer", REFUSED, ids=lambda layer: layer.__name__)
def test_what_cannot_be_captured_runs_eagerly(gpu, layer):
    eager, model = compiled(False, layer()), compiled(True, layer())
    with pytest.warns(UserWarning, match=REFUSED[layer]) as caught:
        losses = train(model, 8)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert losses == train(eager, 8)
    assert_same_state(eager, model)
    assert_nothing_is_open(gpu)


def test_what_cupy_computes_is_captured():
    """On a GPU also work beside the kernels is part of the graph."""

    class Beside(layers.Layer):
        def call(self, x):
            return x + gpunn.Tensor(x.data * 0.5)

    eager, model = compiled(False, Beside()), compiled(True, Beside())
    assert train(model, 8) == train(eager, 8)
    assert is_replayed(model)
    assert_same_state(eager, model)


def test_without_cublaslt_steps_run_eagerly():
    cublaslt.use_library(None)
    eager, model = compiled(False), compiled("auto")
    with pytest.warns(UserWarning, match="calling cuBLAS API during stream capture") as caught:
        losses = train(model, 8)
    assert len(caught) == 1
    assert losses == train(eager, 8)


def test_other_threads_may_compute_while_a_step_is_captured(gpu):
    class Meanwhile(layers.Layer):
        def call(self, x):
            if gpu.cuda.get_current_stream().is_capturing():
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
            return x * 2

    seen = []

    def work():
        with gpunn.device("gpu:0"):
            seen.append(ops.tanh(ops.convert_to_tensor(X)).numpy())

    eager, model = compiled(False, Meanwhile()), compiled(True, Meanwhile())
    assert train(model, 8) == train(eager, 8)
    assert is_replayed(model)
    assert len(seen) == 1
    np.testing.assert_allclose(seen[0], np.tanh(X), rtol=1e-5)


# --- errors in the run that is captured ---


def is_captured():
    return devices.gpu().xp.cuda.get_current_stream().is_capturing()


def is_listened_to():
    return local.recorder is not None and not is_captured()


class Armed(layers.Layer):
    """Raises the error it is armed with, when it is time."""

    error, when = None, None

    def call(self, x):
        if self.error is not None and self.when():
            raise self.error
        return x * 1.5

    def arm(self, error, when=lambda: True):
        self.__dict__.update(error=error, when=when)  # attributes that are set: no new recording


def armed(jit_compile, error=None, when=is_captured):
    layer = Armed()
    model = compiled(jit_compile, layer)
    layer.arm(error, when)
    return layer, model


def test_an_error_in_the_captured_run_only(gpu):
    _, model = armed(True, RuntimeError("on purpose"))
    _, eager = armed(False)
    where = re.escape(line_of(Armed.call, "raise self.error"))
    message = f"CUDA cannot capture it: on purpose, at {where}"
    with pytest.warns(UserWarning, match=message) as caught:
        losses = train(model, 8)
    assert len(caught) == 1
    assert losses == train(eager, 8)
    assert_same_state(eager, model)
    assert_nothing_is_open(gpu)


def steps_until(stop, model):
    """How many steps were made when it was raised."""
    for done in range(RECORDED):
        try:
            train(model, 1, first=done)
        except stop:
            return done
    return RECORDED


@pytest.mark.parametrize("when", [is_listened_to, is_captured])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_step_that_is_interrupted_while_recorded_has_not_happened(gpu, stop, when):
    layer, model = armed(True, stop(), when)
    _, eager = armed(False)
    done = steps_until(stop, model)
    assert 1 <= done < RECORDED
    assert_nothing_is_open(gpu)
    train(eager, done)
    assert_same_state(eager, model)
    layer.arm(None)
    assert train(model, 8, first=done) == train(eager, 8, first=done)
    assert is_replayed(model)
    assert_same_state(eager, model)


def test_an_error_in_every_run(gpu):
    """Of the user's, as in a batch that does not fit: before and while the step is recorded."""
    layer, model = armed(True)
    _, eager = armed(False)
    for done in range(RECORDED):
        layer.arm(ValueError("on purpose"))
        with pytest.raises(ValueError, match="on purpose"):
            train(model, 1, first=done)
        assert_nothing_is_open(gpu)
        layer.arm(None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a failed capture ends recording, with a warning
            assert train(model, 1, first=done) == train(eager, 1, first=done)
        assert_same_state(eager, model)
    assert "CUDA cannot capture it: on purpose" in steps(model)[0].problem


def test_a_capture_that_cuda_invalidates(gpu, monkeypatch):
    def invalidated(stream):
        end_capture(stream)
        raise RuntimeError("cudaErrorStreamCaptureInvalidated")

    end_capture = gpu.cuda.Stream.end_capture
    monkeypatch.setattr(gpu.cuda.Stream, "end_capture", invalidated)
    eager, model = compiled(False), compiled("auto")
    message = "CUDA refused to capture it: cudaErrorStreamCaptureInvalidated"
    with pytest.warns(UserWarning, match=message) as caught:
        losses = train(model, 8)
    assert len(caught) == 1
    assert losses == train(eager, 8)
    assert_same_state(eager, model)
    assert_nothing_is_open(gpu)


def test_a_capture_that_does_not_begin(gpu, monkeypatch):
    def refused(stream):
        raise RuntimeError("cudaErrorIllegalState")

    eager, model = compiled(False), compiled("auto")
    with monkeypatch.context() as patch:
        patch.setattr(gpu.cuda.Stream, "begin_capture", refused)
        done = steps_until(RuntimeError, model)
    assert done < RECORDED
    assert_nothing_is_open(gpu)
    train(eager, done)
    assert train(model, 8, first=done) == train(eager, 8, first=done)
    assert is_replayed(model)


def test_garbage_is_not_collected_during_a_capture_and_stays_off_where_it_was(gpu):
    seen = []

    class Notes(layers.Layer):
        def call(self, x):
            if gpu.cuda.get_current_stream().is_capturing():
                seen.append(gc.isenabled())
            return x * 1.5

    train(compiled(True, Notes()), RECORDED)
    assert seen == [False] and gc.isenabled()
    gc.disable()
    try:
        model = compiled(True, Notes())
        train(model, RECORDED)
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert is_replayed(model) and seen == [False, False]


def test_the_users_line_is_named_not_cupys():
    """Frames of Cython have a path that looks like nobody's."""
    names = {}
    code = "def refuse():\n    raise RuntimeError('no')"
    exec(compile(code, "cupy/_core/core.pyx", "exec"), names)
    with pytest.raises(RuntimeError) as caught:
        names["refuse"]()
    line = line_of(test_the_users_line_is_named_not_cupys, 'names["refuse"]()')
    assert _user_line(caught.value) == line
