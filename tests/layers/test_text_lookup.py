"""StringLookup and IntegerLookup, by the examples of Keras' documentation and plain Python."""

import math
from collections import Counter

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.errors import DTypeError, ShapeError

VOCABULARY = [12, 36, 1138, 42]
DATA = np.array([[12, 1138, 42, 42], [42, 7, 36, 7]])
WORDS = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "dog", "sat", "on", "the", "cat"]


def values(x):
    return x.numpy().tolist() if isinstance(x, gpunn.Tensor) else x.tolist()


# --- strings ---


def test_strings_in_every_container():
    layer = layers.StringLookup(vocabulary=["a", "b", "c", "d"])
    expected = [[1, 3, 4], [4, 0, 2]]
    given = [["a", "c", "d"], ["d", "z", "b"]]
    as_objects, as_bytes = np.array(given, object), np.array(given).astype("S")
    for data in (given, np.array(given), as_objects, as_bytes, tuple(map(tuple, given))):
        y = layer(data)
        assert y.dtype == "int64" and values(y) == expected
    assert layer("c").shape == () and int(layer("c").numpy()) == 3
    assert values(layer(["d", "?"])) == [4, 0]
    assert layer.compute_output_shape((None, 3)) == (None, 3)


def test_learned_strings():
    """By count, of equal counts the larger string first."""
    layer = layers.StringLookup()
    layer.adapt(WORDS)
    counts = Counter(WORDS)
    order = sorted(sorted(counts, reverse=True), key=lambda w: -counts[w])
    assert layer.get_vocabulary() == ["[UNK]", *order]
    assert layer.get_vocabulary(include_special_tokens=False) == order
    assert layer.vocabulary_size() == 1 + len(order)
    batches = [WORDS[i : i + 4] for i in range(0, len(WORDS), 4)]
    for data in (np.array(WORDS), tuple(WORDS), iter(batches), ((b, 1) for b in batches)):
        other = layers.StringLookup()
        other.adapt(data)
        assert other.get_vocabulary() == layer.get_vocabulary()
    other.adapt(iter(batches), steps=1)
    assert set(other.get_vocabulary(False)) == set(batches[0])
    small = layers.StringLookup(max_tokens=4, mask_token="")
    small.adapt(["", *WORDS, "[UNK]"])
    assert small.get_vocabulary() == ["", "[UNK]", "the", "sat"]
    assert values(small(["", "mat", "sat"])) == [0, 1, 3]


def test_strings_out_of_the_vocabulary_by_hash():
    """The bins of Hashing, after the mask."""
    words = [f"w{i}" for i in range(50)]
    for salt in (None, 5, (133, 137)):
        layer = layers.StringLookup(vocabulary=["a"], num_oov_indices=3, mask_token="-", salt=salt)
        bins = layers.Hashing(3, salt=salt)(words).numpy()
        np.testing.assert_array_equal(layer(words).numpy(), bins + 1)
        assert values(layer(["-", "a"])) == [0, 4]
        assert layer.get_vocabulary() == ["-", *["[UNK]"] * 3, "a"]


def test_there_and_back():
    layer = layers.StringLookup(vocabulary=["a", "b", "c"], mask_token="")
    back = layers.StringLookup(vocabulary=layer.get_vocabulary(), mask_token="", invert=True)
    assert values(back(layer([["a", "c"], ["q", ""]]))) == [["a", "c"], ["[UNK]", ""]]
    assert values(back([[2, 9], [-1, 0]])) == [["a", "[UNK]"], ["[UNK]", ""]]


def test_a_vocabulary_file(tmp_path):
    file = tmp_path / "vocabulary.txt"
    file.write_bytes("é\r\nb\nc d\n\n".encode())
    layer = layers.StringLookup(vocabulary=str(file))
    assert layer.get_vocabulary() == ["[UNK]", "é", "b", "c d"]
    assert layer.get_config()["vocabulary"] is None
    file.write_bytes(b"a\nb\xff\n")
    with pytest.raises(ValueError, match=r"vocabulary.txt is not utf-8 text \(byte 3"):
        layers.StringLookup(vocabulary=str(file))
    with pytest.raises(ValueError, match="missing.txt does not exist"):
        layers.StringLookup(vocabulary=str(tmp_path / "missing.txt"))


# --- integers, on the host and on tensors ---


@pytest.fixture(params=["host", "tensor", "int32 tensor", "model"])
def call(request):
    """Call a layer on integers, in one of four ways."""

    def through(layer, data):
        data = np.asarray(data)
        if request.param == "host":
            return layer(data)
        if "tensor" in request.param:
            kind = "int32" if "32" in request.param else "int64"
            return layer(gpunn.ops.convert_to_tensor(data.astype(kind)))
        symbol = layer(layers.Input(data.shape[1:], dtype="int64"))
        y = gpunn.Sequential([layer]).predict(data, verbose=0)
        assert (symbol.shape[1:], symbol.dtype) == (y.shape[1:], y.dtype)
        return gpunn.ops.convert_to_tensor(y)

    return through


def test_integers(call):
    layer = layers.IntegerLookup(vocabulary=VOCABULARY)
    y = call(layer, [[12, 1138, 42], [42, 1000, 36]])
    assert y.dtype == "int64" and values(y) == [[1, 3, 4], [4, 0, 2]]
    layer = layers.IntegerLookup(vocabulary=VOCABULARY, num_oov_indices=2)
    assert values(call(layer, [[12, 1138, 42], [37, 1000, 36]])) == [[2, 4, 5], [1, 0, 3]]
    layer = layers.IntegerLookup(vocabulary=VOCABULARY, mask_token=0, num_oov_indices=2)
    assert values(call(layer, [[0, 12], [-7, 10**6]])) == [[0, 3], [2, 1]]


def test_integers_as_rows(call):
    one_hot = layers.IntegerLookup(vocabulary=VOCABULARY, output_mode="one_hot")
    assert values(call(one_hot, [[12], [7]])) == [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]
    multi = layers.IntegerLookup(vocabulary=VOCABULARY, output_mode="multi_hot")
    y = call(multi, DATA)
    assert y.dtype == "float32"
    assert values(y) == [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]
    count = layers.IntegerLookup(
        vocabulary=VOCABULARY, output_mode="count", max_tokens=6, pad_to_max_tokens=True
    )
    assert values(call(count, DATA)) == [[0, 1, 0, 1, 2, 0], [2, 0, 1, 0, 1, 0]]
    masked = layers.IntegerLookup(vocabulary=[7, 42], output_mode="count", mask_token=12)
    assert masked.get_vocabulary() == [-1, 7, 42]
    assert values(call(masked, DATA)) == [[1, 0, 2], [1, 2, 1]]
    assert masked.compute_output_shape((None, 9)) == (None, 3)


def test_integers_weighted_by_rarity(call):
    layer = layers.IntegerLookup(
        output_mode="tf_idf", vocabulary=VOCABULARY, idf_weights=[0.25, 0.75, 0.6, 0.4]
    )
    expected = [[0, 0.25, 0, 0.6, 0.8], [1.0, 0, 0.75, 0, 0.4]]
    np.testing.assert_allclose(call(layer, DATA).numpy(), expected, rtol=1e-6)
    layer = layers.IntegerLookup(
        output_mode="tf_idf",
        vocabulary=[-1, *VOCABULARY],
        idf_weights=[0.9, 0.25, 0.75, 0.6, 0.4],
        max_tokens=7,
        pad_to_max_tokens=True,
    )
    padded = [[0, 0.25, 0, 0.6, 0.8, 0, 0], [1.8, 0, 0.75, 0, 0.4, 0, 0]]
    np.testing.assert_allclose(call(layer, DATA).numpy(), padded, rtol=1e-6)


def test_integers_back(call):
    layer = layers.IntegerLookup(vocabulary=VOCABULARY, invert=True)
    y = call(layer, [[1, 3, 4], [4, 0, 2], [5, -1, 99]])
    assert values(y) == [[12, 1138, 42], [42, -1, 36], [-1, -1, -1]]


def test_a_model_with_a_lookup_trains_recorded():
    rng = np.random.default_rng(0)
    x = rng.choice([*VOCABULARY, 5, 6], (64, 3))
    y = (x == 42).any(1).astype("float32")
    results = []
    for recorded in (False, True):
        gpunn.utils.set_random_seed(3)
        model = gpunn.Sequential(
            [
                layers.IntegerLookup(vocabulary=VOCABULARY, output_mode="multi_hot"),
                layers.Dense(1, "sigmoid"),
            ]
        )
        model.compile("adam", "binary_crossentropy", jit_compile=recorded)
        model.fit(x, y, batch_size=16, epochs=3, verbose=0)
        results.append([w.tobytes() for w in model.get_weights()])
    assert results[0] == results[1]


def test_on_the_simulated_gpu(simulated_gpu):
    layer = layers.IntegerLookup(vocabulary=VOCABULARY, output_mode="count", mask_token=7)
    expected = values(layer(DATA))
    with gpunn.device("gpu:0"):
        y = layer(gpunn.ops.convert_to_tensor(DATA))
        assert "gpu" in str(y.device)
        assert values(y) == expected and values(layer(DATA)) == expected


def test_hashed_integers():
    """The example of Keras' documentation."""
    ids = np.array([100, 300, 700, 1100, 1700, 2000])
    layer = layers.IntegerLookup(vocabulary=[10, 20, 30], num_oov_indices=4, oov_method="farmhash")
    assert (
        values(layer(ids)) == values(layer(gpunn.ops.convert_to_tensor(ids))) == [3, 3, 2, 2, 0, 1]
    )
    salted = layers.IntegerLookup(
        vocabulary=[10], num_oov_indices=4, oov_method="farmhash", salt=[1, 2]
    )
    assert values(salted(ids)) == values(layers.Hashing(4, salt=(1, 2))(ids))


def test_learned_integers_and_rarity():
    layer = layers.IntegerLookup()
    layer.adapt(np.array([[12, 1138, 42], [42, 1000, 36]]))
    assert layer.get_vocabulary() == [-1, 42, 1138, 1000, 36, 12]
    layer = layers.IntegerLookup(output_mode="tf_idf")
    documents = [[1, 1, 2], [2, 3, 3], [2, 2, 2]]
    layer.adapt(documents)
    assert layer.get_vocabulary() == [-1, 2, 3, 1]
    seen = {2: 3, 3: 1, 1: 1}
    idf = [math.log(1 + 3 / (1 + seen[t])) for t in (2, 3, 1)]
    idf = [sum(idf) / 3, *idf]
    counts = [[5, 1, 0, 2], [0, 0, 1, 0]]
    y = layer([[1, 1, 2, 9, 9, 9, 9, 9], [3] + [2] * 0 + [3] * 0 + [3] * 0 + [3] * 7])
    counts[1][2] = 8
    np.testing.assert_allclose(y.numpy(), np.array(counts) * idf, rtol=1e-6)


# --- configs and errors ---


@pytest.mark.parametrize(
    "layer",
    [
        layers.StringLookup(vocabulary=["a", "b"], mask_token="", output_mode="count", name="s"),
        layers.IntegerLookup(
            vocabulary=[3, 4], num_oov_indices=2, oov_method="farmhash", salt=3, name="i"
        ),
        layers.IntegerLookup(
            vocabulary=[3, 4], output_mode="tf-idf", idf_weights=[1.0, 2.0], name="t"
        ),
    ],
    ids=lambda layer: layer.name,
)
def test_configs(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.get_vocabulary() == layer.get_vocabulary()
    data = ["a", "q"] if layer.name == "s" else [3, 77]
    assert values(again(data)) == values(layer(data))
    assert isinstance(layers.deserialize(layers.serialize(layer)), type(layer))


STRINGS, INTEGERS = layers.StringLookup, layers.IntegerLookup
WRONG = {
    "max_tokens must be greater than 1": lambda: STRINGS(max_tokens=1),
    "pad_to_max_tokens=True needs max_tokens": lambda: STRINGS(pad_to_max_tokens=True),
    "num_oov_indices must be >= 0": lambda: INTEGERS(num_oov_indices=-1),
    "invert=True needs output_mode='int'": lambda: STRINGS(invert=True, output_mode="count"),
    "idf_weights need output_mode='tf_idf'": lambda: STRINGS(idf_weights=[1.0]),
    "sparse=True is not supported": lambda: INTEGERS(sparse=True, output_mode="count"),
    "Unknown output_mode of StringLookup": lambda: STRINGS(output_mode="hot"),
    "Unknown oov_method": lambda: INTEGERS(oov_method="mod"),
    "vocabulary_dtype must be 'int64'": lambda: INTEGERS(vocabulary_dtype="int32"),
    "salt needs oov_method='farmhash'": lambda: INTEGERS(salt=3),
    "salt must be one or two integers": lambda: STRINGS(salt=(1, 2, 3)),
    "the vocabulary is empty": lambda: STRINGS(vocabulary=[]),
    r"repeated terms: \['a'\]": lambda: STRINGS(vocabulary=["a", "b", "a"]),
    "reserved token 'm' stands at position 1": lambda: STRINGS(
        vocabulary=["a", "m"], mask_token="m"
    ),
    "reserved token '.UNK.' stands at position 1": lambda: STRINGS(
        vocabulary=["a", "[UNK]"], invert=True
    ),
    "but max_tokens is 2": lambda: STRINGS(vocabulary=["a", "b"], max_tokens=2),
    "idf_weights belong to output_mode='tf_idf' and must be given": lambda: STRINGS(
        vocabulary=["a"], output_mode="tf_idf"
    ),
    "cannot adapt": lambda: STRINGS(vocabulary=["a"]).adapt(["a"]),
    "adapt.. received no tokens": lambda: STRINGS().adapt([]),
    "steps counts batches of an iterable": lambda: STRINGS().adapt(["a"], steps=1),
    "with num_oov_indices=0 all inputs must be": lambda: STRINGS(
        vocabulary=["a"], num_oov_indices=0
    )(["a", "b"]),
    "cannot be part of a model with num_oov_indices=0": lambda: INTEGERS(
        vocabulary=[1], num_oov_indices=0
    )(layers.Input((2,), dtype="int32")),
}


@pytest.mark.parametrize("message", WRONG)
def test_errors(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()


def test_other_errors():
    with pytest.raises(RuntimeError, match="has no vocabulary yet. Call adapt"):
        STRINGS()(["a"])
    with pytest.raises(RuntimeError, match="has no vocabulary yet"):
        INTEGERS(output_mode="count").compute_output_shape((2, 3))
    layer = STRINGS(vocabulary=["a"], output_mode="count")
    with pytest.raises(RuntimeError, match="cannot change from 2 to 3"):
        layer.set_vocabulary(["a", "b"])
    with pytest.raises(ShapeError, match="idf_weights must hold one number a term"):
        STRINGS(vocabulary=["a"], output_mode="tf_idf", idf_weights=[1.0, 2.0])
    with pytest.raises(TypeError, match="adapt.. takes a list, an array or an iterable"):
        STRINGS().adapt(3)
    with pytest.raises(DTypeError, match="takes integers, received fractions"):
        INTEGERS(vocabulary=[1])([1.5])
    with pytest.raises(DTypeError, match="takes integers, received an array of dtype <U1"):
        INTEGERS(vocabulary=[1])(["a"])
    with pytest.raises(DTypeError, match="takes strings, received an array of dtype int64"):
        STRINGS(vocabulary=["a"])(np.array([1, 2]))
    with pytest.raises(DTypeError, match=r"received \['a', 'b'\] \(list\) among them"):
        STRINGS(vocabulary=["a"])([["a", "b"], ["c"]])
    with pytest.raises(DTypeError, match=r"vectorize them before fit\(\)"):
        STRINGS(vocabulary=["a"])(layers.Input((2,), dtype="int32"))
    with pytest.raises(DTypeError, match=r"vectorize them before fit\(\)"):
        STRINGS(vocabulary=["a"])(gpunn.ops.ones((2,)))
    with pytest.raises(DTypeError, match="gives strings, .* cannot be part of a model"):
        STRINGS(vocabulary=["a"], invert=True)(layers.Input((2,), dtype="int32"))
