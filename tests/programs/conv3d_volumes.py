"""Volumes with and without a ball, told apart by a 3D convolutional net."""

import numpy as np

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def volumes(count, size=6):
    rng = np.random.default_rng(15)
    labels = np.arange(count) % 2
    grid = np.indices((size, size, size))
    data = 0.2 * rng.normal(size=(count, size, size, size))
    for i in range(1, count, 2):
        center = rng.integers(1, size - 1, size=3)[:, None, None, None]
        data[i] += np.square(grid - center).sum(axis=0) <= 2
    return data.astype("float32"), labels


def get_model(width=6, height=6, depth=6):
    inputs = keras.Input((width, height, depth, 1))
    x = layers.Conv3D(filters=4, kernel_size=3, activation="relu")(inputs)
    x = layers.MaxPool3D(pool_size=2)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv3D(filters=8, kernel_size=2, activation="relu")(x)
    x = layers.GlobalAveragePooling3D()(x)
    x = layers.Dense(units=16, activation="relu")(x)
    x = layers.Dropout(0.1)(x)
    outputs = layers.Dense(units=1, activation="sigmoid")(x)
    return keras.Model(inputs, outputs, name="3dcnn")


def main():
    keras.utils.set_random_seed(15)
    x, y = volumes(48)
    x = np.expand_dims(x, axis=-1)
    model = get_model()
    assert model.name == "3dcnn" and model.count_params() == 553
    assert [tuple(layer.output.shape) for layer in model.layers[:4]] == [
        (None, 6, 6, 6, 1),
        (None, 4, 4, 4, 4),
        (None, 2, 2, 2, 4),
        (None, 2, 2, 2, 4),
    ]
    schedule = keras.optimizers.schedules.ExponentialDecay(
        0.1, decay_steps=20, decay_rate=0.9, staircase=True
    )
    model.compile(
        loss="binary_crossentropy",
        optimizer=keras.optimizers.SGD(learning_rate=schedule, momentum=0.9),
        metrics=["acc"],
    )
    history = model.fit(x, y, epochs=5, batch_size=8, shuffle=True, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["acc"][-1] > 0.7

    restored = layers.Conv3DTranspose(2, 2, strides=2)(layers.AveragePooling3D(2)(x[:3]))
    assert tuple(restored.shape) == (3, 6, 6, 6, 2)
    predictions = model.predict(x[:8], verbose=0)
    assert predictions.shape == (8, 1)
    return {"loss": history["loss"][-1], "predictions": predictions}


if __name__ == "__main__":
    print(main())
