"""Metric learning: digits whose embeddings lie in one direction, by a `train_step` of one's own."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers, ops

CLASSES = 10


class AnchorPositivePairs(keras.utils.PyDataset):
    def __init__(self, x, y, num_batches, **kwargs):
        super().__init__(**kwargs)
        self.x, self.num = x, num_batches
        self.members = [np.flatnonzero(y == k) for k in range(CLASSES)]
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return self.num

    def __getitem__(self, _idx):
        batch = np.empty((2, CLASSES, *self.x.shape[1:]), dtype=np.float32)
        for k, members in enumerate(self.members):
            anchor, positive = self.rng.choice(members, size=2, replace=False)
            batch[0, k], batch[1, k] = self.x[anchor], self.x[positive]
        return batch


class EmbeddingModel(keras.Model):
    def train_step(self, data):
        if isinstance(data, tuple):
            data = data[0]
        anchors, positives = data[0], data[1]

        with keras.GradientTape() as tape:
            anchor_embeddings = self(anchors, training=True)
            positive_embeddings = self(positives, training=True)
            similarities = ops.einsum("ae,pe->ap", anchor_embeddings, positive_embeddings)
            temperature = 0.2
            similarities = similarities / temperature
            sparse_labels = ops.arange(CLASSES)
            loss = self.compute_loss(y=sparse_labels, y_pred=similarities)

        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))

        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(sparse_labels, similarities)
        return {m.name: m.result() for m in self.metrics}


def nearest_share(embeddings, y):
    """How often the most similar other digit is of the same class."""
    gram = embeddings @ embeddings.T
    np.fill_diagonal(gram, -np.inf)
    return float((y[gram.argmax(axis=1)] == y).mean())


def main():
    keras.utils.set_random_seed(18)
    digits = load_digits()
    x, y = digits.images[..., None].astype("float32") / 16, digits.target

    inputs = layers.Input(shape=(8, 8, 1))
    hidden = layers.Conv2D(filters=8, kernel_size=3, strides=2, activation="relu")(inputs)
    hidden = layers.Flatten()(hidden)
    embeddings = layers.Dense(units=8, activation=None)(hidden)
    embeddings = layers.UnitNormalization()(embeddings)
    model = EmbeddingModel(inputs, embeddings)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    before = nearest_share(model.predict(x[1500:], verbose=0), y[1500:])
    history = model.fit(AnchorPositivePairs(x[:1500], y[:1500], 20), epochs=4, verbose=0).history
    found = model.predict(x[1500:], verbose=0)
    after = nearest_share(found, y[1500:])

    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-3)
    assert history["loss"][-1] < history["loss"][0]
    assert history["accuracy"][-1] > history["accuracy"][0] + 0.1
    assert after > 0.7

    similar = keras.losses.CosineSimilarity(axis=-1, reduction=None)(found[:5], found[5:10])
    np.testing.assert_allclose(similar, -(found[:5] * found[5:10]).sum(-1), rtol=1e-4, atol=1e-5)
    return {"loss": history["loss"], "before": before, "after": after}
