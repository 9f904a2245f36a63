"""A variational autoencoder: the sampling layer adds the KL loss with add_loss."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


class Sampling(layers.Layer):
    """z = mean + exp(log_var / 2) · noise; adds KL(q || N(0, 1))."""

    def __init__(self, kl_weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.kl_weight = kl_weight
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        kl_loss = -0.5 * ops.mean(1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var))
        self.add_loss(self.kl_weight * kl_loss)
        epsilon = keras.random.normal(shape=ops.shape(z_mean), seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


class Encoder(layers.Layer):
    def __init__(self, latent_dim=4, intermediate_dim=24, name="encoder", **kwargs):
        super().__init__(name=name, **kwargs)
        self.dense_proj = layers.Dense(intermediate_dim, activation="relu")
        self.dense_mean = layers.Dense(latent_dim)
        self.dense_log_var = layers.Dense(latent_dim)
        self.sampling = Sampling(kl_weight=0.01)

    def call(self, inputs):
        x = self.dense_proj(inputs)
        return self.sampling((self.dense_mean(x), self.dense_log_var(x)))


class VariationalAutoEncoder(keras.Model):
    def __init__(self, original_dim, name="autoencoder", **kwargs):
        super().__init__(name=name, **kwargs)
        self.encoder = Encoder()
        self.decoder = keras.Sequential(
            [layers.Dense(24, activation="relu"), layers.Dense(original_dim, activation="sigmoid")]
        )

    def call(self, inputs):
        return self.decoder(self.encoder(inputs))


def main():
    keras.utils.set_random_seed(12)
    x = (load_digits().data[:512] / 16).astype("float32")

    vae = VariationalAutoEncoder(64)
    vae.compile(keras.optimizers.Adam(learning_rate=1e-2), loss=keras.losses.MeanSquaredError())
    history = vae.fit(x, x, epochs=4, batch_size=64, verbose=0)
    assert history.history["loss"][-1] < 0.8 * history.history["loss"][0]

    y = vae(x[:8])
    assert y.shape == (8, 64) and len(vae.losses) == 1
    kl = float(vae.losses[0])
    assert kl > 0
    assert len(vae.non_trainable_variables) == 1  # the state of the seed generator
    total = vae.evaluate(x, x, verbose=0)
    drawn = vae.decoder.predict(np.zeros((2, 4), "float32"), verbose=0)
    assert np.all(drawn[0] == drawn[1])
    return {"loss": history.history["loss"], "kl": kl, "total": total, "drawn": drawn}


if __name__ == "__main__":
    print(main())
