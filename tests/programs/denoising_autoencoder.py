"""A convolutional autoencoder that takes noise away from digits."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers


def preprocess(array):
    return np.reshape(array.astype("float32") / 16.0, (len(array), 8, 8, 1))


def noise(array, noise_factor=0.4, seed=0):
    rng = np.random.default_rng(seed)
    noisy = array + noise_factor * rng.normal(loc=0.0, scale=1.0, size=array.shape)
    return np.clip(noisy, 0.0, 1.0)  # float64, as NumPy makes it


def main():
    keras.utils.set_random_seed(11)
    images = preprocess(load_digits().images[:480])
    noisy = noise(images)
    assert noisy.dtype == np.float64

    inputs = layers.Input(shape=(8, 8, 1))
    x = layers.Conv2D(8, (3, 3), activation="relu", padding="same")(inputs)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2D(8, (3, 3), activation="relu", padding="same")(x)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2DTranspose(8, (3, 3), strides=2, activation="relu", padding="same")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    outputs = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x)
    autoencoder = keras.Model(inputs, outputs, name="denoiser")
    assert autoencoder.output_shape == (None, 8, 8, 1)

    autoencoder.compile(optimizer=keras.optimizers.Nadam(0.01), loss="mse")
    history = autoencoder.fit(
        x=noisy[:400],
        y=images[:400],
        epochs=4,
        batch_size=40,
        validation_data=(noisy[400:], images[400:]),
        verbose=0,
    )
    clean = autoencoder.predict(noisy[400:], verbose=0)
    assert clean.dtype == np.float32
    before = np.mean((noisy[400:] - images[400:]) ** 2)
    after = np.mean((clean - images[400:]) ** 2)
    np.testing.assert_allclose(after, history.history["val_loss"][-1], rtol=1e-4)
    assert after < before
    return {"before": before, "after": after}


if __name__ == "__main__":
    print(main())
