"""Iris with the functional API; a second model reads the hidden layer of the first."""

import numpy as np
from sklearn.datasets import load_iris

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def main():
    keras.utils.set_random_seed(1)
    x, y = load_iris(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    order = np.random.default_rng(1).permutation(len(x))
    x, y = x[order], y[order]

    inputs = keras.Input(shape=(4,), name="flower")
    h = layers.Dense(16, activation="tanh", name="hidden_1")(inputs)
    h = layers.Dense(16, activation="tanh", name="hidden_2")(h)
    outputs = layers.Dense(3, name="logits")(h)
    model = keras.Model(inputs=inputs, outputs=outputs, name="iris")

    assert [layer.name for layer in model.layers] == ["flower", "hidden_1", "hidden_2", "logits"]
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 3)
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "hidden_1" in "\n".join(lines)

    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate=0.1, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        x[:120], y[:120], epochs=10, batch_size=16, verbose=0, validation_data=(x[120:], y[120:])
    )
    assert history.history["val_accuracy"][-1] > 0.9

    features = keras.Model(model.input, model.get_layer("hidden_2").output)
    hidden = features.predict(x[120:], verbose=0)
    assert hidden.shape == (30, 16)
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(
        hidden @ kernel + bias, model.predict(x[120:], verbose=0), rtol=1e-4, atol=1e-4
    )
    scores = model.evaluate(x[120:], y[120:], verbose=0, return_dict=True)
    return {"loss": history.history["loss"], "hidden": hidden, **scores}


if __name__ == "__main__":
    print(main())
