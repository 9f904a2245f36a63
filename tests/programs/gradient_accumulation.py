"""`gradient_accumulation_steps`: four small batches make the step of one large batch."""

import numpy as np

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


class CountUpdates(keras.callbacks.Callback):
    """How often the weights really change."""

    def on_train_begin(self, logs=None):
        self.before, self.changes = self.model.get_weights()[0], []

    def on_train_batch_end(self, batch, logs=None):
        now = self.model.get_weights()[0]
        self.changes.append(not np.array_equal(now, self.before))
        self.before = now


def train(optimizer, x, y, batch_size, epochs=2, callbacks=None):
    keras.utils.set_random_seed(13)
    model = keras.Sequential(
        [keras.Input((5,)), layers.Dense(6, activation="tanh"), layers.Dense(1)]
    )
    model.compile(optimizer=optimizer, loss="mse")
    model.fit(
        x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
    )
    return model


def main():
    rng = np.random.default_rng(13)
    x = rng.normal(size=(32, 5)).astype("float32")
    y = np.sin(x.sum(axis=1, keepdims=True))

    found = {}
    for name, make in {
        "sgd": lambda **k: keras.optimizers.SGD(0.1, momentum=0.9, **k),
        "adam": lambda **k: keras.optimizers.Adam(learning_rate=0.05, **k),
    }.items():
        large = train(make(), x, y, batch_size=16)
        counter = CountUpdates()
        small = train(make(gradient_accumulation_steps=4), x, y, batch_size=4, callbacks=[counter])
        assert counter.changes == [False, False, False, True] * 4
        for a, b in zip(large.get_weights(), small.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert int(large.optimizer.iterations) == int(small.optimizer.iterations) == 4
        found[name] = np.concatenate([w.ravel() for w in small.get_weights()])
    return found
