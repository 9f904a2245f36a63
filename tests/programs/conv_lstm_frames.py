"""A convolutional LSTM predicts the next frame of a moving square."""

import numpy as np

import gpunn as keras
from gpunn import layers


def movies(count, frames=5, size=8):
    rng = np.random.default_rng(14)
    data = np.zeros((count, frames + 1, size, size, 1), dtype="float32")
    rows, columns = rng.integers(0, size, size=(2, count))
    steps = rng.choice([-1, 1], size=count)
    for t in range(frames + 1):
        for n in range(count):
            row = (rows[n] + steps[n] * t) % size
            data[n, t, row, columns[n]] = data[n, t, row, (columns[n] + 1) % size] = 1.0
    return data[:, :-1], data[:, 1:]


def main():
    keras.utils.set_random_seed(14)
    x, y = movies(40)
    inp = layers.Input(shape=(None, *x.shape[2:]))
    h = layers.ConvLSTM2D(
        filters=6, kernel_size=(3, 3), padding="same", return_sequences=True, activation="relu"
    )(inp)
    h = layers.BatchNormalization()(h)
    h = layers.ConvLSTM2D(4, (1, 1), padding="same", return_sequences=True, activation="relu")(h)
    out = layers.Conv3D(filters=1, kernel_size=(3, 3, 3), activation="sigmoid", padding="same")(h)
    model = keras.models.Model(inp, out)
    assert model.output_shape == (None, None, 8, 8, 1)
    model.compile(
        loss=keras.losses.BinaryCrossentropy(), optimizer=keras.optimizers.Adam(learning_rate=0.02)
    )
    reduce_lr = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=5)
    history = model.fit(
        x[:32],
        y[:32],
        batch_size=8,
        epochs=3,
        validation_data=(x[32:], y[32:]),
        callbacks=[reduce_lr],
        verbose=0,
    ).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]

    # Continue a movie frame by frame: the sequence grows.
    frames = x[32][:3]
    for _ in range(2):
        new_prediction = model.predict(np.expand_dims(frames, axis=0), verbose=0)
        new_prediction = np.squeeze(new_prediction, axis=0)
        frames = np.concatenate((frames, new_prediction[-1:]), axis=0)
    assert frames.shape == (5, 8, 8, 1)

    last = layers.ConvLSTM1D(3, 3, return_state=True)(x[:2, :, :, 0])
    assert [tuple(part.shape) for part in last] == [(2, 6, 3)] * 3
    return {"loss": history["loss"][-1], "frames": frames}


if __name__ == "__main__":
    print(main())
