"""Wine from two groups of measurements, given by the names of the inputs in a dict."""

import numpy as np
from sklearn.datasets import load_wine

import gpunn as keras
from gpunn import layers


def main():
    keras.utils.set_random_seed(3)
    x, y = load_wine(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    order = np.random.default_rng(0).permutation(len(x))
    data = {"acids": x[order, :5], "colours": x[order, 5:]}
    y = y[order]

    inputs = {
        "acids": keras.Input(shape=(5,), name="acids"),
        "colours": keras.Input(shape=(8,), name="colours"),
    }
    a = layers.Dense(8, activation="relu")(inputs["acids"])
    c = layers.Dense(8, activation="relu")(inputs["colours"])
    merged = layers.concatenate([a, c])
    outputs = layers.Dense(3, activation="softmax", name="kind")(merged)
    model = keras.Model(inputs, outputs)
    assert len(model.inputs) == 2
    assert model.input_shape == [(None, 5), (None, 8)]

    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"]
    )
    model.optimizer.learning_rate = 0.02
    first = model.fit(data, y, batch_size=32, epochs=5, validation_split=0.25, verbose=0)
    assert first.history["val_sparse_categorical_accuracy"][-1] > 0.9

    # the order of the dict does not matter, nor whether fit goes on from here
    swapped = {"colours": data["colours"], "acids": data["acids"]}
    np.testing.assert_array_equal(model.predict(swapped, verbose=0), model.predict(data, verbose=0))
    more = model.fit(swapped, y, epochs=7, initial_epoch=5, verbose=0)
    assert more.epoch == [5, 6]
    assert more.history["loss"][-1] < first.history["loss"][0]

    # called with a dict, the model gives a tensor; tf.data-like generators of dicts work too
    one = {name: values[:1] for name, values in data.items()}
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(one)), model.predict(one, verbose=0), rtol=1e-5
    )

    def batches():
        for start in range(0, 160, 32):
            part = slice(start, start + 32)
            yield {name: values[part] for name, values in data.items()}, y[part]

    scores = model.evaluate(batches(), verbose=0)
    direct = model.evaluate({k: v[:160] for k, v in data.items()}, y[:160], verbose=0)
    np.testing.assert_allclose(scores, direct, rtol=1e-5)
    return {"loss": more.history["loss"], "scores": scores}


if __name__ == "__main__":
    print(main())
