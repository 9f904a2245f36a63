"""On a real card (``pytest -m gpu``): a captured step equals the eager one, bit for bit."""

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.optimizers import schedules

RNG = np.random.default_rng(5)
X = RNG.standard_normal((400, 12, 12, 3)).astype("float32")
Y = RNG.integers(0, 4, 400)


def trained(jit_compile):
    gpunn.utils.set_random_seed(4)
    model = gpunn.Sequential(
        [
            gpunn.Input((12, 12, 3)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(32, activation="gelu", kernel_regularizer="l2"),
            layers.Dropout(0.3),
            layers.Dense(4, activation="softmax"),
        ]
    )
    rate = schedules.ExponentialDecay(0.01, 10, 0.9)
    optimizer = gpunn.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=1.0)
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=jit_compile
    )
    history = model.fit(
        X, Y, batch_size=32, epochs=4, validation_split=0.2, class_weight={0: 2.0}, verbose=0
    )
    return model, history.history, model.predict(X, verbose=0)


@pytest.mark.gpu
def test_captured_equals_eager(real_gpu):
    with gpunn.device("gpu:0"):
        eager, eager_history, eager_y = trained(False)
        model, history, y = trained(True)
        programs = [s.program for r in model.step.recordings.values() for s in r.steps.values()]
        assert any(program is not None for program in programs)
        assert history == eager_history
        np.testing.assert_array_equal(y, eager_y)
        for a, b in zip(model.get_weights(), eager.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        model.step.describe(times=True)
