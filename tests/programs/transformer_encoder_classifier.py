"""A transformer block with token and position embeddings, as in Keras' text classification."""

import numpy as np

import gpunn as keras
from gpunn import layers, ops


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential(
            [
                layers.Dense(ff_dim, activation="relu"),
                layers.Dense(embed_dim),
            ]
        )
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs, training=None):
        attention = self.dropout1(self.att(inputs, inputs), training=training)
        out1 = self.layernorm1(inputs + attention)
        ffn_output = self.dropout2(self.ffn(out1), training=training)
        return self.layernorm2(out1 + ffn_output)


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        positions = ops.arange(start=0, stop=ops.shape(x)[-1], step=1)
        return self.token_emb(x) + self.pos_emb(positions)


def main():
    keras.utils.set_random_seed(8)
    rng = np.random.default_rng(8)
    x = rng.integers(0, 12, size=(256, 10))
    y = (x == 3).any(axis=1).astype("int64")  # is the word 3 in the text?

    inputs = layers.Input(shape=(10,))
    h = TokenAndPositionEmbedding(10, 12, 16)(inputs)
    h = TransformerBlock(16, 2, 32)(h)
    h = layers.GlobalMaxPooling1D()(h)
    h = layers.Dropout(0.1)(h)
    h = layers.Dense(20, activation="relu")(h)
    outputs = layers.Dense(2, activation="softmax")(h)
    model = keras.Model(inputs=inputs, outputs=outputs)
    adam = keras.optimizers.Adam(0.01)
    model.compile(optimizer=adam, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x, y, batch_size=32, epochs=5, validation_data=(x[:64], y[:64]), verbose=0
    ).history

    assert history["loss"][-1] < history["loss"][0]
    assert history["val_accuracy"][-1] > 0.7
    block = model.layers[2]
    assert isinstance(block, TransformerBlock)
    embedding, attention = (12 + 10) * 16, 3 * (16 * 32 + 32) + 32 * 16 + 16
    feed_forward = 16 * 32 + 32 + 32 * 16 + 16 + 4 * 16
    assert block.count_params() == attention + feed_forward
    assert model.count_params() == embedding + attention + feed_forward + 17 * 20 + 21 * 2
    return {"loss": history["loss"][-1], "probabilities": model.predict(x[:4], verbose=0)}


if __name__ == "__main__":
    print(main())
