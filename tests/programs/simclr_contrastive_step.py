"""SimCLR: a contrastive `train_step` over two augmented views, then a probe on the features."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers, ops

WIDTH = 16


def get_augmenter():
    return keras.Sequential(
        [
            keras.Input(shape=(8, 8, 1)),
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            layers.GaussianNoise(0.05),
        ],
        name="augmenter",
    )


def get_encoder():
    return keras.Sequential(
        [
            layers.Conv2D(8, kernel_size=3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(WIDTH, activation="relu"),
        ],
        name="encoder",
    )


class ContrastiveModel(keras.Model):
    def __init__(self):
        super().__init__()
        self.temperature = 0.1
        self.contrastive_augmenter = get_augmenter()
        self.encoder = get_encoder()
        self.projection_head = keras.Sequential(
            [
                keras.Input(shape=(WIDTH,)),
                layers.Dense(WIDTH, activation="relu"),
                layers.Dense(WIDTH),
            ],
            name="projection_head",
        )

    def compile(self, contrastive_optimizer, **kwargs):
        super().compile(**kwargs)
        self.contrastive_optimizer = contrastive_optimizer
        self.contrastive_loss_tracker = keras.metrics.Mean(name="c_loss")
        self.contrastive_accuracy = keras.metrics.SparseCategoricalAccuracy(name="c_acc")

    @property
    def metrics(self):
        return [self.contrastive_loss_tracker, self.contrastive_accuracy]

    def contrastive_loss(self, projections_1, projections_2):
        projections_1 = ops.normalize(projections_1, axis=1)
        projections_2 = ops.normalize(projections_2, axis=1)
        similarities = ops.matmul(projections_1, ops.transpose(projections_2)) / self.temperature
        batch_size = ops.shape(projections_1)[0]
        contrastive_labels = ops.arange(batch_size)
        self.contrastive_accuracy.update_state(contrastive_labels, similarities)
        self.contrastive_accuracy.update_state(contrastive_labels, ops.transpose(similarities))
        loss_1_2 = keras.losses.sparse_categorical_crossentropy(
            contrastive_labels, similarities, from_logits=True
        )
        loss_2_1 = keras.losses.sparse_categorical_crossentropy(
            contrastive_labels, ops.transpose(similarities), from_logits=True
        )
        return ops.mean(loss_1_2 + loss_2_1) / 2

    def train_step(self, images):
        augmented_images_1 = self.contrastive_augmenter(images, training=True)
        augmented_images_2 = self.contrastive_augmenter(images, training=True)
        with keras.GradientTape() as tape:
            features_1 = self.encoder(augmented_images_1, training=True)
            features_2 = self.encoder(augmented_images_2, training=True)
            projections_1 = self.projection_head(features_1, training=True)
            projections_2 = self.projection_head(features_2, training=True)
            loss = self.contrastive_loss(projections_1, projections_2)
        weights = self.encoder.trainable_weights + self.projection_head.trainable_weights
        gradients = tape.gradient(loss, weights)
        self.contrastive_optimizer.apply_gradients(zip(gradients, weights))
        self.contrastive_loss_tracker.update_state(loss)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, images):
        views = [self.contrastive_augmenter(images, training=True) for _ in range(2)]
        projected = [self.projection_head(self.encoder(v, training=False)) for v in views]
        self.contrastive_loss_tracker.update_state(self.contrastive_loss(*projected))
        return {m.name: m.result() for m in self.metrics}


def main():
    keras.utils.set_random_seed(21)
    digits = load_digits()
    x = digits.images[:512, ..., None].astype("float32") / 16
    y = digits.target[:512]

    pretraining = ContrastiveModel()
    pretraining.compile(contrastive_optimizer=keras.optimizers.Adam(0.01))
    history = pretraining.fit(x, epochs=4, batch_size=64, verbose=0).history
    assert set(history) == {"c_loss", "c_acc"}
    assert history["c_loss"][-1] < history["c_loss"][0]
    assert history["c_acc"][-1] > history["c_acc"][0]
    held_out = pretraining.evaluate(x[:64], batch_size=64, verbose=0, return_dict=True)

    pretraining.encoder.trainable = False
    frozen = pretraining.encoder.get_weights()
    probe = keras.Sequential([keras.Input(shape=(8, 8, 1)), pretraining.encoder, layers.Dense(10)])
    probe.compile(
        optimizer=keras.optimizers.Adam(0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )
    assert len(probe.trainable_weights) == 2
    accuracy = probe.fit(x, y, epochs=6, batch_size=64, verbose=0).history["acc"]
    assert accuracy[-1] > 0.7
    for before, after in zip(frozen, pretraining.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    return {"c_loss": history["c_loss"], "accuracy": accuracy, **held_out}
