"""`summary()`: shapes and numbers as Keras prints them."""

import os
import re

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from tests.models.graphs import GRAPHS
from tests.models.keras_facts import keras_facts

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


def trained(k):
    model = frozen(k)
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 8)), np.zeros((2, 10, 1200)), verbose=0)
    return model


@pytest.mark.parametrize("make", [built, frozen, unbuilt, nested, build_later, trained])
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


# --- models with branches ---


def lines_of(text):
    """The cells of each row; a row that Keras breaks into several lines is one."""
    rows = []
    for line in text.splitlines():
        if line[:1] == "│":
            first, *rest = line.split("│")[1:-1]
            cells = [first.rstrip(), *(cell.strip() for cell in rest)]  # the first is indented
            if cells[0] or not rows:
                rows.append(cells)
            else:
                rows[-1] = [f"{a} {b}".strip() if b else a for a, b in zip(rows[-1], cells)]
        elif line[:1] == "┃":
            rows.append([cell.strip() for cell in line.split("┃")[1:-1]])
    return rows


@pytest.mark.parametrize(
    "name",
    ["chain", "two_inputs", "shared", "nested_twice", "sequential_inside", "several_results",
     "dicts", "one_input_twice"],
)  # fmt: skip
def test_what_is_connected_as_keras(name):
    gpunn.utils.clear_session()
    found = []
    model = GRAPHS[name](gpunn)
    model.summary(line_length=150, expand_nested=True, print_fn=found.append)
    ours, theirs = lines_of(found[0]), lines_of(keras_facts()[name]["summary"])
    assert ours == theirs


def lines(**options):
    found = []
    x = gpunn.Input((4,), name="x")
    a = gpunn.layers.Dense(4, name="first")(x)
    b = gpunn.layers.Dense(4, name="second")(a)
    model = gpunn.Model(x, gpunn.layers.Add(name="sum")([a, b]))
    model.summary(print_fn=found.append, **options)
    return lines_of(found[0])


@pytest.mark.parametrize(
    ("layer_range", "names"),
    [
        (("first", "second"), ["first", "second"]),
        (["sec.*", "sum"], ["second", "sum"]),
        (("x", "x"), ["x"]),
        (("x", ".*s.*"), ["x", "first", "second", "sum"]),
    ],
)
def test_layer_range(layer_range, names):
    assert [row[0].split()[0] for row in lines(layer_range=layer_range)[1:]] == names


def test_layer_range_of_what_is_not_there():
    with pytest.raises(ValueError, match="no layer 'third'. The layers: x, first, second, sum"):
        lines(layer_range=("first", "third"))
    with pytest.raises(ValueError, match="layer_range must be two names"):
        lines(layer_range=("first",))


def test_positions_of_the_columns():
    assert lines(positions=(0.4, 0.6, 0.7, 1.0), line_length=100) == lines(line_length=100)
    assert lines(positions=(40, 60, 70, 100), line_length=100) == lines(line_length=100)
    with pytest.raises(ValueError, match="positions must have 4 numbers"):
        lines(positions=(0.5, 1.0))
