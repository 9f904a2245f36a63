"""TextVectorization, by the examples of Keras' documentation and plain Python."""

import json
import math
import string
from collections import Counter

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.errors import DTypeError, ShapeError

TEXTS = ["The cat sat.", "the CAT, the dog!", "a dog's\tlife\n is  a life"]


def tokens(text):
    kept = "".join(c for c in text if c not in string.punctuation)
    return "".join(c.lower() if c in string.ascii_uppercase else c for c in kept).split()


def values(x):
    return x.numpy().tolist()


def test_the_examples_of_keras():
    layer = layers.TextVectorization(max_tokens=5000, output_sequence_length=4)
    layer.adapt(["foo bar", "bar baz", "baz bada boom"])
    y = layer([["foo qux bar"], ["qux baz"]])
    assert y.dtype == "int64"
    vocabulary = layer.get_vocabulary()
    assert vocabulary == ["", "[UNK]", "baz", "bar", "foo", "boom", "bada"]
    assert values(y) == [[4, 1, 3, 0], [1, 2, 0, 0]]
    layer = layers.TextVectorization(vocabulary=["earth", "wind", "and", "fire"])
    assert layer.get_vocabulary() == ["", "[UNK]", "earth", "wind", "and", "fire"]
    assert layer.vocabulary_size() == 6
    assert layer.get_vocabulary(include_special_tokens=False) == ["earth", "wind", "and", "fire"]


@pytest.mark.parametrize("make", [list, tuple, np.array, lambda t: np.array(t, object)[:, None]])
def test_learned_and_called_on_every_container(make):
    layer = layers.TextVectorization()
    layer.adapt(make(TEXTS))
    documents = [tokens(text) for text in TEXTS]
    counts = Counter(t for document in documents for t in document)
    order = sorted(sorted(counts, reverse=True), key=lambda t: -counts[t])
    assert layer.get_vocabulary() == ["", "[UNK]", *order]
    length = max(map(len, documents))
    expected = [[order.index(t) + 2 for t in d] + [0] * (length - len(d)) for d in documents]
    assert values(layer(make(TEXTS))) == expected
    assert values(layer(TEXTS[0])) == [order.index(t) + 2 for t in documents[0]]
    batches = [TEXTS[:2], (TEXTS[2:], np.zeros(1))]
    other = layers.TextVectorization()
    other.adapt(iter(batches))
    assert other.get_vocabulary() == layer.get_vocabulary()
    other.adapt(iter(batches), steps=1)
    assert "life" not in other.get_vocabulary()


def test_standards_and_splits():
    def words(**options):
        layer = layers.TextVectorization(**options)
        layer.adapt(["Ab, Äb x\u00a0y"])
        return set(layer.get_vocabulary(False))

    assert words() == {"ab", "Äb", "x\u00a0y"}  # ASCII letters and ASCII white space, as in Keras
    assert words(standardize=None) == {"Ab,", "Äb", "x\u00a0y"}
    assert words(standardize="lower") == {"ab,", "Äb", "x\u00a0y"}
    assert words(standardize="strip_punctuation") == {"Ab", "Äb", "x\u00a0y"}
    assert words(standardize=np.char.upper) == {"AB,", "ÄB", "X\u00a0Y"}
    assert words(split="character", standardize="lower") == set("ab, Äx\u00a0y")
    assert words(split=None, standardize=None) == {"Ab, Äb x\u00a0y"}
    commas = words(standardize=None, split=lambda texts: [t.split(",") for t in texts])
    assert commas == {"Ab", " Äb x\u00a0y"}
    marks = words(standardize=None, split=lambda texts: np.char.split(texts, "b"))
    assert marks == {"A", ", Ä", " x\u00a0y"}
    for space in ("\x1c", "\x1f", "\u2003"):
        odd = layers.TextVectorization()
        odd.adapt([f"a{space}b\vc\fd\r\ne"])
        assert set(odd.get_vocabulary(False)) == {f"a{space}b", "c", "d", "e"}
    everything = layers.TextVectorization(split="character")
    everything.adapt([string.printable])
    assert set(everything.get_vocabulary(False)) == set(string.printable.lower()) - set(
        string.punctuation
    )


def test_ngrams():
    def grams(ngrams):
        layer = layers.TextVectorization(ngrams=ngrams)
        layer.adapt(["a b c", "d"])
        return sorted(layer.get_vocabulary(False))

    assert grams(2) == grams(np.int64(2)) == ["a", "a b", "b", "b c", "c", "d"]
    json.dumps(layers.TextVectorization(ngrams=np.int64(2)).get_config())
    assert grams((3,)) == ["a b c"]
    assert grams((1, 3)) == ["a", "a b c", "b", "c", "d"]
    layer = layers.TextVectorization(ngrams=(2, 1), vocabulary=["a", "b", "a b", "b a"])
    assert values(layer(["a b a"])) == [[4, 5, 2, 3, 2]]


def test_ready_tokens():
    layer = layers.TextVectorization(
        split=None, standardize=None, vocabulary=["A", "b"], output_sequence_length=3
    )
    assert values(layer([["A", "b"], ["c", "A"]])) == [[2, 3, 0], [1, 2, 0]]
    assert values(layer(["A", "b", "c", "A"])) == [2, 3, 1]


@pytest.mark.parametrize("padded", [False, True])
def test_rows_of_counts(padded):
    options = {"max_tokens": 12, "pad_to_max_tokens": True} if padded else {}
    made = {}
    for mode in ("multi_hot", "count", "tf_idf"):
        made[mode] = layers.TextVectorization(output_mode=mode, **options)
        made[mode].adapt(TEXTS)
    vocabulary = made["count"].get_vocabulary()
    assert vocabulary[0] == "[UNK]" and "" not in vocabulary
    depth = 12 if padded else len(vocabulary)
    new = [*TEXTS, "cat bird bird dog", ""]
    counts = np.zeros((len(new), depth))
    for row, text in zip(counts, new, strict=True):
        for t in tokens(text):
            row[vocabulary.index(t) if t in vocabulary else 0] += 1
    seen = [sum(t in tokens(text) for text in TEXTS) for t in vocabulary[1:]]
    idf = [math.log(1 + len(TEXTS) / (1 + n)) for n in seen]
    idf = [math.fsum(idf) / len(idf), *idf] + [0] * (depth - len(vocabulary))
    expected = {"multi_hot": counts > 0, "count": counts, "tf_idf": counts * idf}
    for mode, layer in made.items():
        y = layer(new)
        assert y.dtype == "float32"
        np.testing.assert_allclose(y.numpy(), expected[mode], rtol=1e-6)
        np.testing.assert_allclose(layer(new[3]).numpy(), expected[mode][3], rtol=1e-6)
        assert layer.compute_output_shape((None,)) == (None, depth)
    again = layers.TextVectorization(
        output_mode="tf-idf", vocabulary=vocabulary[1:], idf_weights=idf[1 : len(vocabulary)]
    )
    np.testing.assert_allclose(
        again(new).numpy(), expected["tf_idf"][:, : len(vocabulary)], rtol=1e-6
    )


def test_a_vocabulary_file(tmp_path):
    file = tmp_path / "terms.txt"
    file.write_text("one\ntwo\n", encoding="utf-8")
    assert values(layers.TextVectorization(vocabulary=str(file))(["Two one three"])) == [[3, 2, 1]]


def test_config_and_shapes():
    layer = layers.TextVectorization(
        max_tokens=9, ngrams=2, output_sequence_length=5, vocabulary=["a", "b"], split="character"
    )
    again = layers.TextVectorization.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert values(again(["ab"])) == values(layer(["ab"])) == [[2, 3, 1, 0, 0]]
    assert layer.compute_output_shape((None, 1)) == (None, 5)
    assert layers.deserialize(layers.serialize(layer)).get_vocabulary() == layer.get_vocabulary()
    given = layers.TextVectorization(standardize=np.char.upper, vocabulary=["A"])
    assert values(type(given).from_config(given.get_config())(["a b"])) == [[2, 1]]


def test_texts_longer_than_the_output_and_empty_ones():
    layer = layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=2)
    assert values(layer(["a b a", "", "b"])) == [[2, 3], [0, 0], [3, 0]]
    assert layer([]).shape == (0, 2)


def test_on_the_simulated_gpu(simulated_gpu):
    layer = layers.TextVectorization(output_mode="tf_idf")
    layer.adapt(TEXTS)
    expected = values(layer(TEXTS))
    with gpunn.device("gpu:0"):
        np.testing.assert_allclose(layer(TEXTS).numpy(), expected, rtol=1e-6)


MAKE = layers.TextVectorization
WRONG = {
    "ragged=True is not supported": lambda: MAKE(ragged=True),
    "sparse=True is not supported": lambda: MAKE(sparse=True, output_mode="count"),
    "Unknown output_mode of TextVectorization": lambda: MAKE(output_mode="ints"),
    "Unknown standardize of TextVectorization: 'lowercase'": lambda: MAKE(standardize="lowercase"),
    "Unknown split of TextVectorization": lambda: MAKE(split="words"),
    "ngrams must be None, a positive integer": lambda: MAKE(ngrams=(1, "2")),
    "output_sequence_length must be a positive integer, and": lambda: MAKE(
        output_mode="count", output_sequence_length=3
    ),
    "received 0 and output_mode='int'": lambda: MAKE(output_sequence_length=0),
    "cannot adapt": lambda: MAKE(vocabulary=["a"]).adapt(["a"]),
    "leave batch_size out": lambda: MAKE().adapt(["a"], batch_size=3),
    "received no tokens": lambda: MAKE().adapt(["..."]),
}


@pytest.mark.parametrize("message", WRONG)
def test_errors(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()


def test_other_errors():
    layer = MAKE(vocabulary=["a"])
    with pytest.raises(ShapeError, match=r"must be \(batch,\) or \(batch, 1\), received \(1, 2\)"):
        layer([["a", "b"]])
    with pytest.raises(RuntimeError, match="has no vocabulary yet"):
        MAKE()(["a"])
    with pytest.raises(ShapeError, match="standardize must keep the shape"):
        MAKE(vocabulary=["a"], standardize=lambda t: t[:1])(["a", "b"])
    with pytest.raises(ShapeError, match="split must give a list of tokens for each of the 2"):
        MAKE(vocabulary=["a"], split=lambda t: t)(["a", "b"])
    for tensor in (layers.Input((1,)), gpunn.ops.ones((2, 1))):
        with pytest.raises(DTypeError, match=r"Strings cannot be the input of a model: vectorize"):
            layer(tensor)


def test_a_model_on_strings_says_to_vectorize_first():
    model = gpunn.Sequential([MAKE(vocabulary=["a"]), layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(DTypeError, match=r"Text\? .*TextVectorization.*before fit"):
        model.fit(np.array(["a", "b"]), np.zeros(2), verbose=0)
    with pytest.raises(DTypeError, match=r"before fit"):
        layers.Input((1,), dtype="string")
