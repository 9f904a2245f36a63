"""The fast gradient sign method: small changes of the input that raise the loss the most."""

import itertools

import numpy as np
from sklearn.datasets import load_breast_cancer

import gpunn as keras
from gpunn import layers, ops

loss_object = keras.losses.BinaryCrossentropy(from_logits=True)


def create_adversarial_pattern(model, inputs, labels):
    inputs = ops.convert_to_tensor(inputs)
    with keras.GradientTape() as tape:
        tape.watch(inputs)
        prediction = model(inputs, training=False)
        loss = loss_object(labels, prediction)
    gradient = tape.gradient(loss, inputs)
    return ops.sign(gradient)


def main():
    keras.utils.set_random_seed(25)
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")[:96]
    y = y[:96, None].astype("float32")
    model = keras.Sequential([keras.Input((30,)), layers.Dense(1, kernel_regularizer="l2")])
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=loss_object,
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    model.fit(x, y, epochs=3, batch_size=32, verbose=0)
    weights = model.get_weights()

    pattern = create_adversarial_pattern(model, x, y)
    assert set(np.unique(pattern)) <= {-1.0, 0.0, 1.0}
    by_hand = np.sign(np.where(y == 1, -1.0, 1.0) * np.sign(weights[0][:, 0]))
    np.testing.assert_array_equal(pattern, by_hand)

    accuracies = []
    for epsilon in (0.0, 0.1, 0.5, 1.0):
        adversarial = ops.clip(x + epsilon * pattern, -5.0, 5.0)
        assert adversarial.dtype == "float32"
        accuracies.append(model.evaluate(adversarial, y, verbose=0)[1])
    assert accuracies[0] > 0.8 and accuracies[-1] < 0.5
    assert all(b <= a for a, b in itertools.pairwise(accuracies))
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    for _ in range(2):  # adversarial training
        noisy = ops.convert_to_numpy(x + 0.3 * create_adversarial_pattern(model, x, y))
        model.train_on_batch(np.concatenate([x, noisy]), np.concatenate([y, y]))
    return {"accuracies": accuracies, "weights": model.get_weights()[0]}
