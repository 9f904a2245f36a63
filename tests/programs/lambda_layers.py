"""`Lambda` layers, tensors in arithmetic, ops and slices between layers of a functional model."""

import numpy as np

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


def antirectifier(x):
    x = x - ops.mean(x, axis=-1, keepdims=True)
    x = x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-6)
    return ops.concatenate([ops.relu(x), ops.relu(-x)], axis=-1)


def main():
    keras.utils.set_random_seed(8)
    rng = np.random.default_rng(8)
    x = rng.normal(size=(32, 6)).astype("float32")
    y = np.linalg.norm(x[:, :3], axis=1, keepdims=True).astype("float32")

    inputs = keras.Input(shape=(6,), name="pair")
    left = layers.Lambda(lambda t: t[:, :3], name="left")(inputs)
    right = inputs[:, 3:]
    product = layers.Lambda(lambda pair: pair[0] * pair[1])([left, right])
    doubled = layers.Lambda(lambda t, factor: t * factor, arguments={"factor": 2.0})(left)
    rectified = layers.Lambda(antirectifier, output_shape=(6,), name="antirectifier")(left)
    total = ops.sum(left**2, axis=-1, keepdims=True) / 3.0 + 0.5 * doubled[:, 0:1]
    merged = ops.concatenate([product, rectified, total, 1.0 - left], axis=-1)
    assert merged.shape == (None, 13)
    hidden = layers.Dense(8, activation=lambda t: ops.tanh(t) * 1.5)(merged)
    hidden = ops.where(hidden > 0, hidden, 0.1 * hidden)
    hidden = ops.expand_dims(hidden, axis=1)
    hidden = ops.squeeze(hidden, axis=1) @ ops.ones((8, 4))
    outputs = layers.Dense(1)(-hidden)
    model = keras.Model(inputs=inputs, outputs=outputs, name="lambdas")

    parts = keras.Model(inputs, {"product": product, "doubled": doubled, "total": total})
    found = parts.predict(x, verbose=0)
    np.testing.assert_allclose(found["product"], x[:, :3] * x[:, 3:], rtol=1e-6)
    np.testing.assert_allclose(found["doubled"], 2 * x[:, :3], rtol=1e-6)
    by_hand = (x[:, :3] ** 2).sum(1, keepdims=True) / 3 + x[:, :1]
    np.testing.assert_allclose(found["total"], by_hand, rtol=1e-5, atol=1e-6)

    sequential = keras.Sequential(
        [keras.Input((6,)), layers.Lambda(lambda t: t**2), layers.Lambda(ops.sqrt)]
    )
    np.testing.assert_allclose(sequential.predict(x, verbose=0), np.abs(x), rtol=1e-5)
    assert sequential.count_params() == 0

    model.compile(optimizer="rmsprop", loss="mse")
    history = model.fit(x, y, epochs=5, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < history[0]
    return {"loss": history, **found}
