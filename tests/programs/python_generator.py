"""Training, evaluating and predicting from Python generators and iterators."""

import numpy as np
from sklearn.datasets import load_wine

import gpunn as keras
from gpunn import layers


def batches(x, y, batch_size, seed):
    """Endless shuffled batches."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            yield x[rows], y[rows]


def one_pass(*arrays, batch_size=50):
    for start in range(0, len(arrays[0]), batch_size):
        yield tuple(a[start : start + batch_size] for a in arrays)


def named(x, y, batch_size=64):
    while True:
        rows = np.random.default_rng(0).choice(len(x), batch_size)
        inputs = {"chemistry": x[rows, :8], "colour": x[rows, 8:]}
        weights = {"kind": np.ones(batch_size), "alcohol": np.full(batch_size, 0.5)}
        yield inputs, {"kind": y[rows], "alcohol": x[rows, :1]}, weights


def main():
    keras.utils.set_random_seed(12)
    x, y = load_wine(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    model = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(3)])
    model.compile(
        optimizer=keras.optimizers.Adam(0.02),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )
    history = model.fit(
        batches(x, y, 32, seed=0),
        steps_per_epoch=5,
        epochs=6,
        validation_data=batches(x, y, 44, seed=1),
        validation_steps=4,
        verbose=0,
    )
    assert history.params["steps"] == 5 and len(history.epoch) == 6
    assert history.history["val_acc"][-1] > 0.9
    assert int(model.optimizer.iterations) == 30

    by_generator = model.evaluate(one_pass(x, y), verbose=0)
    np.testing.assert_allclose(by_generator, model.evaluate(x, y, verbose=0), rtol=1e-4)
    predicted = model.predict(one_pass(x), verbose=0)
    np.testing.assert_allclose(predicted, model.predict(x, verbose=0), atol=1e-5)
    once = model.fit(one_pass(x, y), verbose=0)
    assert once.epoch == [0]
    endless = ((part,) for part, _ in batches(x, y, 10, seed=2))
    assert model.predict(endless, steps=3, verbose=0).shape == (30, 3)

    chemistry, colour = keras.Input((8,), name="chemistry"), keras.Input((5,), name="colour")
    both = layers.concatenate([chemistry, colour])
    outputs = {
        "kind": layers.Dense(3, activation="softmax", name="kind")(both),
        "alcohol": layers.Dense(1, name="alcohol")(both),
    }
    two = keras.Model({"chemistry": chemistry, "colour": colour}, outputs)
    two.compile(
        "adam",
        loss={"kind": "sparse_categorical_crossentropy", "alcohol": "mse"},
        loss_weights={"kind": 1.0, "alcohol": 0.5},
    )
    loss = two.fit(named(x, y), steps_per_epoch=4, epochs=2, verbose=0).history
    assert loss["kind_loss"][1] < loss["kind_loss"][0]
    return {"history": history.history["loss"], "predicted": predicted}
