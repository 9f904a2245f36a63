"""The same seed gives the same bits; another seed, others."""

import random

import numpy as np
import pytest

import gpunn
from gpunn import layers

RNG = np.random.default_rng(2)
X = RNG.standard_normal((50, 6)).astype("float32")
Y = RNG.integers(0, 3, 50)


def train(seed, **options):
    """Weights, history and predictions of a small training with every source of chance."""
    gpunn.utils.set_random_seed(seed)
    model = gpunn.Sequential(
        [
            layers.Input((6,)), layers.GaussianNoise(0.1), layers.Dense(8, "relu"),
            layers.Dropout(0.3), layers.Dense(8, "tanh", kernel_initializer="orthogonal"),
            layers.GaussianDropout(0.2), layers.Dense(3, "softmax"),
        ]
    )  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    options = {"batch_size": 8, "epochs": 3, "verbose": 0, "validation_split": 0.2, **options}
    history = model.fit(X, Y, **options)
    return model.get_weights(), history.history, model.predict(X, verbose=0)


def test_twice_the_same():
    first, second = train(7), train(7)
    assert first[1] == second[1]
    for a, b in zip([*first[0], first[2]], [*second[0], second[2]]):
        assert a.tobytes() == b.tobytes()


def test_another_seed_differs():
    assert train(7)[1] != train(8)[1]


def test_verbose_and_callbacks_change_nothing(capsys):
    reader = gpunn.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    assert train(7)[1] == train(7, verbose=1, callbacks=[reader])[1]


def test_shuffle_is_seen_in_the_order_of_the_batches():
    x = np.arange(12, dtype="float32")[:, None]

    def orders(seed, **options):
        gpunn.utils.set_random_seed(seed)
        seen = []

        class Notes(layers.Layer):
            def call(self, x, training=False):
                if training:
                    seen.append([int(v) for v in x.numpy().ravel()])
                return x

        model = gpunn.Sequential([layers.Input((1,)), Notes(), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(x, x, batch_size=5, epochs=2, verbose=0, **options)
        return seen

    plain = orders(1, shuffle=False)
    assert plain == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]] * 2
    shuffled = orders(1)
    assert [len(b) for b in shuffled] == [5, 5, 2] * 2
    for epoch in (shuffled[:3], shuffled[3:]):
        assert sorted(v for batch in epoch for v in batch) == list(range(12))
    assert shuffled[:3] != plain[:3] and shuffled[:3] != shuffled[3:]
    assert orders(1) == shuffled and orders(2) != shuffled


def test_set_random_seed_seeds_python_and_numpy():
    draws = []
    for _ in range(2):
        gpunn.utils.set_random_seed(11)
        draws.append(
            (random.random(), np.random.rand(), layers.Dropout(0.5).seed_generator.state.tolist())
        )
    assert draws[0] == draws[1]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", None, True])
def test_wrong_seeds(seed):
    with pytest.raises(ValueError, match="seed must be an integer"):
        gpunn.utils.set_random_seed(seed)


def test_predict_draws_nothing():
    """Predictions and evaluations between trainings leave what is drawn as it is."""

    def run(between):
        gpunn.utils.set_random_seed(3)
        model = gpunn.Sequential([layers.Input((6,)), layers.Dropout(0.5), layers.Dense(1)])
        model.compile("sgd", "mse")
        for _ in range(3):
            model.train_on_batch(X, Y)
            between(model)
        return model.get_weights()[0]

    quiet = run(lambda m: None)
    busy = run(lambda m: (m.predict(X, verbose=0), m.evaluate(X, Y, verbose=0), m(X)))
    np.testing.assert_array_equal(quiet, busy)
