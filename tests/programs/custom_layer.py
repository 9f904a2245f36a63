"""Layers of one's own: weights made in `build`, an argument `training`, `add_loss`, and nesting."""

import numpy as np

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


@keras.saving.register_keras_serializable(package="Programs")
class Linear(layers.Layer):
    def __init__(self, units=32, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units),
            initializer="glorot_uniform",
            trainable=True,
            name="w",
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True, name="b")

    def call(self, inputs):
        return self.activation(ops.matmul(inputs, self.w) + self.b)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        config = super().get_config()
        config.update(
            {"units": self.units, "activation": keras.activations.serialize(self.activation)}
        )
        return config


class ActivityPenalty(layers.Layer):
    """Adds rate · mean(x²) to the loss and counts its calls in training."""

    def __init__(self, rate=1e-2):
        super().__init__()
        self.rate = rate
        self.steps = self.add_weight(
            name="steps", initializer="zeros", dtype="int32", trainable=False
        )

    def call(self, inputs, training=None):
        self.add_loss(self.rate * ops.mean(ops.square(inputs)))
        if training:
            self.steps.assign_add(1)
        return inputs


class MLPBlock(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.linear_1 = Linear(8, activation="relu")
        self.penalty = ActivityPenalty(0.1)
        self.linear_2 = Linear(1)

    def call(self, inputs, training=False):
        x = self.linear_1(inputs)
        x = self.penalty(x, training=training)
        return self.linear_2(x)


def main():
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 4)).astype("float32")
    y = x[:, :1] * x[:, 1:2]

    block = MLPBlock(name="block")
    out = block(ops.convert_to_tensor(x))
    assert out.shape == (64, 1)
    assert len(block.weights) == 5 and len(block.trainable_weights) == 4
    assert len(block.non_trainable_weights) == 1
    assert [w.shape for w in block.trainable_weights] == [(4, 8), (8,), (8, 1), (1,)]
    assert len(block.losses) == 1

    inputs = keras.Input(shape=(4,))
    model = keras.Model(inputs, block(inputs))
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    history = model.fit(x, y, batch_size=32, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert int(block.penalty.steps) == 16

    linear = Linear(3, activation="tanh", name="third")
    config = keras.saving.serialize_keras_object(linear)
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, Linear) and again.name == "third" and again.units == 3
    assert again.activation is keras.activations.tanh
    assert Linear(3).compute_output_shape((None, 5)) == (None, 3)
    return {"history": history, "prediction": model.predict(x, verbose=0)}
