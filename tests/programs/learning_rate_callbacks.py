"""`LearningRateScheduler`, `ReduceLROnPlateau`, `CSVLogger` and `TerminateOnNaN`."""

import csv
import math
import os
import tempfile

import numpy as np

import gpunn as keras
from gpunn import layers


def scheduler(epoch, lr):
    if epoch < 2:
        return lr
    return lr * math.exp(-0.5)


def build(lr=0.05):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(learning_rate=lr), loss="mse", metrics=["mae"])
    return model


def main():
    keras.utils.set_random_seed(10)
    rng = np.random.default_rng(10)
    x = rng.normal(size=(48, 4)).astype("float32")
    y = x @ rng.normal(size=(4, 1)).astype("float32")

    model = build()
    callback = keras.callbacks.LearningRateScheduler(scheduler, verbose=1)
    history = model.fit(x, y, epochs=5, batch_size=16, callbacks=[callback], verbose=0).history
    expected = [0.05, 0.05] + [0.05 * math.exp(-0.5 * k) for k in (1, 2, 3)]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-5)
    np.testing.assert_allclose(float(model.optimizer.learning_rate), expected[-1], rtol=1e-5)

    noise = rng.normal(size=(48, 1)).astype("float32")
    flat = build(0.2)
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="loss", factor=0.1, patience=2, min_lr=1e-3, min_delta=0.01, cooldown=1, verbose=0
    )
    reduced = flat.fit(x, noise, epochs=12, callbacks=[plateau], verbose=0).history
    rates = reduced["learning_rate"]
    assert rates[0] == np.float32(0.2) and len(set(rates)) > 1
    assert np.all(np.diff(rates) <= 0) and rates[-1] >= 1e-3 * 0.999

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "training.csv")
        logged = build()
        first = logged.fit(
            x, y, epochs=3, validation_split=0.25, verbose=0,
            callbacks=[keras.callbacks.CSVLogger(path, separator=";")],
        ).history  # fmt: skip
        second = logged.fit(
            x, y, epochs=5, initial_epoch=3, validation_split=0.25, verbose=0,
            callbacks=[keras.callbacks.CSVLogger(path, separator=";", append=True)],
        ).history  # fmt: skip
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3, 4]
    assert set(rows[0]) == {"epoch", "loss", "mae", "val_loss", "val_mae"}
    for key in ("loss", "val_mae"):
        np.testing.assert_allclose([float(r[key]) for r in rows], first[key] + second[key])

    bad = y.copy()
    bad[40:] = np.nan
    stopped = build().fit(
        x, bad, epochs=5, batch_size=8, shuffle=False, verbose=0,
        callbacks=[keras.callbacks.TerminateOnNaN()],
    )  # fmt: skip
    assert len(stopped.epoch) == 1 and math.isnan(stopped.history["loss"][0])
    return {"rates": history["learning_rate"], "reduced": rates, "loss": first["loss"]}
