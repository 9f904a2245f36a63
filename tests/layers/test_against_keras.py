"""Every layer against Keras on the same weights and inputs: values, shapes, configs, paths."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
CASES = [
    ("Dense", {"units": 3}, (4, 5)),
    ("Dense", {"units": 3, "activation": "relu"}, (4, 5)),
    ("Dense", {"units": 3, "activation": "sigmoid"}, (4, 5)),
    ("Dense", {"units": 3, "activation": "tanh"}, (4, 5)),
    ("Dense", {"units": 3, "activation": "softmax", "use_bias": False}, (4, 5)),
    ("Dense", {"units": 3, "activation": "gelu", "bias_initializer": "ones"}, (2, 4, 5)),
    ("Dense", {"units": 2, "kernel_regularizer": "l2"}, (2, 3, 4, 5)),
    ("Dense", {"units": 2, "kernel_constraint": "max_norm"}, (4, 5)),
    ("Flatten", {}, (4, 3, 2)),
    ("Flatten", {}, (4,)),
    ("Flatten", {"data_format": "channels_first"}, (2, 3, 4, 5)),
    ("Flatten", {"data_format": "channels_first"}, (2, 3, 4)),
    ("Flatten", {"data_format": "channels_first"}, (2, 3)),
    ("Reshape", {"target_shape": (3, 4)}, (2, 12)),
    ("Reshape", {"target_shape": (-1, 4)}, (2, 3, 8)),
    ("Reshape", {"target_shape": (24,)}, (2, 3, 8)),
    ("Permute", {"dims": (2, 1)}, (2, 3, 4)),
    ("Permute", {"dims": (3, 1, 2)}, (2, 3, 4, 5)),
    ("RepeatVector", {"n": 3}, (2, 4)),
    ("Activation", {"activation": "softplus"}, (4, 5)),
    ("Dropout", {"rate": 0.4}, (4, 5)),
    ("GaussianNoise", {"stddev": 0.4}, (4, 5)),
    ("GaussianDropout", {"rate": 0.4}, (4, 5)),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, (4, 5)),
    ("ReLU", {}, (4, 5)),
    ("ReLU", {"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.2}, (4, 5)),
    ("LeakyReLU", {}, (4, 5)),
    ("LeakyReLU", {"negative_slope": 0.05}, (4, 5)),
    ("PReLU", {}, (4, 5)),
    ("PReLU", {"alpha_initializer": "ones", "shared_axes": [1]}, (2, 3, 4)),
    ("ELU", {"alpha": 0.7}, (4, 5)),
    ("Softmax", {}, (4, 5)),
    ("Softmax", {"axis": 1}, (2, 3, 4)),
    ("Softmax", {"axis": [1, 2]}, (2, 3, 4)),
    ("Identity", {}, (4, 5)),
]  # fmt: skip
IDS = [f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]


def pair(name, options, shape):
    """Both layers with the same weights, and an input."""
    ours = getattr(layers, name)(name="layer", **options)
    theirs = getattr(keras.layers, name)(name="layer", **options)
    x = RNG.standard_normal(shape).astype("float32")
    ours(x)
    theirs(x)
    weights = [RNG.standard_normal(w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs, x


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
def test_value_shape_and_weights(name, options, shape):
    ours, theirs, x = pair(name, options, shape)
    y, expected = ours(x), np.asarray(theirs(x))
    assert y.dtype == "float32"
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        sum(float(v) for v in ours.losses), sum(float(v) for v in theirs.losses), rtol=1e-5
    )
    assert [(w.path, w.shape, w.trainable) for w in ours.weights] == [
        (w.path, tuple(w.shape), w.trainable) for w in theirs.weights
    ]


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
def test_compute_output_shape(name, options, shape):
    ours = getattr(layers, name)(**options)
    theirs = getattr(keras.layers, name)(**options)
    for given in (shape, (None, *shape[1:])):
        assert ours.compute_output_shape(given) == tuple(theirs.compute_output_shape(given))


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
def test_config_has_keras_keys_and_round_trips(name, options, shape):
    ours, theirs, x = pair(name, options, shape)
    config, expected = ours.get_config(), theirs.get_config()
    assert set(config) == set(expected) - {"quantization_config"}
    for key, value in expected.items():
        plain = value is None or isinstance(value, (str, int, float, tuple, list))
        if plain and key != "quantization_config":
            assert config[key] == value, key
    again = type(ours).from_config(config)
    assert again.get_config() == config
    rebuilt = layers.deserialize(layers.serialize(ours))
    rebuilt(x)
    rebuilt.set_weights(ours.get_weights())
    np.testing.assert_array_equal(rebuilt(x).numpy(), ours(x).numpy())


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
def test_gradients_against_differences(name, options, shape):
    """d Σ c·y / d (input, weights) in float64, c random."""
    layer = getattr(layers, name)(dtype="float64", **options)
    x = gpunn.Variable(RNG.standard_normal(shape), dtype="float64")
    c = RNG.standard_normal(layer(x).shape)
    for w in layer.weights:
        w.assign(RNG.standard_normal(w.shape))
    sources = [x, *layer.trainable_weights]
    with gpunn.GradientTape() as tape:
        loss = gpunn.ops.sum(layer(x) * c)
    for source, gradient in zip(sources, tape.gradient(loss, sources)):
        flat = source.data.reshape(-1)
        for i in range(0, flat.size, max(1, flat.size // 6)):
            middle, step = flat[i], 1e-6
            values = []
            for moved in (middle + step, middle - step):
                flat[i] = moved
                values.append(float(np.sum(layer(x).numpy() * c)))
            flat[i] = middle
            expected = (values[0] - values[1]) / (2 * step)
            assert gradient.numpy().reshape(-1)[i] == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_compute_dtype(name, options, shape, dtype):
    layer = getattr(layers, name)(dtype=dtype, **options)
    y = layer(RNG.standard_normal(shape).astype("float32"))
    assert y.dtype == dtype
    assert {w.dtype for w in layer.weights} <= {dtype}


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
def test_mask_passes_where_keras_passes_it(name, options, shape):
    ours, theirs, _ = pair(name, options, shape)
    assert ours.supports_masking == theirs.supports_masking


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=IDS)
def test_an_empty_batch(name, options, shape):
    ours, theirs, _ = pair(name, options, shape)
    empty = np.zeros((0, *shape[1:]), "float32")
    assert ours(empty).shape == np.asarray(theirs(empty)).shape


@pytest.mark.parametrize("name", ["Dropout", "GaussianNoise", "GaussianDropout"])
def test_noise_only_in_training(name):
    layer = getattr(layers, name)(0.5, seed=1)
    x = np.ones((50, 40), "float32")
    np.testing.assert_array_equal(layer(x).numpy(), x)
    y = layer(x, training=True).numpy()
    assert not np.array_equal(y, x)
    assert not np.array_equal(layer(x, training=True).numpy(), y)  # each call draws anew
    assert y.mean() == pytest.approx(1, abs=0.1)
    again = getattr(layers, name)(0.5, seed=1)
    np.testing.assert_array_equal(again(x, training=True).numpy(), y)


def test_moments_of_the_noise():
    x = np.ones((300, 300), "float32")
    dropped = layers.Dropout(0.3, seed=2)(x, training=True).numpy()
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.7)}
    assert (dropped == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert layers.GaussianNoise(0.3, seed=2)(x, training=True).numpy().std() == pytest.approx(
        0.3, abs=0.01
    )
    wide = layers.GaussianDropout(0.3, seed=2)(x, training=True).numpy()
    assert wide.std() == pytest.approx((0.3 / 0.7) ** 0.5, abs=0.01)


def test_dropout_noise_shape_shares_choices():
    x = np.ones((6, 5, 4), "float32")
    y = layers.Dropout(0.5, noise_shape=(None, 1, 4), seed=3)(x, training=True).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert {0.0, 2.0} == set(np.unique(y))


def test_dropout_of_everything_and_of_nothing():
    x = np.ones((3, 2), "float32")
    np.testing.assert_array_equal(layers.Dropout(1.0)(x, training=True).numpy(), 0 * x)
    np.testing.assert_array_equal(layers.Dropout(0.0)(x, training=True).numpy(), x)
    assert layers.Dropout(0)(x, training=True).dtype == "float32"


def test_softmax_with_mask_as_keras():
    x = RNG.standard_normal((3, 4)).astype("float32")
    mask = np.array([[1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 1, 1]], bool)
    ours = layers.Softmax()(x, mask=mask).numpy()
    theirs = np.asarray(keras.layers.Softmax()(x, mask=mask))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert (ours[~mask] == 0).all()


def test_softmax_over_two_axes_with_mask():
    x = RNG.standard_normal((2, 3, 4)).astype("float32")
    mask = RNG.uniform(size=x.shape) < 0.7
    ours = layers.Softmax(axis=[1, 2])(x, mask=mask).numpy()
    theirs = np.asarray(keras.layers.Softmax(axis=[1, 2])(x, mask=mask))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("options", [{}, {"output_shape": (2,)}, {"arguments": {"k": 3}}])
def test_lambda(options):
    def function(x, k=2):
        return x[:, :2] * k

    x = RNG.standard_normal((3, 4)).astype("float32")
    layer = layers.Lambda(function, **options)
    k = options.get("arguments", {}).get("k", 2)
    np.testing.assert_allclose(layer(x).numpy(), x[:, :2] * k)
    assert layer.compute_output_shape((None, 4)) == (None, 2)
    if "output_shape" not in options:
        assert gpunn.Sequential([layers.Input((4,)), layer]).output_shape == (None, 2)


def test_names_are_those_of_keras():
    gpunn.utils.clear_session()
    keras.utils.clear_session()
    for name, options, _ in CASES:
        ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
        assert ours.name == theirs.name
