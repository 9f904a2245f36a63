"""Augmentation layers inside a model: they act in training and leave inference alone."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers


def main():
    keras.utils.set_random_seed(18)
    images, labels = load_digits(n_class=3, return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("uint8")[:200] * 15
    labels = keras.utils.to_categorical(labels[:200], 3)

    data_augmentation = keras.Sequential(
        [
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            layers.RandomRotation(0.05),
            layers.RandomZoom(0.1),
            layers.RandomFlip("horizontal", seed=3),
        ],
        name="data_augmentation",
    )
    inputs = keras.Input(shape=(8, 8, 1))
    x = data_augmentation(inputs)
    x = layers.Rescaling(1.0 / 255)(x)
    x = layers.RandomContrast(0.2, value_range=(0, 1))(x)
    x = layers.Conv2D(8, kernel_size=3, activation="relu")(x)
    x = layers.MaxPooling2D(pool_size=2)(x)
    x = layers.Conv2D(12, kernel_size=2, activation="relu")(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.2)(x)
    outputs = layers.Dense(3, activation="softmax")(x)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile(
        loss="categorical_crossentropy",
        optimizer=keras.optimizers.Adam(0.01),
        metrics=["accuracy"],
    )
    history = model.fit(images, labels, batch_size=32, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]

    batch = images[:8].astype("float32")
    augmented = np.array(data_augmentation(batch, training=True))
    assert augmented.shape == batch.shape and np.abs(augmented - batch).max() > 1
    np.testing.assert_array_equal(np.array(data_augmentation(batch, training=False)), batch)
    again = np.array(data_augmentation(batch, training=True))
    assert np.any(again != augmented)
    once, twice = model.predict(images[:8], verbose=0), model.predict(images[:8], verbose=0)
    np.testing.assert_array_equal(once, twice)

    flip = layers.RandomFlip("vertical", seed=0)
    flipped = np.array(flip(batch, training=True))
    for before, after in zip(batch, flipped):
        assert np.array_equal(after, before) or np.array_equal(after, before[::-1])
    resized = layers.Resizing(16, 12)(layers.CenterCrop(6, 6)(batch))
    assert tuple(resized.shape) == (8, 16, 12, 1)
    accuracy = model.evaluate(images, labels, verbose=0)[1]
    assert accuracy > 0.8
    return {"loss": history["loss"][-1], "accuracy": accuracy}


if __name__ == "__main__":
    print(main())
