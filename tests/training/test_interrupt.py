"""Ctrl-C in fit: a finished step, the history so far, a model that goes on."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import gpunn
from gpunn.training.interrupt import InterruptBetweenSteps

X = np.random.default_rng(0).standard_normal((12, 3)).astype("float32")
Y = X @ np.array([[1.0], [2.0], [3.0]], "float32")


@pytest.fixture(autouse=True)
def _python_listens():
    """A shell lets what it runs in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def made():
    gpunn.utils.set_random_seed(3)
    model = gpunn.Sequential(
        [gpunn.Input((3,)), gpunn.layers.Dense(4, "tanh"), gpunn.layers.Dense(1)]
    )
    model.compile(gpunn.optimizers.Adam(0.01), "mse")
    return model


class Interrupts(gpunn.callbacks.Callback):
    """Ctrl-C by a signal while batch number `at` (counted over epochs) begins or has ended."""

    def __init__(self, at, begin=True):
        super().__init__()
        self.at, self.begin, self.count = at, begin, 0

    def on_train_batch_begin(self, batch, logs=None):
        if self.begin and self.count == self.at:
            signal.raise_signal(signal.SIGINT)

    def on_train_batch_end(self, batch, logs=None):
        if not self.begin and self.count == self.at:
            signal.raise_signal(signal.SIGINT)
        self.count += 1


@pytest.mark.parametrize("begin", [True, False])
def test_the_step_is_finished_and_the_history_kept(begin):
    model, reference = made(), made()
    with pytest.raises(KeyboardInterrupt):
        model.fit(
            X, Y, batch_size=4, epochs=5, shuffle=False, verbose=0, callbacks=[Interrupts(7, begin)]
        )
    reference.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert model.history.epoch == [0, 1]
    assert model.history.history == reference.history.history
    for rows in (slice(0, 4), slice(4, 8)):  # two steps of the third epoch were done
        reference.train_on_batch(X[rows], Y[rows])
    for a, b in zip(model.get_weights(), reference.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert int(model.optimizer.iterations) == 8
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    history = model.fit(X, Y, epochs=2, verbose=0)
    assert history.epoch == [0, 1] and np.isfinite(history.history["loss"]).all()


def test_keyboard_interrupt_raised_in_a_callback():
    def stop(epoch, logs):
        raise KeyboardInterrupt

    model = made()
    callback = gpunn.callbacks.LambdaCallback(
        on_epoch_end=lambda e, logs: stop(e, logs) if e else None
    )
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[callback])
    assert model.history.epoch == [0]
    assert model.predict(X, verbose=0).shape == (12, 1)


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_end"])
def test_an_interrupt_after_the_last_step_is_not_lost(hook):
    callback = gpunn.callbacks.LambdaCallback(
        **{hook: lambda *_: signal.raise_signal(signal.SIGINT)}
    )
    model = made()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, verbose=0, callbacks=[callback])
    assert model.history.epoch == [0]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_in_evaluate_and_predict(method):
    kind = "test" if method == "evaluate" else method
    callback = gpunn.callbacks.LambdaCallback(
        **{f"on_{kind}_batch_begin": lambda *_: signal.raise_signal(signal.SIGINT)}
    )
    model = made()
    data = (X, Y) if method == "evaluate" else (X,)
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(*data, verbose=0, callbacks=[callback])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_comes_through_at_once():
    reached = []
    with pytest.raises(KeyboardInterrupt), InterruptBetweenSteps():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        reached.append(1)
        signal.raise_signal(signal.SIGINT)
        reached.append(2)
    assert reached == [1]


def test_a_handler_of_the_user_stays():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        made().fit(X, Y, batch_size=4, verbose=0, callbacks=[Interrupts(1)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_from_outside():
    code = (
        "import signal, numpy as np, gpunn\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job ignores it
        "x, y = np.ones((1000, 8), 'float32'), np.ones((1000, 1), 'float32')\n"
        "m = gpunn.Sequential([gpunn.Input((8,)), gpunn.layers.Dense(8), gpunn.layers.Dense(1)])\n"
        "m.compile('adam', 'mse')\n"
        "begun = gpunn.callbacks.LambdaCallback(\n"
        "    on_epoch_end=lambda e, logs: print('ready', flush=True) if e == 2 else None)\n"
        "try:\n"
        "    m.fit(x, y, epochs=10**6, verbose=0, callbacks=[begun])\n"
        "except KeyboardInterrupt:\n"
        "    steps = int(m.optimizer.iterations)\n"
        "    print(len(m.history.epoch) >= 3, 0 <= steps - 32 * len(m.history.epoch) <= 32)\n"
        "    m.fit(x, y, epochs=1, verbose=0)\n"
        "    print(int(m.optimizer.iterations) - steps, m.history.epoch)\n"
    )
    environment = {**os.environ, "GPUNN_BACKEND": "numpy"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out.splitlines() == ["True True", "32 [0]"]
