"""Callbacks of one's own: hooks, `self.model`, `self.params`, stopping, and `LambdaCallback`."""

import numpy as np
from sklearn.datasets import load_wine

import gpunn as keras
from gpunn import layers


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.events = []
        self.losses = []

    def on_train_begin(self, logs=None):
        self.events.append(f"start of training, {self.params['epochs']} epochs")
        assert not logs

    def on_train_end(self, logs=None):
        self.events.append("end of training: " + ",".join(sorted(logs)))

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(f"start of epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(logs["loss"])
        self.events.append(f"end of epoch {epoch}")

    def on_train_batch_end(self, batch, logs=None):
        assert {"loss", "accuracy"} <= set(logs)
        self.events.append(f"train {batch}")

    def on_test_begin(self, logs=None):
        self.events.append("start of testing")

    def on_test_batch_end(self, batch, logs=None):
        self.events.append(f"test {batch}")

    def on_predict_batch_end(self, batch, logs=None):
        self.events.append(f"predict {batch} {logs['outputs'].shape}")


class StopAtAccuracy(keras.callbacks.Callback):
    def __init__(self, threshold):
        super().__init__()
        self.threshold = threshold
        self.stopped_epoch = None

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if logs.get("accuracy") > self.threshold:
            print(f"Epoch {epoch}: accuracy {logs['accuracy']:.3f} reached, stopping.")
            self.stopped_epoch = epoch
            self.model.stop_training = True


class HalveRate(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        lr = float(self.model.optimizer.learning_rate)
        if epoch > 0:
            self.model.optimizer.learning_rate = lr / 2
        self.rates = getattr(self, "rates", []) + [lr]


def main():
    keras.utils.set_random_seed(4)
    x, y = load_wine(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    model = keras.Sequential([layers.Dense(3, activation="softmax")])
    optimizer = keras.optimizers.Adam(learning_rate=0.1)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])

    recorder, stopper, halve, seen = Recorder(), StopAtAccuracy(0.95), HalveRate(), []
    history = model.fit(
        x, y, batch_size=64, epochs=30, verbose=0, shuffle=True,
        callbacks=[
            recorder, stopper, halve,
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: seen.append(logs["loss"])
            ),
        ],
    )  # fmt: skip
    assert stopper.stopped_epoch == history.epoch[-1] < 29
    assert recorder.losses == history.history["loss"] == seen
    assert recorder.events[:6] == [
        "start of training, 30 epochs",
        "start of epoch 0", "train 0", "train 1", "train 2", "end of epoch 0",
    ]  # fmt: skip
    assert recorder.events[-1] == "end of training: accuracy,loss"
    np.testing.assert_allclose(halve.rates[:3], [0.1, 0.1, 0.05], rtol=1e-6)

    recorder.events.clear()
    model.evaluate(x, y, batch_size=100, verbose=0, callbacks=[recorder])
    model.predict(x, batch_size=100, verbose=0, callbacks=[recorder])
    assert recorder.events == [
        "start of testing", "test 0", "test 1", "predict 0 (100, 3)", "predict 1 (78, 3)",
    ]  # fmt: skip
    return {"loss": history.history["loss"], "epochs": len(history.epoch)}
