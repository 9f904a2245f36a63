"""Which time step matters? Attention weights over an LSTM's outputs tell."""

import numpy as np

import gpunn as keras
from gpunn import layers, ops


class AttentionPooling(layers.Layer):
    """A learned score per step, softmax over time, weighted sum."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")
        self.v = self.add_weight(shape=(self.units, 1), initializer="random_normal", name="v")

    def call(self, inputs):
        scores = ops.matmul(ops.tanh(ops.matmul(inputs, self.w) + self.b), self.v)
        weights = ops.softmax(scores, axis=1)
        return ops.sum(weights * inputs, axis=1), ops.squeeze(weights, axis=-1)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def main():
    keras.utils.set_random_seed(7)
    rng = np.random.default_rng(7)
    x = 0.1 * rng.normal(size=(256, 8, 2)).astype("float32")
    where = rng.integers(0, 8, size=256)
    y = rng.integers(0, 2, size=256)
    x[np.arange(256), where, 0] = 2.0  # the step that counts ...
    x[np.arange(256), where, 1] = 2.0 * y - 1.0  # ... and what it says

    inputs = keras.Input((8, 2))
    h = layers.LSTM(12, return_sequences=True)(inputs)
    context, weights = AttentionPooling(8, name="pooling")(h)
    outputs = layers.Dense(1, activation="sigmoid")(context)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["binary_accuracy"])
    history = model.fit(x, y, epochs=5, batch_size=32, verbose=0).history

    attention = keras.Model(model.inputs, weights).predict(x, verbose=0)
    np.testing.assert_allclose(attention.sum(axis=1), 1.0, rtol=1e-5)

    # The built-in layer, with scores: the query is the mean over time.
    query = ops.mean(h, axis=1, keepdims=True)
    value, scores = layers.Attention(use_scale=True)([query, h], return_attention_scores=True)
    builtin = keras.Model(inputs, [layers.Flatten()(value), scores])
    value, scores = builtin.predict(x[:5], verbose=0)
    assert value.shape == (5, 12) and scores.shape == (5, 1, 8)
    np.testing.assert_allclose(scores.sum(axis=-1), 1.0, rtol=1e-5)

    assert context.shape == (None, 12) and weights.shape == (None, 8)
    assert history["loss"][-1] < history["loss"][0]
    assert history["binary_accuracy"][-1] > 0.8
    return {"loss": history["loss"][-1], "attention": attention}


if __name__ == "__main__":
    print(main())
