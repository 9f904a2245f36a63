"""An autoencoder of digits: encoder and decoder as models of their own, early stopping."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers, regularizers


def main():
    keras.utils.set_random_seed(10)
    x = (load_digits().data / 16).astype("float32")
    x_train, x_test = x[:1200], x[1200:]
    encoding_dim = 16

    input_img = keras.Input(shape=(64,))
    encoded = layers.Dense(
        encoding_dim, activation="relu", activity_regularizer=regularizers.L1(1e-5)
    )(input_img)
    decoded = layers.Dense(64, activation="sigmoid")(encoded)
    autoencoder = keras.Model(input_img, decoded)
    encoder = keras.Model(input_img, encoded)
    encoded_input = keras.Input(shape=(encoding_dim,))
    decoder = keras.Model(encoded_input, autoencoder.layers[-1](encoded_input))

    autoencoder.compile(optimizer=keras.optimizers.Adam(5e-3), loss="binary_crossentropy")
    stop = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=2, min_delta=1e-3, restore_best_weights=True
    )
    history = autoencoder.fit(
        x_train,
        x_train,
        epochs=12,
        batch_size=128,
        shuffle=True,
        validation_data=(x_test, x_test),
        callbacks=[stop],
        verbose=0,
    )
    assert history.history["val_loss"][-1] < 0.8 * history.history["val_loss"][0]

    codes = encoder.predict(x_test, verbose=0)
    images = decoder.predict(codes, verbose=0)
    assert codes.shape == (len(x_test), encoding_dim)
    assert np.all((images >= 0) & (images <= 1))
    np.testing.assert_allclose(images, autoencoder.predict(x_test, verbose=0), rtol=1e-5, atol=1e-6)
    error = np.mean((images - x_test) ** 2)
    assert error < 0.8 * np.mean((x_train.mean(axis=0) - x_test) ** 2)
    return {"error": error, "val_loss": history.history["val_loss"]}


if __name__ == "__main__":
    print(main())
