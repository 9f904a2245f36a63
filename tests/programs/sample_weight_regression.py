"""Noisy measurements that count less: linear regression with `sample_weight`."""

import numpy as np

import gpunn as keras
from gpunn import layers


def make_data(rng):
    x = rng.normal(size=(96, 3)).astype("float32")
    y = x @ np.array([[1.0], [-2.0], [0.5]], dtype="float32") + 0.3
    bad = np.arange(96) % 4 == 0
    y[bad] += 20.0
    return x, y, np.where(bad, 0.0, 1.0).astype("float32")


def build():
    model = keras.Sequential([keras.Input(shape=(3,)), layers.Dense(1)])
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate=0.2),
        loss="mean_squared_error",
        metrics=["mae"],
        weighted_metrics=[keras.metrics.MeanAbsoluteError(name="weighted_mae")],
    )
    return model


def main():
    keras.utils.set_random_seed(812)
    x, y, weight = make_data(np.random.default_rng(0))

    model = build()
    history = model.fit(x, y, sample_weight=weight, batch_size=32, epochs=20, verbose=0)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel[:, 0], [1.0, -2.0, 0.5], atol=0.05)
    assert abs(bias[0] - 0.3) < 0.05
    assert history.history["weighted_mae"][-1] < 0.1 < history.history["mae"][-1]

    results = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    assert set(results) == {"loss", "mae", "weighted_mae"}
    as_list = model.evaluate(x, y, sample_weight=weight, verbose=0)
    assert as_list == [results["loss"], results["mae"], results["weighted_mae"]]
    on_batch = model.test_on_batch(x, y, sample_weight=weight, return_dict=True)
    np.testing.assert_allclose(on_batch["loss"], results["loss"], atol=1e-6)

    x_val, y_val = x[:32], y[:32]
    history = model.fit(
        x, y, sample_weight=weight, epochs=1, verbose=0,
        validation_data=(x_val, y_val, weight[:32]),
    )  # fmt: skip
    assert history.history["val_loss"][0] < 0.01
    return {"kernel": kernel, "bias": bias, **results}
