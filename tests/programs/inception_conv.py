"""Digits with an Inception block: branches of different kernels, concatenated over channels."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers


def conv_bn(x, filters, kernel_size, **kwargs):
    x = layers.Conv2D(filters, kernel_size, padding="same", use_bias=False, **kwargs)(x)
    x = layers.BatchNormalization(momentum=0.7)(x)
    return layers.ReLU()(x)


def inception(x, filters):
    tower_1 = conv_bn(x, filters, 1)
    tower_3 = conv_bn(conv_bn(x, filters, (1, 1)), filters, (3, 3))
    tower_5 = conv_bn(conv_bn(x, filters, 1), filters, 5)
    pool = layers.MaxPooling2D((3, 3), strides=(1, 1), padding="same")(x)
    pool = conv_bn(pool, filters, 1)
    return layers.Concatenate(axis=-1)([tower_1, tower_3, tower_5, pool])


def main():
    keras.utils.set_random_seed(7)
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32").reshape(-1, 8, 8, 1)[:400]
    y = y[:400]

    inputs = keras.Input(shape=(8, 8, 1))
    h = conv_bn(inputs, 8, 3)
    h = inception(h, 4)
    h = layers.AveragePooling2D(2)(h)
    h = inception(h, 8)
    h = layers.GlobalAveragePooling2D()(h)
    outputs = layers.Dense(10, activation="softmax")(h)
    model = keras.Model(inputs, outputs)
    assert model.output_shape == (None, 10)
    branches = [layer for layer in model.layers if isinstance(layer, layers.Concatenate)]
    assert [layer.output.shape for layer in branches] == [(None, 8, 8, 16), (None, 4, 4, 32)]
    assert len(model.non_trainable_weights) == 2 * 13

    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(x, y, epochs=3, batch_size=50, verbose=0)
    assert history.history["accuracy"][-1] > 0.7

    # activations in between: one model, several outputs
    activations = keras.Model(model.inputs, [layer.output for layer in branches])
    first, second = activations.predict(x[:5], verbose=0)
    assert first.shape == (5, 8, 8, 16) and second.shape == (5, 4, 4, 32)
    assert np.min(first) >= 0
    return {"loss": history.history["loss"], "second": second.mean()}


if __name__ == "__main__":
    print(main())
