"""Batches from a `PyDataset`: augmented, weighted, reshuffled after every epoch, by workers."""

import math

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers


class DigitsDataset(keras.utils.PyDataset):
    def __init__(self, x_set, y_set, batch_size, shuffle=True, weighted=False, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y = x_set, y_set
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.weighted = weighted
        self.indices = np.arange(len(self.x))
        self.epochs_seen = 0

    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, idx):
        low = idx * self.batch_size
        high = min(low + self.batch_size, len(self.x))
        batch = self.indices[low:high]
        x, y = self.x[batch] / 16.0, self.y[batch]
        if self.weighted:
            return x, y, np.where(y == 3, 2.0, 1.0)
        return x, y

    def on_epoch_end(self):
        self.epochs_seen += 1
        if self.shuffle:
            np.random.default_rng(self.epochs_seen).shuffle(self.indices)


def main():
    keras.utils.set_random_seed(11)
    digits = load_digits()
    x, y = digits.images[..., None].astype("float32")[:500], digits.target[:500]
    train = DigitsDataset(x[:400], y[:400], 32, weighted=True, workers=2, max_queue_size=4)
    val = DigitsDataset(x[400:], y[400:], 50, shuffle=False)
    assert train.num_batches == 13

    model = keras.Sequential(
        [
            keras.Input(shape=(8, 8, 1)),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    history = model.fit(train, epochs=4, validation_data=val, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.75
    assert train.epochs_seen >= 4
    assert not np.array_equal(train.indices, np.arange(400))

    loss, accuracy = model.evaluate(val, verbose=0)
    np.testing.assert_allclose(loss, history["val_loss"][-1], rtol=1e-4)
    predictions = model.predict(val, verbose=0)
    assert predictions.shape == (100, 10)
    np.testing.assert_allclose(predictions.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose((predictions.argmax(1) == y[400:]).mean(), accuracy, rtol=1e-5)

    few = model.fit(train, epochs=1, steps_per_epoch=3, verbose=0)
    assert few.params["steps"] == 3
    return {"loss": history["loss"], "val_accuracy": history["val_accuracy"]}
