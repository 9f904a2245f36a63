"""The language model as a user runs it, and the arithmetic it is judged by."""

import math
import re
import sys

import numpy as np
import pytest

from tests.examples.running import EXAMPLES, run

SCRIPT = EXAMPLES / "text_lstm.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import text_lstm

    yield text_lstm
    for name in ("text_lstm", "_shared"):
        sys.modules.pop(name, None)


def test_learns_and_writes():
    done = run(SCRIPT, "--device", "cpu", "--epochs", 2)
    assert done.returncode == 0, done.stderr
    found = re.search(r"Perplexity: LSTM ([\d.]+), bigrams ([\d.]+)", done.stdout)
    assert found is not None
    lstm, bigrams = map(float, found.groups())
    assert 10 < bigrams < 20  # of English
    assert 2 < lstm < bigrams
    for temperature in (0.5, 0.8, 1.1):
        assert f"Temperature {temperature}\nThe class " in done.stdout


def test_the_test_text_has_no_paragraph_of_the_training_text(example):
    text, test = example.load()
    assert 0.08 < len(test) / (len(text) + len(test)) < 0.12
    assert set(text) | set(test) <= {chr(i) for i in range(32, 127)} | {"\n"}
    paragraphs = test.strip().split("\n")
    assert len(paragraphs) > 50 and not set(paragraphs) & set(text.split("\n"))


def test_windows_are_followed_by_their_next_characters(example, monkeypatch):
    monkeypatch.setattr(example, "STEPS", 3)
    x, y = example.windows("abcdabca", "abcd")
    assert x.tolist() == [[0, 1, 2], [3, 0, 1]] and y.tolist() == [[1, 2, 3], [0, 1, 2]]
    assert x.dtype == y.dtype == "int32"


def test_perplexity_of_bigrams(example):
    x, y = np.array([[0, 0, 0, 1]]), np.array([[1, 1, 0, 0]])
    # counts + 1: from 0: [2, 3], from 1: [2, 1]
    expected = math.exp(-(math.log(3 / 5) + math.log(1 / 3)) / 2)
    found = example.bigram_perplexity(x, y, np.array([[0, 1]]), np.array([[1, 1]]), 2)
    assert found == pytest.approx(expected)
    uniform = example.bigram_perplexity(x[:, :0], y[:, :0], x, y, 2)
    assert uniform == pytest.approx(2)


def test_the_writer_computes_what_the_model_does(example):
    model = example.make_model(7, updates=1)
    writer = example.make_writer(model, 7)
    x = np.random.default_rng(0).integers(7, size=(1, example.STEPS)).astype("int32")
    expected = model.predict(x, verbose=0)[0, :5]
    found = [np.asarray(writer(x[:, t : t + 1]))[0, 0] for t in range(5)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_cold_writing_takes_the_likeliest(example):
    model = example.make_model(3, updates=1)
    weights = model.get_weights()
    weights[-1][:] = [0, 5, 0]
    model.set_weights(weights)
    writer = example.make_writer(model, 3)
    assert example.write(writer, "abc", "ca", 6, temperature=0.01, seed=0) == "ca" + 6 * "b"
    assert len(set(example.write(writer, "abc", "ca", 40, temperature=100, seed=0))) == 3
