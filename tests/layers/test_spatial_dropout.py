"""Dropout of feature maps, and dropout that keeps SELU's moments."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops

keras = pytest.importorskip("keras")

SPATIAL = [
    ("SpatialDropout1D", {}, (40, 5, 30), (1,)),
    ("SpatialDropout2D", {}, (40, 3, 4, 30), (1, 2)),
    ("SpatialDropout2D", {"data_format": "channels_first"}, (40, 30, 3, 4), (2, 3)),
    ("SpatialDropout3D", {}, (40, 2, 3, 2, 30), (1, 2, 3)),
    ("SpatialDropout3D", {"data_format": "channels_first"}, (40, 30, 2, 3, 2), (2, 3, 4)),
]
every_spatial = pytest.mark.parametrize(("name", "options", "shape", "shared"), SPATIAL)


@every_spatial
def test_whole_maps_are_dropped(name, options, shape, shared):
    layer = getattr(layers, name)(0.4, seed=3, **options)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    np.testing.assert_array_equal(layer(x).numpy(), x)
    y = layer(x, training=True).numpy()
    dropped = (y == 0).all(axis=shared)
    np.testing.assert_array_equal((y == 0).any(axis=shared), dropped)
    assert dropped.mean() == pytest.approx(0.4, abs=0.06)
    kept = np.expand_dims(~dropped, shared) & np.ones(shape, bool)
    np.testing.assert_allclose(y[kept], x[kept] / 0.6, rtol=1e-6)
    assert not np.array_equal(layer(x, training=True).numpy(), y)
    again = getattr(layers, name)(0.4, seed=3, **options)
    np.testing.assert_array_equal(again(x, training=True).numpy(), y)


@every_spatial
def test_config_as_keras(name, options, shape, shared):
    ours = getattr(layers, name)(0.4, seed=3, name="a", **options)
    theirs = getattr(keras.layers, name)(0.4, seed=3, name="a", **options)
    assert ours.get_config() == theirs.get_config()
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == ours.get_config()
    assert ours.supports_masking == theirs.supports_masking
    assert ours.compute_output_shape((None, *shape[1:])) == (None, *shape[1:])


def test_gradient_flows_through_what_is_kept():
    layer = layers.SpatialDropout2D(0.5, seed=1)
    x = gpunn.Variable(np.ones((4, 3, 3, 8)), dtype="float32")
    with gpunn.GradientTape() as tape:
        y = layer(x, training=True)
        loss = ops.sum(y)
    np.testing.assert_array_equal(tape.gradient(loss, x).numpy(), y.numpy())


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).normal(size=(500, 400)).astype("float32")
    layer = layers.AlphaDropout(0.3, seed=1)
    np.testing.assert_array_equal(layer(x).numpy(), x)
    y = layer(x, training=True).numpy()
    assert y.mean() == pytest.approx(0, abs=0.01)
    assert y.std() == pytest.approx(1, abs=0.01)
    saturation = -1.6732632423543772848 * 1.0507009873554804934
    a = (0.7 * (1 + 0.3 * saturation**2)) ** -0.5
    b = -a * saturation * 0.3
    dropped = np.abs(y - (a * saturation + b)) < 1e-5
    assert dropped.mean() == pytest.approx(0.3, abs=0.01)
    np.testing.assert_allclose(y[~dropped], a * x[~dropped] + b, rtol=1e-4, atol=1e-5)


def test_alpha_dropout_noise_shape_and_gradient():
    x = gpunn.Variable(np.random.default_rng(0).normal(size=(6, 5, 4)), dtype="float64")
    layer = layers.AlphaDropout(0.5, noise_shape=(None, 1, 4), seed=3, dtype="float64")
    with gpunn.GradientTape() as tape:
        loss = ops.sum(layer(x, training=True))
    slope = tape.gradient(loss, x).numpy()
    np.testing.assert_array_equal(slope, np.broadcast_to(slope[:, :1], slope.shape))
    saturation = -1.6732632423543772848 * 1.0507009873554804934
    a = (0.5 * (1 + 0.5 * saturation**2)) ** -0.5
    np.testing.assert_allclose(np.unique(slope.round(12)), [0, a], rtol=1e-9)


def test_alpha_dropout_config_as_keras():
    ours = layers.AlphaDropout(0.4, noise_shape=(None, 1), seed=3, name="a")
    theirs = keras.layers.AlphaDropout(0.4, noise_shape=(None, 1), seed=3, name="a")
    config, expected = ours.get_config(), theirs.get_config()
    assert set(config) == set(expected) - {"quantization_config"}
    assert all(config[k] == expected[k] for k in ("rate", "noise_shape", "seed", "trainable"))
    assert layers.deserialize(layers.serialize(ours)).get_config() == config
    x = np.ones((3, 2), "float32")
    np.testing.assert_array_equal(layers.AlphaDropout(0)(x, training=True).numpy(), x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: layers.SpatialDropout1D(1.5), "SpatialDropout1D: rate must lie in"),
        (lambda x: layers.AlphaDropout(-0.1), "AlphaDropout: rate must lie in"),
        (lambda x: layers.AlphaDropout(1.0), "AlphaDropout: rate must be below 1"),
        (lambda x: layers.SpatialDropout2D(0.1, data_format="last"), "Unknown data_format"),
        (lambda x: layers.SpatialDropout1D(0.1)(x), "expected ndim=3, found ndim=2"),
        (
            lambda x: layers.AlphaDropout(0.1, noise_shape=(1,), name="a")(x, training=True),
            "AlphaDropout 'a': noise_shape .1,. needs one length",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((3, 4), "float32"))


def test_recorded_equals_eager():
    weights = []
    for jit_compile in (False, True):
        gpunn.utils.set_random_seed(1)
        model = gpunn.Sequential(
            [
                gpunn.Input((5, 4)),
                layers.Dense(8, activation="selu"),
                layers.AlphaDropout(0.2),
                layers.SpatialDropout1D(0.3),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse", jit_compile=jit_compile)
        rng = np.random.default_rng(4)
        for _ in range(6):
            x, y = rng.normal(size=(8, 5, 4)), rng.normal(size=(8, 1))
            model.train_on_batch(x.astype("float32"), y.astype("float32"))
        weights.append(model.get_weights())
    (step,) = [s for r in model._step.recordings.values() for s in r.steps.values()]
    assert step.program is not None
    for eager, recorded in zip(*weights, strict=True):
        np.testing.assert_array_equal(eager, recorded)
