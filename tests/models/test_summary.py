"""`summary()`: shapes and numbers as Keras prints them."""

import os
import re

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn

keras = pytest.importorskip("keras")


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # else Keras cuts its columns


def table(k, make, **options):
    """The rows of the table and the lines below it, without lines and counts of bytes' spaces."""
    lines = []
    make(k).summary(
        print_fn=lambda text: lines.extend(text.splitlines()), line_length=110, **options
    )
    rows = [
        [re.sub(r"_\d+ ", " ", cell.strip()) for cell in re.split("[│┃]", line)[1:-1]]
        for line in lines
        if line[:1] in "│┃"
    ]
    return rows, [line.strip() for line in lines if "params" in line]


def built(k):
    L = k.layers
    return k.Sequential(
        [k.Input((8,)), L.Dense(300, "relu"), L.Dropout(0.2), L.Reshape((10, 30)), L.Dense(1200)]
    )


def frozen(k):
    model = built(k)
    model.layers[0].trainable = False
    return model


def unbuilt(k):
    return k.Sequential([k.layers.Dense(3), k.layers.Dropout(0.5), k.layers.Dense(2)])


def nested(k):
    inner = k.Sequential([k.layers.Dense(4), k.layers.Dense(3)], name="inner")
    return k.Sequential([k.Input((5,)), inner, k.layers.Dense(2)])


def build_later(k):
    model = unbuilt(k)
    model.build((None, 5))
    return model


@pytest.mark.parametrize("make", [built, frozen, unbuilt, nested, build_later])
@pytest.mark.parametrize("options", [{}, {"show_trainable": True}])
def test_as_keras(make, options):
    ours, theirs = table(gpunn, make, **options), table(keras, make, **options)
    assert ours[0][1:] == theirs[0][1:] and ours[0][0][:3] == theirs[0][0][:3]
    assert ours[1] == theirs[1]


def subclassed(k):
    class Net(k.Model):
        def __init__(self):
            super().__init__()
            self.a = k.layers.Dense(4, name="a")
            self.b = k.layers.Dense(2, name="b")

        def call(self, x):
            return self.b(self.a(x))

    return Net()


def test_a_subclass_before_and_after_its_first_call():
    rows, totals = table(gpunn, subclassed)
    assert [r[1] for r in rows[1:]] == ["?", "?"] and totals[0] == "Total params: 0 (0.00 B)"
    model = subclassed(gpunn)
    model(np.zeros((7, 3), "float32"))
    rows, totals = table(None, lambda k: model)
    assert rows[1:] == [["a (Dense)", "(None, 4)", "16"], ["b (Dense)", "(None, 2)", "10"]]
    assert totals[0] == "Total params: 26 (104.00 B)"


def test_a_deferred_model_after_fit_shows_no_batch_size():
    model = unbuilt(gpunn)
    model.compile("sgd", "mse")
    model.fit(np.zeros((7, 3)), np.zeros((7, 2)), verbose=0)
    rows, _ = table(None, lambda k: model)
    assert [r[1] for r in rows[1:]] == ["(None, 3)", "(None, 3)", "(None, 2)"]
    assert model.input_shape == (None, 3) and model.output_shape == (None, 2)


def test_it_prints_by_itself(capsys):
    built(gpunn).summary()
    out = capsys.readouterr().out
    assert out.startswith('Model: "sequential') and "Total params: 39,900 (155.86 KB)" in out
    assert "\x1b" not in out
