"""Digits with two outputs, class and ink, each with its own loss, weight and metrics."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def build():
    inputs = keras.Input((64,), name="pixels")
    x = layers.Dense(32, activation="relu")(inputs)
    digit = layers.Dense(10, activation="softmax", name="digit")(x)
    ink = layers.Dense(1, name="ink")(x)
    return keras.Model(inputs, {"digit": digit, "ink": ink})


def main():
    keras.utils.set_random_seed(4)
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")[:320]
    targets = {"digit": y[:320], "ink": x.mean(axis=1, keepdims=True)}

    model = build()
    model.compile(
        optimizer=keras.optimizers.RMSprop(5e-3),
        loss={"digit": "sparse_categorical_crossentropy", "ink": keras.losses.MeanSquaredError()},
        loss_weights={"digit": 1.0, "ink": 0.5},
        metrics={"digit": ["accuracy"], "ink": [keras.metrics.MeanAbsoluteError(name="mae")]},
    )
    history = model.fit(x, targets, epochs=3, batch_size=32, verbose=0, validation_split=0.2)
    names = {"loss", "digit_loss", "ink_loss", "digit_accuracy", "ink_mae"}
    assert set(history.history) == names | {f"val_{name}" for name in names}
    for name in ("loss", "digit_loss"):
        assert history.history[name][-1] < history.history[name][0]

    result = model.evaluate(x, targets, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        result["loss"], result["digit_loss"] + 0.5 * result["ink_loss"], rtol=1e-5
    )
    as_list = model.evaluate(x, targets, verbose=0)
    assert model.metrics_names[0] == "loss" and as_list[0] == result["loss"]
    predictions = model.predict(x, verbose=0)
    assert predictions["digit"].shape == (320, 10) and predictions["ink"].shape == (320, 1)
    np.testing.assert_allclose(
        np.abs(predictions["ink"] - targets["ink"]).mean(), result["ink_mae"], rtol=1e-4
    )

    # sample weights of one output: those of weight zero do not count
    weights = {"digit": np.ones(320, "float32"), "ink": np.zeros(320, "float32")}
    weighted = model.evaluate(x, targets, sample_weight=weights, verbose=0, return_dict=True)
    np.testing.assert_allclose(weighted["ink_loss"], 0.0, atol=1e-7)
    np.testing.assert_allclose(weighted["loss"], result["digit_loss"], rtol=1e-5)
    return {**result, "fit_loss": history.history["loss"]}


if __name__ == "__main__":
    print(main())
