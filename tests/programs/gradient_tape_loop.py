"""A training loop written out: batches, GradientTape, metrics, a validation each epoch."""

import numpy as np
from sklearn.datasets import load_wine

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


def batches(x, y, batch_size, rng):
    order = rng.permutation(len(x))
    for start in range(0, len(x), batch_size):
        rows = order[start : start + batch_size]
        yield x[rows], y[rows]


def main():
    keras.utils.set_random_seed(19)
    rng = np.random.default_rng(19)
    x, y = load_wine(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    x_train, y_train, x_val, y_val = x[:140], y[:140], x[140:], y[140:]

    inputs = keras.Input(shape=(13,), name="measurements")
    h = layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.l2(1e-3))(inputs)
    outputs = layers.Dense(3, name="predictions")(h)
    model = keras.Model(inputs=inputs, outputs=outputs)

    optimizer = keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.2, decay_steps=10, decay_rate=0.9)
    )
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    train_acc_metric = keras.metrics.SparseCategoricalAccuracy()
    val_acc_metric = keras.metrics.SparseCategoricalAccuracy()

    losses, accuracies = [], []
    for _epoch in range(4):
        for x_batch, y_batch in batches(x_train, y_train, 20, rng):
            with keras.GradientTape() as tape:
                logits = model(x_batch, training=True)
                loss_value = loss_fn(y_batch, logits)
                loss_value += sum(model.losses)
            grads = tape.gradient(loss_value, model.trainable_weights)
            optimizer.apply_gradients(zip(grads, model.trainable_weights))
            train_acc_metric.update_state(y_batch, logits)
            losses.append(float(loss_value))
        train_acc = float(train_acc_metric.result())
        train_acc_metric.reset_state()

        for x_batch, y_batch in batches(x_val, y_val, 19, rng):
            val_acc_metric.update_state(y_batch, model(x_batch, training=False))
        accuracies.append([train_acc, float(val_acc_metric.result())])
        val_acc_metric.reset_state()

    assert int(optimizer.iterations) == 28
    np.testing.assert_allclose(float(optimizer.learning_rate), 0.2 * 0.9**2.8, rtol=1e-5)
    assert np.mean(losses[-7:]) < np.mean(losses[:7]) / 2
    assert accuracies[-1][1] > 0.9
    assert ops.argmax(model(x_val), axis=-1).shape == (38,)
    return {"losses": losses, "accuracies": accuracies}


if __name__ == "__main__":
    print(main())
