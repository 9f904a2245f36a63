"""Learning rate schedules: one's own warm-up with cosine decay, and those that come along."""

import math

import numpy as np

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


@keras.saving.register_keras_serializable()
class WarmUpCosine(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, base, total_steps, warmup_steps):
        super().__init__()
        self.base = base
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        cosine = 0.5 * self.base * (1.0 + ops.cos(math.pi * ops.minimum(progress, 1.0)))
        warmup = self.base * (step + 1) / self.warmup_steps
        return ops.where(step < self.warmup_steps, warmup, cosine)

    def get_config(self):
        return {
            "base": self.base,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
        }


class NoamSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, d_model, warmup_steps=4):
        self.d_model = ops.cast(d_model, "float32")
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, dtype="float32") + 1
        return ops.rsqrt(self.d_model) * ops.minimum(
            ops.rsqrt(step), step * (self.warmup_steps**-1.5)
        )


class RatesOfSteps(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def rates_in_training(schedule):
    keras.utils.set_random_seed(7)
    x = np.random.default_rng(7).normal(size=(32, 3)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(learning_rate=schedule), loss="mse")
    seen = RatesOfSteps()
    history = model.fit(x, y, batch_size=16, epochs=5, verbose=0, callbacks=[seen]).history
    assert history["loss"][-1] < history["loss"][0]
    return seen.rates, history["loss"]


def main():
    rates, loss = rates_in_training(WarmUpCosine(0.2, total_steps=10, warmup_steps=4))
    expected = [0.05, 0.1, 0.15, 0.2]
    expected += [0.1 * (1 + math.cos(math.pi * (step - 4) / 6)) for step in range(4, 10)]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)

    noam, _ = rates_in_training(NoamSchedule(16))
    np.testing.assert_allclose(
        noam, [0.25 * min(s**-0.5, s * 4**-1.5) for s in range(1, 11)], rtol=1e-5
    )
    ready_made = keras.optimizers.schedules.ExponentialDecay(
        initial_learning_rate=0.1, decay_steps=2, decay_rate=0.5, staircase=True
    )
    decay, _ = rates_in_training(ready_made)
    np.testing.assert_allclose(decay, [0.1 * 0.5 ** (s // 2) for s in range(10)], rtol=1e-5)

    schedule = WarmUpCosine(0.3, 20, 5)
    optimizer = keras.optimizers.Adam(schedule)
    config = keras.optimizers.serialize(optimizer)
    again = keras.optimizers.deserialize(config)
    np.testing.assert_allclose(again.learning_rate, 0.06, rtol=1e-6)
    same = WarmUpCosine.from_config(schedule.get_config())
    np.testing.assert_allclose(
        [float(same(s)) for s in (0, 7, 30)], [float(schedule(s)) for s in (0, 7, 30)]
    )
    return {"rates": rates, "noam": noam, "decay": decay, "loss": loss}
