"""A net learned on digits 0 to 4 is reused, first frozen and then fine-tuned, for digits 5 to 9."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers


def make_base():
    inputs = keras.Input(shape=(8, 8, 1))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    outputs = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, outputs, name="base")


def main():
    keras.utils.set_random_seed(0)
    images, digits = load_digits(return_X_y=True)
    images = (images / 16.0).astype("float32").reshape(-1, 8, 8, 1)[:600]
    digits = digits[:600]
    low, high = digits < 5, digits >= 5

    base = make_base()
    source = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    source.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    source.fit(images[low], digits[low], epochs=5, verbose=0)

    base.trainable = False
    inputs = keras.Input(shape=(8, 8, 1))
    x = base(inputs, training=False)
    x = layers.Dropout(0.1)(x)
    outputs = layers.Dense(5)(x)
    model = keras.Model(inputs, outputs)
    assert len(model.trainable_weights) == 2
    assert len(model.non_trainable_weights) == len(base.weights) == 4

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(2e-2), loss=loss, metrics=["accuracy"])
    before = base.get_weights()
    frozen = model.fit(images[high], digits[high] - 5, epochs=4, verbose=0)
    for old, new in zip(before, base.get_weights()):
        np.testing.assert_array_equal(old, new)

    base.trainable = True
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss=loss, metrics=["accuracy"])
    assert len(model.trainable_weights) == 6
    tuned = model.fit(images[high], digits[high] - 5, epochs=4, verbose=0)
    assert any(np.any(old != new) for old, new in zip(before, base.get_weights()))
    assert frozen.history["loss"][-1] < frozen.history["loss"][0]
    assert tuned.history["loss"][-1] < frozen.history["loss"][-1]
    return {
        "frozen_loss": frozen.history["loss"][-1],
        "tuned_loss": tuned.history["loss"][-1],
        "accuracy": tuned.history["accuracy"][-1],
    }


if __name__ == "__main__":
    print(main())
