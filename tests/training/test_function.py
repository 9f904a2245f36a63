"""gpunn.function: a decorated function does what the plain one does, and says when it cannot."""

import threading
import warnings
from collections import namedtuple

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops, optimizers
from gpunn.backend import devices
from gpunn.optimizers import schedules
from tests.simulated_gpu.device import statistics

RNG = np.random.default_rng(7)
X = RNG.standard_normal((50, 8, 6)).astype("float32")
Y = RNG.standard_normal((50, 8, 2)).astype("float32")

Pair = namedtuple("Pair", "a b")


def replays(function):
    """How many of its kinds of arguments are replayed by now."""
    return sum(step.program is not None for step in function.recordings.steps.values())


def counted(python_function):
    """A gpunn.function and the list that grows when its Python code runs."""
    calls = []

    def function(*args, **kwargs):
        calls.append(1)
        return python_function(*args, **kwargs)

    return gpunn.function(function), calls


@pytest.fixture
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- training ---

OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(0.01, clipnorm=1.0),
    "adamw, cosine": lambda: optimizers.AdamW(
        schedules.CosineDecay(0.0, 40, warmup_target=0.02, warmup_steps=5), weight_decay=0.1
    ),
    "sgd, stairs": lambda: optimizers.SGD(
        schedules.ExponentialDecay(0.1, 7, 0.8, staircase=True), momentum=0.9, nesterov=True
    ),
    "rmsprop, lambda": lambda: optimizers.RMSprop(lambda: 0.003, centered=True),
}


def trainer(optimizer):
    """A model, and a function that makes one step with a batch and a weight of the penalty."""
    gpunn.utils.set_random_seed(1)
    model = gpunn.Sequential(
        [layers.Dense(12, "gelu"), layers.Dropout(0.4), layers.Dense(7, "relu"), layers.Dense(2)]
    )
    optimizer = OPTIMIZERS[optimizer]()

    def train(x, y, penalty):
        with gpunn.GradientTape() as tape:
            squares = sum(ops.sum(w**2) for w in model.trainable_variables)
            loss = ops.mean((model(x, training=True) - y) ** 2) + penalty * squares
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {"loss": loss, "gradients": gradients}

    return model, optimizer, train


def trained(optimizer, decorate, steps=50):
    """All results of each step, then weights, slots and dropout's stream, as arrays."""
    model, optimizer, train = trainer(optimizer)
    function = decorate(train)
    found = []
    for x, y in zip(X[:steps], Y[:steps], strict=True):
        results = function(x, y, penalty=0.001)
        found += [results["loss"].numpy().copy(), *(g.numpy().copy() for g in results["gradients"])]
    states = [*model.weights, *optimizer.variables, model.layers[1].seed_generator.state]
    return function, [*found, *(v.numpy() for v in states)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_50_steps_are_bit_identical(optimizer, no_warnings):
    _, plain = trained(optimizer, lambda f: f)
    function, recorded = trained(optimizer, gpunn.function)
    assert replays(function) == len(function.recordings.steps) == 1
    for a, b in zip(plain, recorded, strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_on_the_gpu_are_those_of_the_plain_function(simulated_gpu, no_warnings):
    _, on_cpu = trained("adamw, cosine", lambda f: f, steps=7)
    with gpunn.device("gpu:0"):
        _, plain = trained("adamw, cosine", lambda f: f, steps=7)
        before = statistics().replays
        function, recorded = trained("adamw, cosine", gpunn.function, steps=7)
    assert replays(function) == 1 and statistics().replays - before >= 4
    for a, b, c in zip(plain, recorded, on_cpu, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-3, atol=1e-5)


def test_a_replayed_step_on_the_gpu_moves_its_inputs_only(simulated_gpu):
    with gpunn.device("gpu:0"):
        _, _, train = trainer("adam")
        function = gpunn.function(train)
        for i in range(5):
            function(X[i], Y[i], 0.0)
        before = statistics().host_to_device, statistics().device_to_host
        function(X[5], Y[5], 0.0)
        after = statistics().host_to_device, statistics().device_to_host
    assert (after[0] - before[0], after[1] - before[1]) == (2, 0)


def test_what_is_set_between_calls_holds_in_the_next():
    found = []
    for decorate in (lambda f: f, gpunn.function):
        model, optimizer, train = trainer("adam")
        function = decorate(train)
        losses = []
        for i in range(24):
            if i == 5:
                optimizer.learning_rate = 0.1
            if i == 10:
                model.layers[1].rate = 0.1
            if i == 15:
                model.set_weights([0.5 * w for w in model.get_weights()])
            losses.append(float(function(X[i], Y[i], 0.0)["loss"]))
        found.append(losses)
    assert found[0] == found[1]
    assert replays(function) == 1


def two_updates():
    """One schedule gives two rates in one call."""
    w = gpunn.Variable([1.0, -2.0, 0.5, 0.0, 3.0, -1.0])
    optimizer = optimizers.SGD(schedules.ExponentialDecay(0.1, 1, 0.5))

    def function(x):
        for _ in range(2):
            with gpunn.GradientTape() as tape:
                loss = ops.sum((x * w) ** 2)
            optimizer.apply_gradients([(tape.gradient(loss, w), w)])
        return w + 0.0

    return function


def weighted_gradient():
    w = gpunn.Variable([1.0, -2.0, 0.5, 0.0, 3.0, -1.0])

    def function(x):
        with gpunn.GradientTape() as tape:
            y = ops.tanh(x * w)
        return tape.gradient(y, [w], output_gradients=x)

    return function


def moving_average():
    mean, updates = gpunn.Variable(np.zeros(6), dtype="float32"), gpunn.Variable(0)

    def function(x):
        mean.assign(0.9 * mean + 0.1 * ops.mean(x, axis=0))
        updates.assign_add(1)
        return mean / (1.0 - 0.9 ** ops.cast(updates, "float32"))

    return function


def running_metric():
    metric = gpunn.metrics.Mean()

    def function(x):
        metric.update_state(x)
        return metric.result()

    return function


def seeded_noise():
    seed = gpunn.random.SeedGenerator(3)
    return lambda x: x + gpunn.random.normal((8, 6), seed=seed)


WORK = {f.__name__: f for f in (
    two_updates, weighted_gradient, moving_average, running_metric, seeded_noise,
)}  # fmt: skip


def on(device, make, decorate, tensors=ops.convert_to_tensor):
    """The results of seven calls, read after the last one."""
    with gpunn.device(device):
        gpunn.utils.set_random_seed(2)
        function = decorate(make())
        results = [function(tensors(x)) for x in X[:7]]
        return function, [devices.to_numpy(t.data) for r in results for t in _flat(r)]


def _flat(result):
    return result if isinstance(result, (list, tuple)) else [result]


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
@pytest.mark.parametrize("work", WORK)
def test_work_that_changes_state(simulated_gpu, work, device):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if work == "two_updates" else "error")
        _, plain = on(device, WORK[work], lambda f: f)
        function, recorded = on(device, WORK[work], gpunn.function)
    assert replays(function) == (work != "two_updates")
    for a, b in zip(plain, recorded, strict=True):
        np.testing.assert_array_equal(a, b)


# --- arguments ---


def test_each_call_uses_the_values_of_its_arrays():
    function, calls = counted(lambda x, y: ops.sum(x * 2.0, axis=0) - y)
    for i in range(8):
        y = Y[i, 0, 0]
        for x in (X[i], ops.convert_to_tensor(X[i]), np.asfortranarray(X[i])):
            np.testing.assert_allclose(
                function(x, np.asarray(y)), (X[i] * 2).sum(0) - y, rtol=1e-5, atol=1e-5
            )
    assert len(calls) == 3 and replays(function) == 1


def test_callers_arrays_are_left_alone_and_may_change():
    function = gpunn.function(lambda x: x + 1.0)
    x = np.zeros((3, 2), "float32")
    for i in range(6):
        x[...] = i
        np.testing.assert_array_equal(function(x), np.full((3, 2), i + 1.0))
        np.testing.assert_array_equal(x, np.full((3, 2), i))


def test_arrays_in_lists_dicts_and_keywords():
    def total(xs, named, *rest, pair, scale=1.0, nothing=None):
        assert nothing is None and isinstance(xs, list)
        return scale * (xs[0] - xs[1][0]) + named["a"] * named["b"] + pair.a - pair.b + rest[0]

    function, calls = counted(total)
    for _ in range(6):
        a, b, c, d, e, f, g = RNG.standard_normal((7, 4)).astype("float32")
        given = [a, (b,)], {"a": c, "b": d}, g
        for keywords in ({"pair": Pair(e, f)}, {"pair": Pair(e, f), "scale": 2.0}):
            np.testing.assert_allclose(
                function(*given, **keywords),
                keywords.get("scale", 1) * (a - b) + c * d + e - f + g,
                rtol=1e-5, atol=1e-5,
            )  # fmt: skip
    assert len(calls) == 6 and replays(function) == 2


def test_names_in_dicts_are_not_mixed_up():
    function = gpunn.function(lambda named: named["a"] - 2.0 * named["b"])
    a, b = X[0], X[1]
    for _ in range(4):
        function({"a": a, "b": b})
    np.testing.assert_allclose(function({"b": b, "a": a}), a - 2 * b, rtol=1e-6)


def test_each_shape_and_dtype_has_its_recording():
    function, calls = counted(lambda x: x * 2)
    kinds = [X[0], X[0, :5], X[0].astype("float64"), np.arange(5), np.arange(5, dtype="int32")]
    for _ in range(5):
        for x in kinds:
            result = function(x)
            assert result.dtype == x.dtype.name
            np.testing.assert_array_equal(result, x * 2)
    assert len(calls) == 15 and replays(function) == 5


def described(x, value):
    """What a value is and says, in numbers that only Python code can tell apart."""
    kinds = {bool: 1.0, int: 2.0, float: 3.0, str: 4.0}
    return x * kinds[type(value)] + (len(value) if isinstance(value, str) else value)


def test_other_arguments_have_recordings_of_their_own():
    function, calls = counted(described)
    x = np.ones(3, "float32")
    for _ in range(4):
        for value in (1, True, 1.0, "1", "12", 2):
            np.testing.assert_array_equal(function(x, value), described(x, value))
    assert len(calls) == 18 and replays(function) == 6


def test_zero_has_a_sign():
    function = gpunn.function(lambda x, y: ops.multiply(x, y))
    for _ in range(4):
        assert not np.signbit(function(np.ones(2, "float32"), 0.0).numpy()).any()
        assert np.signbit(function(np.ones(2, "float32"), -0.0).numpy()).all()


def test_objects_are_told_apart_by_identity():
    model = gpunn.Sequential([gpunn.Input((6,)), layers.Dense(2)])
    other = gpunn.Sequential([gpunn.Input((6,)), layers.Dense(2)])
    function = gpunn.function(lambda net, weights, x: net(x) + ops.sum(weights[0]))
    for x in X[:5]:
        for net in (model, other):
            expected = x @ net.weights[0].numpy() + net.weights[0].numpy().sum()
            np.testing.assert_allclose(function(net, net.weights, x), expected, atol=1e-5)
    assert replays(function) == 2


def test_many_kinds_make_room_for_each_other():
    function, calls = counted(lambda x, number: x + number)
    for turn in range(5):
        for number in range(20):
            np.testing.assert_array_equal(function(np.full(3, turn), number), [turn + number] * 3)
    assert len(function.recordings.steps) == 8 and len(calls) == 100


def test_a_number_that_changes_comes_as_an_array():
    function, calls = counted(lambda x, rate: x * rate)
    for i in range(20):
        rate = np.asarray(0.1 * i, "float32")
        np.testing.assert_array_equal(function(X[i], rate), X[i] * rate)
    assert len(calls) == 3


@pytest.mark.parametrize("argument", [{1, 2}, bytearray(b"x"), [X[0], {"a": {3}}]])
def test_arguments_that_cannot_be_told_apart(argument):
    function, calls = counted(lambda x: 1)
    message = r"an argument of type (set|bytearray) is neither an array nor hashable.*Pass arrays"
    with pytest.raises(TypeError, match=message):
        function(argument)
    assert not calls


@pytest.mark.parametrize("what", [3, None, "train"])
def test_what_is_not_callable(what):
    with pytest.raises(TypeError, match=r"decorates a function, received .*without arguments"):
        gpunn.function(what)


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
def test_arrays_come_as_tensors_wherever_it_is_called(simulated_gpu, device):
    """uint8 / 255 would be float64 in NumPy."""
    pixels = np.arange(6, dtype="uint8")
    function = gpunn.function(lambda x: x / 255)
    with gpunn.device(device):
        outer = gpunn.function(lambda x: function(x) + function(ops.ones((6,))))
        for _ in range(4):
            alone = function(pixels)
            with gpunn.GradientTape():
                in_tape = function(pixels)
            assert alone.dtype == in_tape.dtype == outer(pixels).dtype == "float32"
            np.testing.assert_array_equal(alone.numpy(), in_tape.numpy())


def test_arrays_move_to_the_device_in_use(simulated_gpu):
    function = gpunn.function(lambda x: ops.sum(x * 2.0, axis=0))
    with gpunn.device("gpu:0"):
        there = [ops.convert_to_tensor(x) for x in X[:6]]
    here = [ops.convert_to_tensor(x) for x in X[:6]]
    for device in ("cpu", "gpu:0"):
        for i in range(6):
            for x in (here[i], there[i], X[i]):
                with gpunn.device(device):
                    y = function(x)
                assert y.device == device
                np.testing.assert_allclose(y.numpy(), (2 * X[i]).sum(0), rtol=1e-5, atol=1e-5)
    assert replays(function) == 2


# --- results ---

RESULTS = {
    "new": lambda x: ops.tanh(x),
    "the argument": lambda x: x,
    "a view": lambda x: ops.reshape(x, (6, 8)),
    "a part": lambda x: x[2:5, ::2],
    "twice": lambda x: [ops.tanh(x)] * 2,
    "a bare array": lambda x: ops.tanh(x).data,
}


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
@pytest.mark.parametrize("result", RESULTS)
def test_later_calls_leave_results_alone(simulated_gpu, result, device):
    def read(value):
        arrays = [getattr(v, "data", v) if isinstance(v, gpunn.Tensor) else v for v in _flat(value)]
        return [np.array(devices.to_numpy(a)) for a in arrays]

    with gpunn.device(device):
        function = gpunn.function(RESULTS[result])
        kept, at_once = [], []
        for x in X[:7]:
            kept.append(function(x))
            at_once.append(read(kept[-1]))
        for i, (now, then) in enumerate(zip(map(read, kept), at_once, strict=True)):
            plain = read(RESULTS[result](ops.convert_to_tensor(X[i])))
            for a, b, c in zip(now, then, plain, strict=True):
                np.testing.assert_array_equal(a, b)
                np.testing.assert_array_equal(b, c)
    assert replays(function) == 1


def test_results_keep_their_structure():
    def many(x):
        return {"pair": Pair(x + 1.0, (x * 2.0, [None, 3])), "word": "yes", "none": None}

    function, calls = counted(many)
    for i in range(6):
        result = function(X[i])
        assert list(result) == ["pair", "word", "none"]
        assert isinstance(result["pair"], Pair) and isinstance(result["pair"].b, tuple)
        assert result["pair"].b[1] == [None, 3]
        assert (result["word"], result["none"]) == ("yes", None)
        np.testing.assert_array_equal(result["pair"].a, X[i] + 1)
        np.testing.assert_array_equal(result["pair"].b[0], X[i] * 2)
    assert len(calls) == 3


@pytest.mark.parametrize("result", [None, 2.5, "a word", ()])
def test_results_without_arrays(result):
    total = gpunn.Variable(0.0)

    def add(x):
        total.assign(total + ops.sum(x))
        return result

    function, calls = counted(add)
    for _ in range(10):
        assert function(np.ones(3, "float32")) == result
    assert float(total) == 30 and len(calls) == 3


def test_a_variable_comes_back_as_a_tensor_of_its_values_then():
    total = gpunn.Variable(0.0)
    function = gpunn.function(lambda x: total.assign(total + ops.sum(x)))
    results = [function(np.ones(3, "float32")) for _ in range(6)]
    assert [type(r) for r in results] == [gpunn.Tensor] * 6
    assert [float(r) for r in results] == [3, 6, 9, 12, 15, 18]
    results[-1].data[...] = 0
    assert float(total) == 18


# --- places ---


def test_as_a_method():
    class Scaler:
        """Each object has a factor and a recording."""

        def __init__(self, factor):
            self.factor = gpunn.Variable(factor)
            self.calls = 0

        @gpunn.function
        def scale(self, x, *, shift=0.0):
            self.calls += 1
            return x * self.factor + shift

    assert isinstance(Scaler.scale, gpunn.function)
    two, three = Scaler(2.0), Scaler(3.0)
    for x in X[:6]:
        np.testing.assert_array_equal(two.scale(x), 2 * x)
        np.testing.assert_array_equal(three.scale(x, shift=1.0), 3 * x + 1)
    two.factor.assign(5.0)
    np.testing.assert_array_equal(two.scale(X[0]), 5 * X[0])
    assert two.calls == three.calls == 3


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
def test_inside_another_function(simulated_gpu, device, no_warnings):
    inner = gpunn.function(lambda x: ops.tanh(x) * 2.0)
    outer = gpunn.function(lambda x: inner(x) + inner(x + 1.0))
    with gpunn.device(device):
        for x in X[:6]:
            expected = 2 * (np.tanh(x) + np.tanh(x + 1))
            np.testing.assert_allclose(outer(x).numpy(), expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(inner(x).numpy(), 2 * np.tanh(x), rtol=1e-5, atol=1e-6)
    assert replays(inner) == replays(outer) == 1


def test_a_function_that_calls_itself():
    @gpunn.function
    def power(x, n):
        return x if n == 0 else x * power(x, n - 1)

    for _ in range(5):
        np.testing.assert_array_equal(power(np.asarray([2.0, 3.0], "float32"), 3), [16, 81])


def test_inside_a_layer_of_a_recorded_model():
    double = gpunn.function(lambda x: x * 2.0)

    class Double(layers.Layer):
        def call(self, x):
            return double(x)

    weights = []
    for jit_compile in (False, True):
        gpunn.utils.set_random_seed(4)
        model = gpunn.Sequential([Double(), layers.Dense(2)])
        model.compile("sgd", "mse", jit_compile=jit_compile)
        for x, y in zip(X[:8], Y[:8], strict=True):
            model.train_on_batch(x, y)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(double(X[0]), 2 * X[0])


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
def test_inside_a_tape_gradients_flow_through(simulated_gpu, device):
    with gpunn.device(device):
        w = gpunn.Variable([0.5, -1.0, 2.0])
        function = gpunn.function(lambda x: ops.sum((x * w) ** 2))
        for x in RNG.standard_normal((6, 4, 3)).astype("float32"):
            function(x)
            with gpunn.GradientTape() as tape:
                value = 3.0 * function(x)
            gradient = tape.gradient(value, w).numpy()
            np.testing.assert_allclose(gradient, (6 * x**2).sum(0) * w.numpy(), rtol=1e-5)
            watched = ops.convert_to_tensor(x)
            with gpunn.GradientTape() as tape:
                tape.watch(watched)
                value = function(watched)
            gradient = tape.gradient(value, watched).numpy()
            np.testing.assert_allclose(gradient, 2 * x * w.numpy() ** 2, rtol=1e-5)
    assert replays(function) == 1


def test_no_grad_inside_a_tape_replays():
    w = gpunn.Variable([2.0])
    function, calls = counted(lambda x: x * w)
    for _ in range(5):
        with gpunn.GradientTape() as tape:
            with gpunn.no_grad():
                constant = function(np.ones(1, "float32"))
            value = ops.sum(constant * w)
        np.testing.assert_array_equal(tape.gradient(value, w), [2])
    assert len(calls) == 3


def test_threads():
    function = gpunn.function(lambda x, k: ops.sum(ops.tanh(x) * k, axis=0))
    expected = {(i, k): function.python_function(ops.convert_to_tensor(X[i]), k).numpy()
                for i in range(8) for k in (1.0, 2.0)}  # fmt: skip
    wrong = []

    def work(number):
        for turn in range(100):
            i, k = (number + turn) % 8, 1.0 + (turn // 3 + number) % 2
            if not np.array_equal(function(X[i], k), expected[i, k]):
                wrong.append((i, k))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and replays(function) == 2


def test_it_looks_like_the_function():
    @gpunn.function
    def train(x):
        """One step."""
        return x

    assert (train.__name__, train.__doc__, train.__module__) == ("train", "One step.", __name__)
    assert train.__wrapped__ is train.python_function
    np.testing.assert_array_equal(gpunn.function(train)(X[0]), X[0])


# --- what cannot be replayed ---


def test_python_code_runs_in_the_first_three_calls_only(capsys):
    seen = []

    @gpunn.function
    def function(x):
        seen.append(type(x))
        print("called")
        return x + len(seen) * 0.0

    for x in X[:10]:
        function(x)
    assert seen == [gpunn.Tensor] * 3
    assert capsys.readouterr().out == "called\n" * 3


def reads_a_float(x):
    return x * 2.0 if float(ops.sum(x)) > 0 else x * 3.0  # the line


def reads_a_bool(x):
    return x * 2.0 if ops.sum(x) > 0 else x * 3.0  # the line


def reads_an_array(x):
    return x * (2.0 if x.numpy().sum() > 0 else 3.0)  # the line


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
@pytest.mark.parametrize("reader", [reads_a_float, reads_a_bool, reads_an_array])
def test_host_reads_are_named_once_and_give_right_results(simulated_gpu, reader, device):
    function = gpunn.function(reader)
    line = reader.__code__.co_firstlineno + 1
    with gpunn.device(device), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for x in (*X[:8], *X[:8, :4]):
            expected = x * (2 if x.sum() > 0 else 3)
            np.testing.assert_allclose(function(x).numpy(), expected, rtol=1e-6)
    (warning,) = caught
    assert str(warning.message) == (
        f"gpunn.function '{reader.__name__}' is not recorded and runs eagerly: a value is read on "
        f"the host at {__file__}:{line}."
    )
    assert warning.filename == __file__ and replays(function) == 0


def keeps_the_previous():
    kept = {}

    def function(x):
        y = x * 2.0
        previous, kept["y"] = kept.get("y", y), y
        return y + previous

    return function


def unseeded_noise():
    return lambda x: x + gpunn.random.normal((8, 6))


def counts_calls():
    calls = []

    def function(x):
        calls.append(1)
        return x * float(len(calls))

    return function


def returns_the_count():
    calls = []

    def function(x):
        calls.append(1)
        return [x * 1.0, ops.ones(()) * len(calls)]

    return function


def computes_outside():
    """A computation that is no kernel of gpunn; a GPU captures it, too."""
    return lambda x: x + gpunn.Tensor(x.data * 0.5)


STATEFUL = {f.__name__: f for f in (
    keeps_the_previous, unseeded_noise, counts_calls, returns_the_count, computes_outside,
)}  # fmt: skip


@pytest.mark.parametrize(
    ("work", "device"),
    [(w, d) for w in STATEFUL for d in ("cpu", "gpu:0") if (w, d) != ("computes_outside", "gpu:0")],
)
def test_what_python_code_keeps_or_computes_ends_in_eager_calls(simulated_gpu, work, device):
    _, plain = on(device, STATEFUL[work], lambda f: f)
    with pytest.warns(UserWarning, match="is not recorded and runs eagerly") as caught:
        function, recorded = on(device, STATEFUL[work], gpunn.function)
    assert len(caught) == 1 and replays(function) == 0
    for a, b in zip(plain, recorded, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_an_error_leaves_the_function_usable(simulated_gpu, failing, device):
    """The failing call comes while the function warms up, is recorded, or runs with another kind of
    argument; what a layer makes at its first call is made afterwards.
    """
    with gpunn.device(device):
        gpunn.utils.set_random_seed(1)
        layer = layers.Dense(3)
        state = {"fails": False}

        def python_function(x):
            if state["fails"]:
                raise RuntimeError("on purpose")
            return layer(x)

        function = gpunn.function(python_function)
        for call in range(1, 9):
            state["fails"] = call == failing
            x = X[call] if call < 4 else X[call, :5]
            if state["fails"]:
                with pytest.raises(RuntimeError, match="on purpose"):
                    function(x)
            else:
                expected = x @ layer.kernel.numpy() if layer.built else None
                result = function(x).numpy()
                expected = x @ layer.kernel.numpy() if expected is None else expected
                np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_an_error_in_the_first_call_does_not_end_recording(no_warnings):
    layer = layers.Dense(3)
    state = {"fails": True}

    def python_function(x):
        if state["fails"]:
            raise RuntimeError("on purpose")
        return layer(x)

    function = gpunn.function(python_function)
    with pytest.raises(RuntimeError, match="on purpose"):
        function(X[0])
    state["fails"] = False
    for x in X[:5]:
        function(x)
    assert replays(function) == 1
