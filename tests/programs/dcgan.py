"""A DCGAN of 8x8 digits, trained by hand with train_on_batch: the combined model is frozen half."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers


def make_discriminator():
    return keras.Sequential(
        [
            keras.Input(shape=(8, 8, 1)),
            layers.Conv2D(8, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(16, kernel_size=4, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="discriminator",
    )


def make_generator(latent_dim):
    return keras.Sequential(
        [
            keras.Input(shape=(latent_dim,)),
            layers.Dense(2 * 2 * 16, use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.Reshape((2, 2, 16)),
            layers.Conv2DTranspose(8, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2DTranspose(8, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(1, kernel_size=5, padding="same", activation="sigmoid"),
        ],
        name="generator",
    )


def main():
    keras.utils.set_random_seed(15)
    rng = np.random.default_rng(15)
    images = (load_digits().images[..., None] / 16).astype("float32")
    batch, latent_dim = 32, 8

    discriminator, generator = make_discriminator(), make_generator(latent_dim)
    discriminator.compile(
        keras.optimizers.Adam(2e-3, beta_1=0.5), "binary_crossentropy", metrics=["accuracy"]
    )
    discriminator.trainable = False
    z = keras.Input((latent_dim,))
    combined = keras.Model(z, discriminator(generator(z)))
    combined.compile(keras.optimizers.Adam(2e-3, beta_1=0.5), "binary_crossentropy")
    assert len(combined.trainable_weights) == len(generator.trainable_weights)
    discriminator.trainable = True

    real, fake = np.ones((batch, 1)), np.zeros((batch, 1))
    d_losses, g_losses = [], []
    for _ in range(15):
        discriminator.trainable = True
        picked = images[rng.integers(0, len(images), batch)]
        made = generator.predict(rng.normal(size=(batch, latent_dim)), verbose=0)
        loss_real, _ = discriminator.train_on_batch(picked, real)
        loss_fake, _ = discriminator.train_on_batch(made, fake)
        d_losses.append((loss_real + loss_fake) / 2)

        discriminator.trainable = False
        kernel = np.array(discriminator.layers[0].kernel)
        g_losses.append(combined.train_on_batch(rng.normal(size=(batch, latent_dim)), real))
        np.testing.assert_array_equal(discriminator.layers[0].kernel, kernel)

    made = generator.predict(rng.normal(size=(4, latent_dim)), verbose=0)
    assert made.shape == (4, 8, 8, 1) and made.min() >= 0 and made.max() <= 1
    assert np.mean(d_losses[-5:]) < d_losses[0]
    return {"d_losses": d_losses, "g_losses": g_losses, "made": made}


if __name__ == "__main__":
    print(main())
