"""Optimizers of one's own: sign descent with momentum, and a change of how SGD steps."""

import numpy as np
from sklearn.datasets import load_breast_cancer

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


class Lionlike(keras.optimizers.Optimizer):
    """w ← w - lr · sign(β m + (1 - β) g),  m ← β m + (1 - β) g"""

    def __init__(self, learning_rate=0.01, beta=0.9, name="lionlike", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.beta = beta

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums = []
        for variable in variables:
            self._momentums.append(
                self.add_variable_from_reference(reference_variable=variable, name="momentum")
            )

    def update_step(self, gradient, variable, learning_rate):
        lr = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        m = self._momentums[self._get_variable_index(variable)]
        step = self.beta * m + (1 - self.beta) * gradient
        self.assign(m, step)
        self.assign_sub(variable, ops.multiply(lr, ops.sign(step)))

    def get_config(self):
        config = super().get_config()
        config.update({"beta": self.beta})
        return config


class CentralisedSGD(keras.optimizers.SGD):
    """SGD whose gradient of a matrix has columns of mean 0."""

    def update_step(self, gradient, variable, learning_rate):
        if len(gradient.shape) > 1:
            gradient = gradient - ops.mean(gradient, axis=0, keepdims=True)
        super().update_step(gradient, variable, learning_rate)


def train(optimizer, x, y):
    keras.utils.set_random_seed(6)
    model = keras.Sequential([keras.Input((x.shape[1],)), layers.Dense(1, activation="sigmoid")])
    start = model.get_weights()[0]
    model.compile(optimizer=optimizer, loss="binary_crossentropy")
    loss = model.fit(x, y, batch_size=64, epochs=4, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    return start, model


def main():
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")[:128]
    y = y[:128].astype("float32")

    optimizer = Lionlike(learning_rate=0.02, beta=0.8, weight_decay=0.001)
    start, model = train(optimizer, x, y)
    steps = int(optimizer.iterations)
    assert steps == 8
    assert len(optimizer.variables) >= 4  # iterations, the rate, two momentums
    moved = np.abs(model.get_weights()[0] - start)
    assert moved.max() <= 0.02 * steps * 1.01

    config = optimizer.get_config()
    assert config["beta"] == 0.8 and config["weight_decay"] == 0.001
    again = Lionlike.from_config(config)
    assert float(again.learning_rate) == float(optimizer.learning_rate)

    by_hand = keras.Variable([1.0, -1.0, 0.0])
    small = Lionlike(0.5, beta=0.0)
    small.apply_gradients([(ops.convert_to_tensor([2.0, -3.0, 0.0]), by_hand)])
    np.testing.assert_allclose(by_hand.numpy(), [0.5, -0.5, 0.0])
    small.apply([ops.convert_to_tensor([-1.0, 0.0, 1.0])], [by_hand])
    np.testing.assert_allclose(by_hand.numpy(), [1.0, -0.5, -0.5])

    start, centred = train(CentralisedSGD(0.5, momentum=0.5), x, y)
    mean_of_columns = (centred.get_weights()[0] - start).mean(axis=0)
    np.testing.assert_allclose(mean_of_columns, 0, atol=1e-6)
    return {"lionlike": model.get_weights()[0], "centred": centred.get_weights()[0]}
