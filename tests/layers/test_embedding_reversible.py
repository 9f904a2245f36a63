"""ReversibleEmbedding: there and back as Keras, tied and with weights of its own."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
E = RNG.standard_normal((7, 4)).astype("float32")
BACK = RNG.standard_normal((4, 7)).astype("float32")
TOKENS = RNG.integers(0, 7, (12, 5))


def model(home, tied, optimizer):
    embedding = home.layers.ReversibleEmbedding(7, 4, tie_weights=tied, logit_soft_cap=3.0)
    x = home.Input((5,), dtype="int32")
    made = home.Model(x, embedding(embedding(x), reverse=True))
    made.set_weights([E] if tied else [E, BACK])
    made.compile(optimizer, home.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


@pytest.mark.parametrize(("tied", "optimizer"), [(True, "sgd"), (True, "adam"), (False, "adagrad")])
def test_trains_as_keras(tied, optimizer):
    """Recorded; the gradients of the rows and of the way back meet in the same weights."""
    made = [model(home, tied, optimizer) for home in (gpunn, keras)]
    losses = [
        m.fit(TOKENS, TOKENS[:, ::-1], batch_size=3, epochs=2, shuffle=False, verbose=0).history
        for m in made
    ]
    np.testing.assert_allclose(losses[0]["loss"], losses[1]["loss"], rtol=1e-5)
    for ours, theirs in zip(*(m.get_weights() for m in made), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert made[0].output_shape == (None, 5, 7)


@pytest.mark.parametrize(("tied", "optimizer"), [(True, "sgd"), (False, "adam")])
def test_fit_on_the_simulated_gpu_equals_the_cpu(simulated_gpu, tied, optimizer):
    weights = []
    for device in ("cpu", "gpu:0"):
        with gpunn.device(device):
            made = model(gpunn, tied, optimizer)
            made.fit(TOKENS, TOKENS[:, ::-1], batch_size=3, epochs=1, shuffle=False, verbose=0)
            weights.append(made.get_weights())
    for cpu, gpu in zip(*weights, strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("more", [{}, {"reverse_dtype": "float32"}])
def test_dtypes_masks_and_config_as_keras(more):
    options = {"mask_zero": True, "dtype": "mixed_float16", "name": "e", **more}
    ours, theirs = (home.ReversibleEmbedding(7, 4, **options) for home in (layers, keras.layers))
    for layer in (ours, theirs):
        layer.build(None)
        layer.set_weights([E])
    y, known = ours(TOKENS), theirs(TOKENS)
    np.testing.assert_array_equal(y._keras_mask, TOKENS != 0)
    logits, expected = ours(y, reverse=True), theirs(known, reverse=True)
    assert logits.dtype == str(expected.dtype)
    np.testing.assert_allclose(logits.numpy(), np.asarray(expected), rtol=4e-3, atol=4e-3)
    config, known = ours.get_config(), theirs.get_config()
    for key in ("dtype", "embeddings_initializer", "quantization_config"):
        known.pop(key), config.pop(key, None)
    assert config == known
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == ours.get_config()
    for shape, reverse in (((None, 5), False), ((None, 5, 4), True)):
        assert ours.compute_output_shape(shape, reverse=reverse) == tuple(
            theirs.compute_output_shape(shape, reverse=reverse)
        )


@pytest.mark.parametrize("tied", [True, False])
def test_gradient(tied):
    layer = layers.ReversibleEmbedding(7, 4, tied, logit_soft_cap=2.0, dtype="float64")
    layer.build(None)
    c = RNG.standard_normal((12, 5, 7))

    def loss():
        return ops.sum(layer(ops.tanh(layer(TOKENS)), reverse=True) * c)

    with gpunn.GradientTape() as tape:
        y = loss()
    gradients = tape.gradient(y, layer.trainable_variables)
    assert len(gradients) == 2 - tied
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        start = variable.numpy().copy()
        slopes = np.zeros_like(start)
        for at in np.ndindex(*start.shape):
            values = []
            for sign in (1, -1):
                moved = start.copy()
                moved[at] += sign * 1e-6
                variable.assign(moved)
                values.append(float(loss().numpy()))
            slopes[at] = (values[0] - values[1]) / 2e-6
        variable.assign(start)
        np.testing.assert_allclose(ops.convert_to_tensor(gradient), slopes, rtol=1e-6, atol=1e-7)


def test_errors():
    with pytest.raises(ValueError, match="logit_soft_cap must be positive or None, received 0"):
        layers.ReversibleEmbedding(7, 4, logit_soft_cap=0)
    with pytest.raises(ValueError, match=r"output_dim=4\), received \(2, 5\)"):
        layers.ReversibleEmbedding(7, 4)(np.zeros((2, 5)), reverse=True)
    with pytest.raises(ValueError, match="quantization_config is not supported"):
        layers.ReversibleEmbedding(7, 4, quantization_config=3)
