"""An ensemble: several small networks, and one model that averages what they say."""

import numpy as np
from sklearn.datasets import load_iris

import gpunn as keras
from gpunn import layers, ops


def make_member(seed):
    initializer = keras.initializers.GlorotUniform(seed=seed)
    model = keras.Sequential(name=f"member_{seed}")
    model.add(keras.Input(shape=(4,)))
    model.add(layers.Dense(6, activation="tanh", kernel_initializer=initializer))
    model.add(layers.Dense(3, kernel_initializer=initializer))
    model.add(layers.Softmax())
    return model


def main():
    keras.utils.set_random_seed(23)
    x, y = load_iris(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    one_hot = keras.utils.to_categorical(y, 3)

    members = [make_member(seed) for seed in (1, 2)]
    for member in members:
        member.compile(optimizer=keras.optimizers.Adam(0.05), loss="categorical_crossentropy")
        member.fit(x, one_hot, epochs=4, batch_size=75, verbose=0)

    inputs = keras.Input(shape=(4,))
    outputs = [member(inputs) for member in members]
    ensemble = keras.Model(inputs, layers.Average()(outputs), name="ensemble")
    assert len(ensemble.weights) == 8 and ensemble.count_params() == 2 * 51

    together = ensemble.predict(x, verbose=0)
    each = np.array([member.predict(x, verbose=0) for member in members])
    np.testing.assert_allclose(together, each.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=-1), 1, rtol=1e-5)

    weight = keras.Variable([0.25, 0.75], trainable=False)
    stacked = ops.stack([member(x) for member in members], axis=0)
    weighted = ops.sum(stacked * ops.reshape(weight, (2, 1, 1)), axis=0)
    np.testing.assert_allclose(weighted, 0.25 * each[0] + 0.75 * each[1], atol=1e-6)

    top = np.array(ops.argmax(together, axis=-1))
    accuracy = float((top == y).mean())
    assert accuracy > 0.7
    for member in members:
        member.trainable = False
    assert not ensemble.trainable_variables
    return {"together": together, "weighted": weighted, "accuracy": accuracy}
