"""Regression of diabetes with residual blocks, a normalization adapted to the data, L2."""

import numpy as np
from sklearn.datasets import load_diabetes

import gpunn as keras
from gpunn import layers, regularizers


def residual_block(x, units, name):
    shortcut = x
    x = layers.LayerNormalization(name=f"{name}_norm")(x)
    x = layers.Dense(units, kernel_regularizer=regularizers.l2(1e-4), name=f"{name}_in")(x)
    x = layers.Activation("gelu")(x)
    x = layers.Dense(units, kernel_regularizer=regularizers.l2(1e-4), name=f"{name}_out")(x)
    if shortcut.shape[-1] != units:
        shortcut = layers.Dense(units, use_bias=False, name=f"{name}_project")(shortcut)
    return x + shortcut


def main():
    keras.utils.set_random_seed(6)
    x, y = load_diabetes(return_X_y=True, scaled=False)
    x, y = x.astype("float32"), (y / 100).astype("float32")

    normalization = layers.Normalization(axis=-1)
    normalization.adapt(x[:350])

    inputs = keras.Input(shape=(10,))
    h = normalization(inputs)
    for i in range(3):
        h = residual_block(h, 16, name=f"block_{i}")
    outputs = layers.Dense(1)(h)
    model = keras.Model(inputs, outputs)
    assert [w.name for w in model.get_layer("block_0_project").weights] == ["kernel"]
    assert len(model.losses) == 6

    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=5e-3, weight_decay=1e-3),
        loss="huber",
        metrics=[keras.metrics.RootMeanSquaredError(), "mae", keras.metrics.R2Score()],
    )
    history = model.fit(x[:350], y[:350], epochs=8, batch_size=32, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert set(history.history) == {"loss", "root_mean_squared_error", "mae", "r2_score"}

    scores = model.evaluate(x[350:], y[350:], verbose=0, return_dict=True)
    error = model.predict(x[350:], verbose=0)[:, 0] - y[350:]
    np.testing.assert_allclose(
        scores["root_mean_squared_error"], np.sqrt(np.mean(error**2)), rtol=1e-5
    )
    assert scores["r2_score"] > 0.2
    normalized = keras.ops.convert_to_numpy(normalization(x[:350]))
    np.testing.assert_allclose(normalized.std(axis=0), 1, rtol=1e-3)
    return scores


if __name__ == "__main__":
    print(main())
