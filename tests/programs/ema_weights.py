"""Averaged weights: `use_ema` in the optimizer, and `SwapEMAWeights` for validation."""

import numpy as np

import gpunn as keras
from gpunn import layers


def data():
    rng = np.random.default_rng(14)
    x = rng.normal(size=(64, 3)).astype("float32")
    return x, x @ np.array([[1.0], [2.0], [-1.0]], "float32") + rng.normal(size=(64, 1)) * 0.5


def build(**options):
    keras.utils.set_random_seed(14)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False)])
    model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.2, **options), loss="mse")
    return model


class Trace(keras.callbacks.Callback):
    """The kernel after every batch."""

    def on_train_begin(self, logs=None):
        self.kernels = [self.model.get_weights()[0]]

    def on_train_batch_end(self, batch, logs=None):
        self.kernels.append(self.model.get_weights()[0])


def averaged(kernels, momentum):
    average = kernels[1]  # the average begins after the first step
    for kernel in kernels[2:]:
        average = momentum * average + (1 - momentum) * kernel
    return average


def main():
    x, y = data()
    plain, trace = build(), Trace()
    plain.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0, callbacks=[trace])
    expected = averaged(trace.kernels, 0.8)

    model = build(use_ema=True, ema_momentum=0.8)
    model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-4)

    swapping, losses = build(use_ema=True, ema_momentum=0.8), []
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=False)
    history = swapping.fit(
        x, y, batch_size=16, epochs=3, shuffle=False, validation_data=(x, y), verbose=0,
        callbacks=[swap],
    ).history  # fmt: skip
    for kernel in (averaged(trace.kernels[: 4 * k + 1], 0.8) for k in (1, 2, 3)):
        losses.append(float(np.mean((x @ kernel - y) ** 2)))
    np.testing.assert_allclose(history["val_loss"], losses, rtol=1e-4)

    jumping = build(use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=6)
    jumping.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    assert not np.allclose(jumping.get_weights()[0], expected)
    return {"ema": expected, "jumping": jumping.get_weights()[0], "val_loss": history["val_loss"]}
