"""Sounds told apart by a 1D convolutional net with residuals, from raw waves and spectra."""

import numpy as np

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


def residual_block(x, filters, conv_num=2, activation="relu"):
    s = layers.Conv1D(filters, 1, padding="same")(x)
    for _ in range(conv_num - 1):
        x = layers.Conv1D(filters, 3, padding="same")(x)
        x = layers.Activation(activation)(x)
    x = layers.Conv1D(filters, 3, padding="same")(x)
    x = layers.Add()([x, s])
    x = layers.Activation(activation)(x)
    return layers.MaxPool1D(pool_size=2, strides=2)(x)


def audio_to_fft(audio):
    """The loudness of each frequency, first half."""
    real, imag = ops.fft((audio, ops.zeros_like(audio)))
    magnitude = ops.sqrt(ops.square(real) + ops.square(imag))
    return magnitude[:, : audio.shape[1] // 2]


def main():
    keras.utils.set_random_seed(13)
    rng = np.random.default_rng(13)
    labels = np.arange(96) % 3
    pitch = np.array([3.0, 7.0, 12.0])[labels][:, None]
    phase = rng.uniform(0, 2 * np.pi, size=(96, 1))
    t = np.arange(64) / 64
    audio = np.sin(2 * np.pi * pitch * t + phase) + 0.2 * rng.normal(size=(96, 64))
    audio = audio.astype("float32")
    spectra = ops.convert_to_numpy(audio_to_fft(audio))
    np.testing.assert_allclose(spectra, np.abs(np.fft.fft(audio))[:, :32], rtol=1e-3, atol=1e-4)

    inputs = layers.Input(shape=(32, 1), name="input")
    x = residual_block(inputs, 4)
    x = residual_block(x, 8, conv_num=3)
    x = layers.AveragePooling1D(pool_size=3, strides=3)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(16, activation="relu")(x)
    outputs = layers.Dense(3, activation="softmax", name="output")(x)
    model = keras.models.Model(inputs=inputs, outputs=outputs)
    assert x.shape == (None, 16) and model.output_shape == (None, 3)
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        spectra[..., None] / 8, labels, batch_size=16, epochs=4, validation_split=0.25, verbose=0
    ).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["val_accuracy"][-1] > 0.6

    causal = layers.Conv1D(2, 3, padding="causal", dilation_rate=2)
    whole = np.array(causal(audio[:2, :, None]))
    start = np.array(causal(audio[:2, :20, None]))
    np.testing.assert_allclose(whole[:, :20], start, atol=1e-5)
    return {"loss": history["loss"][-1], "spectra": spectra}


if __name__ == "__main__":
    print(main())
