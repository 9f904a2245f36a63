"""CategoryEncoding, Discretization and Hashing: against Keras, and known values of the hashes."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.errors import DTypeError
from gpunn.layers.text_hash import bucket, farmhash64, siphash64


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


INTEGERS = {
    "rows": np.array([[0, 1, 1], [3, 0, 2]]),
    "column": np.array([[3], [1]]),
    "one axis": np.array([3, 2, 0, 1]),
    "number": np.array(2),
    "one": np.array([1]),
}


# --- CategoryEncoding ---


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", INTEGERS)
@pytest.mark.parametrize("dtype", [None, "int32", "float16"])
def test_category_encoding(keras, mode, shape, dtype):
    x = INTEGERS[shape]
    options = {"num_tokens": 4, "output_mode": mode, "dtype": dtype}
    expected = np.asarray(keras.layers.CategoryEncoding(**options)(x))
    layer = layers.CategoryEncoding(**options)
    for given in (x, x.tolist(), gpunn.ops.convert_to_tensor(x)):
        y = layer(given)
        assert (y.shape, y.dtype) == (expected.shape, expected.dtype.name)
        np.testing.assert_array_equal(y.numpy(), expected)
    if x.ndim > 1:
        symbol = layer(layers.Input(x.shape[1:], dtype="int32"))
        assert (symbol.shape, symbol.dtype) == ((None, *y.shape[1:]), y.dtype)
        assert layer.compute_output_shape((None, *x.shape[1:])) == symbol.shape
    assert (
        layers.CategoryEncoding.from_config(layer.get_config()).get_config() == layer.get_config()
    )


def test_weighted_counts(keras):
    x, w = INTEGERS["rows"], np.array([[0.1, 0.2, 0.7], [1, 2, 3]], "float32")
    options = {"num_tokens": 4, "output_mode": "count"}
    expected = np.asarray(keras.layers.CategoryEncoding(**options)(x, count_weights=w))
    y = layers.CategoryEncoding(**options)(x, count_weights=w)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)


def test_integers_out_of_range():
    layer = layers.CategoryEncoding(num_tokens=3, output_mode="count")
    for wrong in ([[0, 3]], [[-1, 0]]):
        with pytest.raises(ValueError, match=r"inputs must lie in \[0, 3\), received"):
            layer(wrong)
        y = layer(gpunn.ops.convert_to_tensor(wrong))  # of tensors they leave no trace
        assert y.numpy().tolist() == [[1, 0, 0]]


def test_a_model_of_them_trains_recorded():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 3)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")
    weights = []
    for recorded in (False, True):
        gpunn.utils.set_random_seed(3)
        bins = layers.Discretization(bin_boundaries=[-1.0, 0.0, 1.0])
        counts = layers.CategoryEncoding(num_tokens=4, output_mode="count")
        model = gpunn.Sequential([bins, counts, layers.Dense(1)])
        model.compile("adam", "mse", jit_compile=recorded)
        model.fit(x, y, batch_size=16, epochs=3, verbose=0)
        weights.append([w.tobytes() for w in model.get_weights()])
    assert weights[0] == weights[1]


# --- Discretization ---

NUMBERS = np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]])


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("x", [NUMBERS, NUMBERS[:, :1], NUMBERS[0], np.array([[1, 0], [7, -3]])])
def test_discretization(keras, mode, x):
    options = {"bin_boundaries": [0.0, 1.0, 2.0], "output_mode": mode}
    expected = np.asarray(keras.layers.Discretization(**options)(x))
    layer = layers.Discretization(**options)
    y = layer(x)
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype.name)
    np.testing.assert_array_equal(y.numpy(), expected)
    if x.ndim > 1:
        symbol = layer(layers.Input(x.shape[1:]))
        assert (symbol.shape, symbol.dtype) == ((None, *y.shape[1:]), y.dtype)


@pytest.mark.parametrize("bins", [2, 4, 13])
@pytest.mark.parametrize("epsilon", [0.01, 0.1])
def test_quantiles(keras, bins, epsilon):
    rng = np.random.default_rng(bins)
    batches = [rng.gamma(2, size=(n, 2)) for n in (5, 400, 37)]
    theirs = keras.layers.Discretization(num_bins=bins, epsilon=epsilon)
    theirs.reset_state()
    for batch in batches:
        theirs.update_state(batch)
    theirs.finalize_state()
    layer = layers.Discretization(num_bins=bins, epsilon=epsilon)
    layer.adapt(iter(batches))
    np.testing.assert_allclose(layer.bin_boundaries, theirs.bin_boundaries, rtol=1e-6)
    shares = np.bincount(layer(np.concatenate(batches)).numpy().ravel(), minlength=bins) / 884
    assert len(shares) == bins and np.abs(shares - 1 / bins).max() < 2 * epsilon + 0.02
    again = layers.Discretization.from_config(layer.get_config())
    np.testing.assert_array_equal(again(NUMBERS).numpy(), layer(NUMBERS).numpy())
    layer.adapt(gpunn.ops.convert_to_tensor(NUMBERS))
    by_rows = layers.Discretization(num_bins=bins, epsilon=epsilon)
    by_rows.adapt(NUMBERS)
    assert layer.bin_boundaries == by_rows.bin_boundaries


def test_discretization_on_the_simulated_gpu(simulated_gpu):
    layer = layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0], output_mode="count")
    expected = layer(NUMBERS).numpy()
    with gpunn.device("gpu:0"):
        np.testing.assert_array_equal(layer(NUMBERS).numpy(), expected)


# --- hashes ---

TEXT = "".join(chr((i * 7 + 3) % 94 + 33) for i in range(400))
#: Of google/farmhash's Fingerprint64, by PyPI's pyfarmhash, for the first n characters.
FARMHASH = {
    0: 11160318154034397263, 1: 11212813301397324751, 3: 4237981211716197537,
    4: 4233546591410155541, 7: 6551785722678735258, 8: 7915752876838883097,
    16: 16113867960916966131, 17: 17422604884763238784, 24: 17822617221527390193,
    32: 1503424308260766175, 33: 13332236958611564245, 48: 17549596022553375269,
    64: 424370839909679405, 65: 13749430900056707512, 127: 15135513560908988800,
    128: 18018574286835332165, 129: 10372117591009115200, 200: 14235057550343548485,
    320: 2458793439668443345,
}  # fmt: skip


@pytest.mark.parametrize("n", FARMHASH)
def test_farmhash(n):
    assert farmhash64(TEXT[:n].encode()) == FARMHASH[n]


def test_farmhash_as_in_the_documentation_of_bigquery():
    signed = {
        b"1footrue": -1541654101129638711,
        b"2applefalse": 2794438866806483259,
        b"3true": -4880158226897771312,
    }
    for data, expected in signed.items():
        assert farmhash64(data) == expected % 2**64


def test_siphash_as_in_its_paper():
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert siphash64(bytes(range(15)), key) == 0xA129CA6149BE45E5
    assert siphash64(b"", key) == 0x726FDB47DD0E0E31
    assert siphash64(bytes(range(8)), key) == 0x93F5F5799A932462


LETTERS = [["A"], ["B"], ["C"], ["D"], ["E"]]
BINS = {
    "farmhash": ({}, LETTERS, [[1], [0], [1], [1], [2]]),
    "mask": ({"mask_value": ""}, [["A"], ["B"], [""], ["C"], ["D"]], [[1], [1], [0], [2], [2]]),
    "siphash": ({"salt": [133, 137]}, LETTERS, [[1], [2], [1], [0], [2]]),
    "one salt": ({"salt": 133}, LETTERS, [[0], [0], [2], [1], [0]]),
}


@pytest.mark.parametrize("name", BINS)
def test_the_bins_of_keras_documentation(name):
    options, data, expected = BINS[name]
    layer = layers.Hashing(num_bins=3, **options)
    for given in (data, np.array(data), np.array(data, object), np.array(data).astype("S")):
        y = layer(given)
        assert y.dtype == "int64" and y.numpy().tolist() == expected
    again = layers.Hashing.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again(data).numpy().tolist() == expected


def test_hashed_numbers():
    """Integers by their digits; floats are cut to integers first."""
    layer = layers.Hashing(7, mask_value=0)
    expected = [0] + [1 + bucket(str(i).encode(), 6) for i in (1, -25, 10**12)]
    given = np.array([0, 1, -25, 10**12])
    assert layer(given).numpy().tolist() == expected
    assert layer(gpunn.ops.convert_to_tensor(given)).numpy().tolist() == expected
    assert layer(given.astype(float) + [0, 0.5, -0.5, 0]).numpy().tolist() == expected
    assert layer("a").shape == ()


def test_hashed_rows():
    words = [["a", "b", "a"], ["c", "c", "c"]]
    bins = layers.Hashing(5)(words).numpy()
    counts = [[list(row).count(k) for k in range(5)] for row in bins.tolist()]
    assert layers.Hashing(5, output_mode="count")(words).numpy().tolist() == counts
    some = layers.Hashing(5, output_mode="multi_hot")
    assert some(words).numpy().tolist() == (np.array(counts) > 0).tolist()
    assert some.compute_output_shape((None, 3)) == (None, 5)
    one_hot = layers.Hashing(5, output_mode="one_hot", dtype="float64")([["a"], ["c"]])
    assert one_hot.dtype == "float64"
    assert one_hot.numpy().argmax(-1).tolist() == [bins[0, 0], bins[1, 0]]


@pytest.mark.parametrize("salt", [None, 7, (1, 2)])
def test_bins_are_equally_full(salt):
    """χ² of 20 bins, which exceeds 43.8 once in a thousand times."""
    counts = np.bincount(layers.Hashing(20, salt=salt)(np.arange(20_000)).numpy(), minlength=20)
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8


WRONG = {
    "num_tokens must be at least 1": lambda: layers.CategoryEncoding(),
    "count_weights need output_mode='count'": lambda: layers.CategoryEncoding(3)(
        [[1]], count_weights=[[1.0]]
    ),
    "Unknown output_mode of CategoryEncoding: 'int'": lambda: layers.CategoryEncoding(3, "int"),
    "CategoryEncoding: sparse=True is not supported": lambda: layers.CategoryEncoding(
        3, sparse=True
    ),
    "give either num_bins": lambda: layers.Discretization(),
    "num_bins=3 and bin": lambda: layers.Discretization(num_bins=3, bin_boundaries=[1.0]),
    "bin_boundaries must ascend": lambda: layers.Discretization(bin_boundaries=[1.0, 0.0]),
    "num_bins must be at least 1, received 0": lambda: layers.Discretization(num_bins=0),
    "epsilon must lie": lambda: layers.Discretization(num_bins=2, epsilon=0),
    "has no boundaries yet": lambda: layers.Discretization(num_bins=2)([[1.0]]),
    "received no data": lambda: layers.Discretization(num_bins=2).adapt([]),
    "cannot adapt": lambda: layers.Discretization(bin_boundaries=[1.0]).adapt([1.0]),
    "Hashing: num_bins must be at least 1": lambda: layers.Hashing(0),
    "dtype is 'int32' or 'int64'": lambda: layers.Hashing(3, dtype="float32"),
    "Hashing: salt must be one or two": lambda: layers.Hashing(3, salt="x"),
    "works on the host and cannot be part of a model": lambda: layers.Hashing(3)(
        layers.Input((2,), dtype="int32")
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_errors(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()


def test_strings_among_numbers():
    with pytest.raises(DTypeError, match="received 3 .int. among them"):
        layers.Hashing(3)(np.array(["a", 3], object))
