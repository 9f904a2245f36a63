"""Handwritten digits with a Sequential model: fit, evaluate, predict."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def main():
    keras.utils.set_random_seed(0)
    x, y = load_digits(return_X_y=True)
    x, y = x[:800].astype("float32") / 16.0, y[:800]
    y = keras.utils.to_categorical(y, num_classes=10)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=200, random_state=0)

    model = keras.Sequential(
        [
            keras.Input(shape=(64,)),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    assert model.count_params() == 64 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10
    model.compile(
        loss=keras.losses.CategoricalCrossentropy(),
        optimizer=keras.optimizers.Adam(learning_rate=1e-2),
        metrics=[keras.metrics.CategoricalAccuracy(name="acc")],
    )
    history = model.fit(x_train, y_train, batch_size=32, epochs=3, validation_split=0.1, verbose=0)
    assert history.epoch == [0, 1, 2]
    assert set(history.history) == {"loss", "acc", "val_loss", "val_acc"}
    assert history.history["loss"][-1] < history.history["loss"][0] / 2

    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    assert accuracy > 0.85
    probabilities = model.predict(x_test, verbose=0)
    assert probabilities.shape == (200, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    hits = probabilities.argmax(axis=1) == y_test.argmax(axis=1)
    np.testing.assert_allclose(hits.mean(), accuracy, rtol=1e-6)
    return {"loss": loss, "accuracy": accuracy, "val_loss": history.history["val_loss"]}


if __name__ == "__main__":
    print(main())
