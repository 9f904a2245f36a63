"""A GAN of points in the plane: two models, two optimizers, one train_step."""

import numpy as np

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


class GAN(keras.Model):
    def __init__(self, discriminator, generator, latent_dim):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim
        self.seed_generator = keras.random.SeedGenerator(1337)
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def train_step(self, real):
        batch_size = ops.shape(real)[0]
        noise = keras.random.normal((batch_size, self.latent_dim), seed=self.seed_generator)
        combined = ops.concatenate([self.generator(noise), real], axis=0)
        labels = ops.concatenate([ops.ones((batch_size, 1)), ops.zeros((batch_size, 1))], axis=0)
        labels += 0.05 * keras.random.uniform(ops.shape(labels), seed=self.seed_generator)

        with keras.GradientTape() as tape:
            predictions = self.discriminator(combined)
            d_loss = self.loss_fn(labels, predictions)
        grads = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(zip(grads, self.discriminator.trainable_weights))

        noise = keras.random.normal((batch_size, self.latent_dim), seed=self.seed_generator)
        misleading = ops.zeros((batch_size, 1))
        with keras.GradientTape() as tape:
            predictions = self.discriminator(self.generator(noise))
            g_loss = self.loss_fn(misleading, predictions)
        grads = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(grads, self.generator.trainable_weights))

        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {"d_loss": self.d_loss_metric.result(), "g_loss": self.g_loss_metric.result()}


def main():
    keras.utils.set_random_seed(14)
    points = np.random.default_rng(0).normal([2.0, -1.0], 0.2, size=(128, 2)).astype("float32")
    generator = keras.Sequential(
        [keras.Input((3,)), layers.Dense(8, activation="relu"), layers.Dense(2)], name="generator"
    )
    discriminator = keras.Sequential(
        [keras.Input((2,)), layers.Dense(8), layers.LeakyReLU(negative_slope=0.2), layers.Dense(1)],
        name="discriminator",
    )
    gan = GAN(discriminator, generator, latent_dim=3)
    gan.compile(
        d_optimizer=keras.optimizers.Adam(learning_rate=0.02),
        g_optimizer=keras.optimizers.Adam(learning_rate=0.01),
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    noise = np.random.default_rng(1).standard_normal((64, 3)).astype("float32")
    before = generator.predict(noise, verbose=0)
    history = gan.fit(points, batch_size=32, epochs=8, verbose=0).history

    after = generator.predict(noise, verbose=0)
    center = np.array([2.0, -1.0])
    assert np.linalg.norm(after.mean(0) - center) < np.linalg.norm(before.mean(0) - center)
    assert len(history["d_loss"]) == 8
    assert int(gan.d_optimizer.iterations) == int(gan.g_optimizer.iterations) == 32
    return {**history, "after": after}


if __name__ == "__main__":
    print(main())
