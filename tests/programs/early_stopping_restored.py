"""Early stopping on held-out data, and going back to the best weights."""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import gpunn as keras
from gpunn import layers


class WeightsOfEpochs(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


def build(rate):
    model = keras.Sequential(
        [keras.Input((10,)), layers.Dense(64, activation="relu"), layers.Dense(1)]
    )
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="mse", metrics=["mae"])
    return model


def main():
    keras.utils.set_random_seed(9)
    x, y = load_diabetes(return_X_y=True, scaled=True)
    x, y = (20 * x).astype("float32"), ((y - y.mean()) / y.std()).astype("float32")
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.25, random_state=0)

    model, weights = build(0.02), WeightsOfEpochs()
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=3, min_delta=1e-3, restore_best_weights=True, verbose=1
    )
    history = model.fit(
        x_train, y_train, validation_data=(x_val, y_val), batch_size=64, epochs=60, verbose=0,
        callbacks=[weights, stopping],
    )  # fmt: skip
    losses = history.history["val_loss"]
    best = stopping.best_epoch
    assert len(losses) < 60 and stopping.stopped_epoch == len(losses) - 1 == best + 3
    np.testing.assert_allclose(stopping.best, losses[best], rtol=1e-6)
    assert losses[best] < min(losses[best + 1 :]) + 1e-3
    for restored, kept in zip(model.get_weights(), weights.weights[best]):
        np.testing.assert_array_equal(restored, kept)
    loss, mae = model.evaluate(x_val, y_val, verbose=0)
    maes = history.history["val_mae"]
    np.testing.assert_allclose([loss, mae], [losses[best], maes[best]], rtol=1e-4)

    again = keras.callbacks.EarlyStopping("val_mae", mode="min", patience=2, start_from_epoch=2)
    second = build(0.02).fit(
        x_train, y_train, validation_split=0.2, batch_size=64, epochs=30, verbose=0,
        callbacks=[again],
    )  # fmt: skip
    assert 3 < len(second.epoch) < 30

    return {"val_loss": losses, "best_epoch": best, "loss": loss}
