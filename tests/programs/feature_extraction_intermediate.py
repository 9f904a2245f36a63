"""Intermediate activations of a trained model feed a second model."""

import numpy as np
from sklearn.datasets import load_iris

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def main():
    keras.utils.set_random_seed(1)
    x, y = load_iris(return_X_y=True)
    x = x.astype("float32")
    normalize = layers.Normalization()
    normalize.adapt(x)

    inputs = keras.Input(shape=(4,), name="flower")
    h = layers.Dense(16, activation="relu", name="hidden_1")(normalize(inputs))
    h = layers.Dense(8, activation="tanh", name="hidden_2")(h)
    outputs = layers.Dense(3, activation="softmax", name="species")(h)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.02),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(x, y, batch_size=32, epochs=6, verbose=0)

    extractor = keras.Model(
        inputs=model.input,
        outputs={layer.name: layer.output for layer in model.layers if "hidden" in layer.name},
    )
    features = extractor.predict(x, verbose=0)
    assert set(features) == {"hidden_1", "hidden_2"}
    assert features["hidden_1"].shape == (150, 16)
    assert features["hidden_2"].shape == (150, 8)
    kernel, bias = model.get_layer("species").get_weights()
    logits = features["hidden_2"] @ kernel + bias
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(keras.ops.softmax(logits)),
        model.predict(x, verbose=0),
        rtol=1e-4,
        atol=1e-5,
    )

    probe = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    probe.compile(keras.optimizers.Adam(0.05), loss="binary_crossentropy", metrics=["accuracy"])
    probe.fit(features["hidden_2"], (y == 0).astype("float32"), epochs=8, verbose=0)
    loss, accuracy = probe.evaluate(features["hidden_2"], y == 0, verbose=0)
    assert accuracy > 0.9
    assert history.history["loss"][-1] < history.history["loss"][0]
    return {"loss": loss, "accuracy": accuracy, "features": features["hidden_2"]}


if __name__ == "__main__":
    print(main())
