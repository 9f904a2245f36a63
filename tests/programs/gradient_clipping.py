"""`clipvalue`, `clipnorm` and `global_clipnorm`: how far one step of SGD may go."""

import numpy as np

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def one_step(**clipping):
    """The change of each weight in one step with a learning rate of 1."""
    keras.utils.set_random_seed(15)
    rng = np.random.default_rng(15)
    x = 10 * rng.normal(size=(16, 4)).astype("float32")
    y = 10 * rng.normal(size=(16, 1)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(1)])
    before = model.get_weights()
    optimizer = keras.optimizers.SGD(learning_rate=1.0, **clipping)
    model.compile(optimizer=optimizer, loss="mean_squared_error")
    model.train_on_batch(x, y)
    return [b - a for a, b in zip(model.get_weights(), before, strict=True)]


def main():
    plain = one_step()
    norms = [np.linalg.norm(g) for g in plain]
    everything = np.sqrt(sum(n**2 for n in norms))
    assert max(norms) > 1

    by_value = one_step(clipvalue=0.5)
    by_norm = one_step(clipnorm=0.5)
    by_global_norm = one_step(global_clipnorm=0.5)
    for g, norm, value, each, total in zip(
        plain, norms, by_value, by_norm, by_global_norm, strict=True
    ):
        np.testing.assert_allclose(value, np.clip(g, -0.5, 0.5), atol=1e-5)
        np.testing.assert_allclose(each, g * min(1.0, 0.5 / norm), atol=1e-5)
        np.testing.assert_allclose(total, g * 0.5 / everything, atol=1e-5)

    for options in ({"clipnorm": 1.0, "clipvalue": 1.0}, {"clipnorm": 1.0, "global_clipnorm": 1.0}):
        try:
            keras.optimizers.Adam(**options)
        except ValueError:
            continue
        raise AssertionError(f"{options} exclude each other.")
    config = keras.optimizers.Adam(global_clipnorm=2.0).get_config()
    assert config["global_clipnorm"] == 2.0 and config["clipnorm"] is None
    return {"norms": norms, "value": by_value[0], "norm": by_norm[0], "global": by_global_norm[0]}
