"""PyDataset, Progbar, split_dataset and packing, against plain loops and Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import threading
import time

import numpy as np
import pytest

import gpunn
from gpunn import utils

keras = pytest.importorskip("keras")


class Numbers(utils.PyDataset):
    """Batches (i, i + 1); notes the threads that made them."""

    def __init__(self, n=7, delay=0.0, **options):
        super().__init__(**options)
        self.n, self.delay, self.threads, self.made = n, delay, set(), []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        time.sleep(self.delay * (self.n - index))  # the first takes longest
        self.threads.add(threading.current_thread().name)
        self.made.append(index)
        return np.full(2, index), np.full(2, index + 1)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order(workers):
    data = Numbers(workers=workers, delay=0.002)
    assert [int(x[0]) for x, _ in data] == list(range(7))
    assert data.num_batches == 7
    if workers <= 1:
        assert data.threads == {threading.current_thread().name}
    else:
        assert all(name.startswith("gpunn-data") for name in data.threads)


def test_batches_in_an_order_of_ones_own():
    data = Numbers(workers=2)
    order = np.random.default_rng(5).permutation(7).tolist()
    assert [int(x[0]) for x, _ in data.batches(np.random.default_rng(5))] == order
    assert sorted(data.made) == list(range(7))


def test_the_queue_is_bounded_and_a_stream_may_end_early():
    data = Numbers(n=100, workers=2, max_queue_size=3)
    pass_ = iter(data)
    next(pass_)
    next(pass_)
    pass_.close()
    assert len(data.made) <= 2 + 3


def test_an_endless_stream():
    class Endless(Numbers):
        num_batches = None

    pass_ = iter(Endless(workers=2))
    assert [int(next(pass_)[0][0]) for _ in range(20)] == list(range(20))
    pass_.close()


def test_an_error_in_a_worker_is_raised():
    class Fails(Numbers):
        def __getitem__(self, index):
            if index == 2:
                raise OSError("no file")
            return super().__getitem__(index)

    pass_ = iter(Fails(workers=3))
    assert [int(next(pass_)[0][0]) for _ in range(2)] == [0, 1]
    with pytest.raises(OSError, match="no file"):
        next(pass_)


def test_refusals_of_py_dataset():
    with pytest.raises(NotImplementedError, match="use_multiprocessing=True is not there"):
        utils.PyDataset(use_multiprocessing=True)
    with pytest.raises(ValueError, match="workers must be an integer of at least 0, received -1"):
        utils.PyDataset(workers=-1)
    with pytest.raises(ValueError, match="max_queue_size must be an integer of at least 1"):
        utils.PyDataset(max_queue_size=0)
    with pytest.raises(NotImplementedError, match="must override __len__"):
        utils.PyDataset().num_batches  # noqa: B018
    with pytest.raises(NotImplementedError, match=r"must override __getitem__\(index\)"):
        utils.PyDataset()[0]
    with pytest.raises(AttributeError, match="has no attribute 'worker'"):
        utils.PyDataset().worker  # noqa: B018


def test_a_subclass_that_forgets_super_init_is_warned():
    for k in (gpunn, keras):

        class Forgets(k.utils.PyDataset):
            def __init__(self):
                pass

            def __len__(self):
                return 2

            def __getitem__(self, index):
                return index

        data = Forgets()
        with pytest.warns(UserWarning, match="super"):
            assert data.workers == 1
        assert (data.max_queue_size, data.use_multiprocessing) == (10, False)
        assert list(data) == [0, 1]


def test_sequence_is_py_dataset():
    assert utils.Sequence is utils.PyDataset


# --- packing ---


def test_packing_as_keras():
    for k in (gpunn, keras):
        for data in (1, (1,), (1, 2), (1, 2, 3), [1, 2], {"a": 1}, None):
            assert k.utils.unpack_x_y_sample_weight(data) == (
                keras.utils.unpack_x_y_sample_weight(data)
            )
        for parts in ((1,), ([1],), (1, 2), (1, 2, 3), (1, None, 3), ((1, 2), 3)):
            found = k.utils.pack_x_y_sample_weight(*parts)
            assert found == keras.utils.pack_x_y_sample_weight(*parts)
        with pytest.raises(ValueError, match="x, y, sample_weight"):
            k.utils.unpack_x_y_sample_weight((1, 2, 3, 4))


# --- Progbar ---


@pytest.mark.parametrize("verbose", [1, 2])
def test_progbar_averages(capsys, verbose):
    bar = utils.Progbar(4, verbose=verbose, stateful_metrics=["rate"])
    for step, loss in ((1, 1.0), (2, 2.0), (3, 6.0)):
        bar.update(step, [("loss", loss), ("rate", step / 10)])
    bar.update(4, [("rate", 0.5)])
    out = capsys.readouterr().out
    assert out.startswith("4/4 ") and out.count("\n") == 1
    assert out.rstrip().endswith("- loss: 3.0000 - rate: 0.5000") and "/step - " in out


def test_progbar_forms(capsys):
    bar = utils.Progbar(None, unit_name="file")
    bar.add(2, [("x", np.array([1e-5, 3e-5]))])
    bar.update(5, finalize=True)
    out = capsys.readouterr().out
    assert out.startswith("5/? ") and "/file - x: 2.0000e-05" in out
    utils.Progbar(2, verbose=0).update(2)
    utils.Progbar(2).update(1)  # not on a terminal: nothing moves
    assert capsys.readouterr().out == ""
    last = utils.Progbar(2, stateless_metrics=["a"])
    last.update(1, [("a", 2.0), ("b", 2.0)])
    last.update(2, [("a", 4.0), ("b", 4.0)], finalize=True)
    assert "a: 4.0000 - b: 4.0000" in capsys.readouterr().out  # the last values stand, as in Keras
    with pytest.raises(ValueError, match="only one of stateful_metrics and stateless_metrics"):
        utils.Progbar(1, stateful_metrics=[], stateless_metrics=[])


# --- split_dataset ---

X, Y = np.arange(20).reshape(10, 2), np.arange(10)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"left_size": 0.8}, (8, 2)),
        ({"right_size": 0.25}, (8, 2)),
        ({"left_size": 3}, (3, 7)),
        ({"right_size": 4}, (6, 4)),
        ({"left_size": 0.5, "right_size": 0.2}, (5, 2)),
        ({"left_size": 2, "right_size": 3}, (2, 3)),
    ],
    ids=str,
)
def test_split_sizes(sizes, expected):
    left, right = utils.split_dataset(X, **sizes)
    np.testing.assert_array_equal(list(left), X[: expected[0]])
    np.testing.assert_array_equal(list(right), X[10 - expected[1] :])
    assert (len(left), len(right)) == expected


def test_split_of_several_arrays_shuffled_as_keras():
    left, right = utils.split_dataset((X, Y), left_size=6, shuffle=True, seed=4)
    import random

    order = list(range(10))
    random.seed(4)
    random.shuffle(order)  # Keras shuffles the list of samples so
    for part, rows in ((left, order[:6]), (right, order[6:])):
        samples = list(part)
        np.testing.assert_array_equal([x for x, _ in samples], X[rows])
        assert [int(y) for _, y in samples] == rows
    (x, y), *_ = left.batch(4)
    np.testing.assert_array_equal(x, X[order[:4]])
    np.testing.assert_array_equal(y, order[:4])


def test_split_of_samples():
    left, _ = utils.split_dataset(({"a": x, "b": y} for x, y in zip(X, Y, strict=True)), 0.5)
    batch = next(iter(left.batch(5)))
    np.testing.assert_array_equal(batch["a"], X[:5])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "give left_size or right_size"),
        ({"left_size": 1.5}, ValueError, "left_size must be a share between 0 and 1 or a number"),
        ({"right_size": 10}, ValueError, "between 0 and 10, the number of samples, received 10"),
        ({"left_size": "a"}, TypeError, "must be an int, a float or None, received 'a'"),
        ({"left_size": 0.7, "right_size": 0.6}, ValueError, "at most 1"),
        ({"left_size": 7, "right_size": 6}, ValueError, "10 samples cannot be split into 7 and 6"),
        ({"left_size": 0.01}, ValueError, "cannot be split into 0 and 10"),
        ({"left_size": 0.5, "preferred_backend": "torch"}, ValueError, "must be None"),
        ({"dataset": 3, "left_size": 0.5}, TypeError, "arrays or an iterable of samples"),
        ({"dataset": [], "left_size": 0.5}, ValueError, "holds no samples"),
        ({"dataset": [X, Y[:3]], "left_size": 0.5}, ValueError, r"received \[10, 3\]"),
    ],
    ids=str,
)
def test_split_refusals(arguments, error, message):
    with pytest.raises(error, match=message):
        utils.split_dataset(**{"dataset": X, **arguments})
