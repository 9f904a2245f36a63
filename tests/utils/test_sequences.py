"""pad_sequences, against Keras, and windows of series, against loops."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import inspect
from itertools import product

import numpy as np
import pytest

import gpunn
from gpunn import layers, utils
from gpunn.errors import ShapeError


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


LISTS = {
    "numbers": [[1], [2, 3], [], [4, 5, 6, 7]],
    "arrays": [np.arange(3), np.arange(5)],
    "steps": [[], [[1, 2], [3, 4], [5, 6]], [[7, 8]]],
    "one": [[3]],
    "nothing": [[], []],
}


@pytest.mark.parametrize("name", LISTS)
def test_pad_sequences(keras, name):
    theirs = keras.utils.pad_sequences
    for maxlen, padding, truncating, dtype in product(
        (None, 1, 2, 9), ("pre", "post"), ("pre", "post"), ("int32", "float64")
    ):
        options = {
            "maxlen": maxlen, "padding": padding, "truncating": truncating, "dtype": dtype,
            "value": -1.0,
        }  # fmt: skip
        expected = theirs(LISTS[name], **options)
        for ours in (utils.pad_sequences, gpunn.preprocessing.sequence.pad_sequences):
            y = ours(LISTS[name], **options)
            assert y.dtype == expected.dtype
            np.testing.assert_array_equal(y, expected)
    ours, theirs = map(inspect.signature, (utils.pad_sequences, theirs))
    assert [(p.name, p.default) for p in ours.parameters.values()] == [
        (p.name, p.default) for p in theirs.parameters.values()
    ]


def test_padded_strings(keras):
    words = [["a", "bcd"], ["ef"]]
    y = utils.pad_sequences(words, dtype=object, value="<pad>", padding="post")
    assert y.tolist() == [["a", "bcd"], ["ef", "<pad>"]]
    assert utils.pad_sequences(words, dtype="<U3", value="?").tolist() == [
        ["a", "bcd"],
        ["?", "ef"],
    ]
    assert utils.pad_sequences([[1, 2]], maxlen=0).shape == (1, 0)


PADDING = {
    "Unknown padding of pad_sequences: 'before'": lambda: utils.pad_sequences(
        [[1]], padding="before"
    ),
    "Unknown truncating of pad_sequences": lambda: utils.pad_sequences([[1]], truncating="end"),
    "must be a list of sequences, received int": lambda: utils.pad_sequences(3),
    "found 2 at position 1": lambda: utils.pad_sequences([[1], 2]),
    "dtype int32 does not hold the value 'x'": lambda: utils.pad_sequences([[1]], value="x"),
    "maxlen must be at least 0, received -1": lambda: utils.pad_sequences([[1]], maxlen=-1),
    r"at position 1 has steps \(3,\), the first one \(2,\)": lambda: utils.pad_sequences(
        [[[1, 2]], [[1, 2, 3]]]
    ),
}


@pytest.mark.parametrize("message", PADDING)
def test_padding_errors(message):
    with pytest.raises(ValueError, match=message):
        PADDING[message]()


# --- windows ---


def windows(x, targets, length, stride, rate, first, last):
    """(window, target) pairs by the words of Keras' documentation."""
    first, last = first or 0, len(x) if last is None else last
    pairs, start = [], first
    while start + (length - 1) * rate < last and (targets is None or start - first < len(targets)):
        steps = [x[start + i * rate] for i in range(length)]
        pairs.append((steps, None if targets is None else targets[start]))
        start += stride
    return pairs


@pytest.mark.parametrize(
    ("length", "stride", "rate", "first", "last"),
    [(10, 3, 2, None, None), (1, 1, 1, None, None), (4, 1, 1, 7, 30), (5, 2, 3, 3, None),
     (40, 1, 1, None, None), (3, 39, 1, 0, 39)],
)  # fmt: skip
@pytest.mark.parametrize("batch_size", [4, None])
def test_windows(length, stride, rate, first, last, batch_size):
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(40, 2)), np.arange(40)
    options = {
        "sequence_stride": stride, "sampling_rate": rate, "batch_size": batch_size,
        "start_index": first, "end_index": last,
    }  # fmt: skip
    for y in (targets, None):
        expected = windows(x, y, length, stride, rate, first, last)
        data = utils.timeseries_dataset_from_array(x, y, length, **options)
        for _ in range(2):  # it can be passed through again
            batches = list(data)
            assert len(batches) == len(data) == -(-len(expected) // (batch_size or 1))
            if batch_size is None:
                found = batches
            elif y is None:
                found = [w for batch in batches for w in batch]
            else:
                found = [pair for batch in batches for pair in zip(*batch, strict=True)]
            assert len(found) == len(expected)
            for item, (window, target) in zip(found, expected, strict=True):
                np.testing.assert_array_equal(item if y is None else item[0], window)
                assert y is None or item[1] == target


def test_the_example_of_keras():
    data = utils.timeseries_dataset_from_array(
        np.arange(99), None, 10, sequence_stride=3, sampling_rate=2
    )
    (batch,) = data
    assert batch[0].tolist() == list(range(0, 20, 2))
    assert batch[-1].tolist() == list(range(78, 98, 2)) and batch.shape == (27, 10)
    assert gpunn.preprocessing.timeseries_dataset_from_array is utils.timeseries_dataset_from_array


def test_shuffled_windows():
    def passes(seed):
        data = utils.timeseries_dataset_from_array(
            np.arange(50), np.arange(50), 3, batch_size=7, shuffle=True, seed=seed
        )
        found = [[pair for b in data for pair in zip(*b, strict=True)] for _ in range(2)]
        for one in found:
            assert all(w.tolist() == [t, t + 1, t + 2] for w, t in one)
            assert sorted(t for _, t in one) == list(range(48))
        return [[int(t) for _, t in one] for one in found]

    assert passes(1) == passes(1) != passes(2)
    first, second = passes(1)
    assert first != second != sorted(second)
    gpunn.utils.set_random_seed(4)
    some = passes(None)
    assert some != passes(None)
    gpunn.utils.set_random_seed(4)
    assert passes(None) == some


def test_fit_evaluate_predict_and_map():
    x = np.sin(np.arange(200) / 7)
    data = utils.timeseries_dataset_from_array(x[:-10], x[10:], 10, batch_size=32, shuffle=True)
    model = gpunn.Sequential([layers.Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(data, epochs=3, verbose=0, validation_data=data)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.predict(data.map(lambda a, b: a), verbose=0).shape == (181, 1)
    scaled = data.map(lambda a, b: (a * 2, b)).map(lambda a, b: (a, b + 1))
    assert len(scaled) == len(data) == 6
    for window, target in scaled:
        np.testing.assert_allclose(target - 1, np.sin(np.arcsin(target - 1)), atol=1e-6)
        assert np.abs(window).max() > 1


SERIES = np.arange(20)
WINDOWS = {
    "`sampling_rate` must be an integer from 1 to 19": {"sampling_rate": 0},
    "`sampling_rate` must be an integer from 1 to 19 .*, received 20": {"sampling_rate": 20},
    "`sequence_stride` must be an integer from 1": {"sequence_stride": 20},
    "`sequence_length` must be an integer from 1 to 20": {"sequence_length": 21},
    "`start_index` must be an integer from 0 to 19": {"start_index": -1},
    "`end_index` must be an integer from 6 to 19": {"start_index": 5, "end_index": 5},
    "`end_index` must be an integer from 1 to 19": {"end_index": 20},
    "no window of 5 steps at a sampling_rate of 5 fits into 20": {"sampling_rate": 5},
    "batch_size must be a positive integer, received 0": {"batch_size": 0},
    "format must be 'numpy', received 'tf'": {"format": "tf"},
}  # fmt: skip


@pytest.mark.parametrize("message", WINDOWS)
def test_window_errors(message):
    with pytest.raises(ValueError, match=message):
        utils.timeseries_dataset_from_array(
            SERIES, **{"targets": None, "sequence_length": 5, **WINDOWS[message]}
        )


def test_too_few_targets():
    with pytest.raises(
        ShapeError, match="14 targets from start_index 4 on are needed, received 10"
    ):
        utils.timeseries_dataset_from_array(SERIES, np.arange(14), 2, start_index=4)
