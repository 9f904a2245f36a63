"""Monte Carlo dropout: dropout stays on when predicting, and the spread shows what is unsure."""

import numpy as np

import gpunn as keras
from gpunn import layers, ops


class MCDropout(layers.Dropout):
    def call(self, inputs, training=None):
        return super().call(inputs, training=True)


class SeededNoise(layers.Layer):
    """Noise in training, from a generator the layer owns."""

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.stddev = stddev
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        noise = keras.random.normal(ops.shape(inputs), stddev=self.stddev, seed=self.seed_generator)
        return inputs + noise


def main():
    keras.utils.set_random_seed(22)
    rng = np.random.default_rng(22)
    x = rng.uniform(-1, 1, size=(128, 1)).astype("float32")
    y = np.sin(3 * x) + 0.05 * rng.normal(size=x.shape)

    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(64, activation="relu"),
            MCDropout(0.1),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.2, name="ordinary"),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    loss = model.fit(x, y, epochs=15, batch_size=32, verbose=0).history["loss"]
    assert loss[-1] < 0.5 * loss[0]

    points = np.array([[0.0], [0.5], [4.0]], dtype="float32")
    samples = np.stack([model(points, training=False) for _ in range(30)])
    assert samples.shape == (30, 3, 1)
    mean, spread = samples.mean(axis=0)[:, 0], samples.std(axis=0)[:, 0]
    assert spread.min() > 0 and spread[2] > spread[1]
    assert abs(mean[0]) < 0.4
    by_predict = np.stack([model.predict(points, verbose=0) for _ in range(4)])
    assert by_predict.std(axis=0).max() > 0
    repeated = ops.convert_to_numpy(model(np.repeat(points, 50, axis=0), training=True))
    assert repeated.reshape(3, 50).std(axis=1).min() > 0

    plain = layers.Dropout(0.5, seed=3)
    ones = np.ones((1000, 4), "float32")
    np.testing.assert_array_equal(plain(ones, training=False), ones)
    kept = np.asarray(plain(ones, training=True))
    assert set(np.unique(kept)) == {0.0, 2.0} and abs(kept.mean() - 1) < 0.1

    noise = SeededNoise(0.5, seed=1)
    first, second = noise(ones, training=True), noise(ones, training=True)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(SeededNoise(0.5, seed=1)(ones, training=True), first)
    assert abs(np.std(first) - 0.5) < 0.05 and len(noise.trainable_weights) == 0
    return {"loss": loss, "mean": mean, "spread": spread}
