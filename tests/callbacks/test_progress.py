"""The progress line: on a terminal it moves, elsewhere each epoch prints one line."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import gpunn
from gpunn.callbacks.progress import format_logs, format_time

X, Y = np.ones((10, 2), "float32"), np.ones((10, 1), "float32")


@pytest.fixture
def model():
    m = gpunn.Sequential([gpunn.Input((2,)), gpunn.layers.Dense(1)])
    m.compile("sgd", "mse", metrics=["mae"])
    return m


NUMBER = r"\d+\.\d{4}(e[+-]\d+)?"


def test_verbose_1_elsewhere(model, capsys):
    model.fit(X, Y, batch_size=4, epochs=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2" and lines[2] == "Epoch 2/2" and len(lines) == 4
    logs = f"loss: {NUMBER} - mae: {NUMBER} - val_loss: {NUMBER} - val_mae: {NUMBER}"
    assert re.fullmatch(rf"2/2 ━+ \S+ \S+/step - {logs}", lines[1])
    assert "\x1b" not in lines[1]


def test_verbose_2(model, capsys):
    model.fit(X, Y, batch_size=4, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == ["Epoch 1/2", "Epoch 2/2"] and len(lines) == 4
    assert re.fullmatch(rf"3/3 - \S+ \S+/step - loss: {NUMBER} - mae: {NUMBER}", lines[1])


@pytest.mark.parametrize("verbose", [0, False])
def test_verbose_0_is_silent(model, capsys, verbose):
    model.fit(X, Y, verbose=verbose)
    model.evaluate(X, Y, verbose=verbose)
    model.predict(X, verbose=verbose)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_evaluate_and_predict(model, capsys):
    model.evaluate(X, Y, batch_size=3)
    model.predict(X, batch_size=3, verbose=2)
    evaluated, predicted = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"4/4 ━+ \S+ \S+/step - loss: {NUMBER} - mae: {NUMBER}", evaluated)
    assert re.fullmatch(r"4/4 - \S+ \S+/step", predicted)


def test_an_unknown_number_of_steps(model, capsys):
    model.fit(((X[i : i + 2], Y[i : i + 2]) for i in range(0, 10, 2)), verbose=2)
    assert "5/5 - " in capsys.readouterr().out


@pytest.mark.parametrize("verbose", [3, "yes", None, [1]])
def test_wrong_verbose(model, verbose):
    with pytest.raises(ValueError, match="verbose must be"):
        model.fit(X, Y, verbose=verbose)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are not on Windows")
def test_on_a_terminal_the_line_moves_and_the_cursor_comes_back():
    import pty

    code = (
        "import numpy as np, time, gpunn\n"
        "m = gpunn.Sequential([gpunn.Input((2,)), gpunn.layers.Dense(1)])\n"
        "m.compile('sgd', 'mse')\n"
        "wait = gpunn.callbacks.LambdaCallback(on_train_batch_end=lambda b, l: time.sleep(0.15))\n"
        "m.fit(np.ones((6, 2)), np.ones(6), batch_size=2, callbacks=[wait])\n"
        "print('done')\n"
    )
    main, terminal = pty.openpty()
    environment = {**os.environ, "GPUNN_BACKEND": "numpy", "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=terminal, env=environment)
    os.close(terminal)
    chunks = []
    try:
        while chunk := os.read(main, 4096):
            chunks.append(chunk)
    except OSError:  # Linux: the other end is closed
        pass
    os.close(main)
    assert process.wait(60) == 0
    text = b"".join(chunks).decode()
    assert "2/3 " in text and "3/3 " in text  # it moved
    assert text.index("3/3") < text.index("done")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor: hidden, shown


def test_after_an_error_the_line_is_closed(model, capsys):
    class Fails(gpunn.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("mine")

    for _ in range(2):  # a second live line would be refused by rich if the first stayed open
        with pytest.raises(RuntimeError, match="mine"):
            model.fit(X, Y, callbacks=[Fails()])


def test_formats():
    logs = {"val_loss": 0.5, "mae": 1e-4, "loss": 123.45678, "zero": 0.0}
    assert format_logs(logs) == "loss: 123.4568 - mae: 1.0000e-04 - zero: 0.0000 - val_loss: 0.5000"
    assert [format_time(t) for t in (75, 1.4, 0.0123, 4.2e-5)] == ["75s", "1s", "12ms", "42us"]
