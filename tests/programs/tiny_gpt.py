"""A small causal language model that learns to count, and continues a text."""

import numpy as np

import gpunn as keras
from gpunn import layers, ops

VOCABULARY, CONTEXT, WIDTH = 8, 10, 24


@keras.saving.register_keras_serializable(package="tiny_gpt")
class PositionEmbedding(layers.Layer):
    def __init__(self, length, initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.length = length
        self.initializer = keras.initializers.get(initializer)

    def build(self, inputs_shape):
        self.position_embeddings = self.add_weight(
            name="embeddings",
            shape=[self.length, inputs_shape[-1]],
            initializer=self.initializer,
            trainable=True,
        )
        self.built = True

    def call(self, inputs, start_index=0):
        shape = ops.shape(inputs)
        embeddings = ops.convert_to_tensor(self.position_embeddings)
        embeddings = ops.slice(embeddings, (start_index, 0), (shape[-2], shape[-1]))
        return ops.broadcast_to(embeddings, shape)

    def get_config(self):
        config = super().get_config()
        config["length"] = self.length
        config["initializer"] = keras.initializers.serialize(self.initializer)
        return config

    def compute_output_shape(self, input_shape):
        return input_shape


def make_model():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(VOCABULARY, WIDTH)(tokens)
    x = x + PositionEmbedding(CONTEXT, initializer="random_normal")(x)
    for _ in range(2):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, WIDTH // 2)(h, h, use_causal_mask=True)
        h = layers.LayerNormalization()(x)
        x = x + layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, activation="gelu")(h))
    return keras.Model(tokens, layers.Dense(VOCABULARY)(layers.LayerNormalization()(x)))


def main():
    keras.utils.set_random_seed(9)
    rng = np.random.default_rng(9)
    start, step = rng.integers(0, VOCABULARY, size=(2, 192, 1))
    text = (start + (1 + step % 2) * np.arange(CONTEXT + 1)) % VOCABULARY
    x, y = text[:, :-1], text[:, 1:]

    model = make_model()
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=1e-2, clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    history = model.fit(x, y, batch_size=32, epochs=5, verbose=0).history
    assert history["loss"][-1] < 0.6 * history["loss"][0]

    logits = model.predict(x[:6], verbose=0)
    future = x[:6].copy()
    future[:, 6:] = 0  # what comes later is not seen
    np.testing.assert_allclose(model.predict(future, verbose=0)[:, :6], logits[:, :6], atol=1e-4)

    prompt = np.array([[0, 1, 2, 3], [1, 3, 5, 7]])
    for _ in range(4):
        next_token = ops.argmax(model(prompt)[:, -1], axis=-1)
        prompt = np.concatenate([prompt, ops.convert_to_numpy(next_token)[:, None]], axis=1)
    assert prompt.shape == (2, 8)
    np.testing.assert_array_equal(prompt[:, 4:], [[4, 5, 6, 7], [1, 3, 5, 7]])

    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.predict(x[:6], verbose=0), logits, atol=1e-5)
    return {"loss": history["loss"][-1], "logits": logits, "prompt": prompt}


if __name__ == "__main__":
    print(main())
