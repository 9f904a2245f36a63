"""Layers that prepare inputs, against Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (2, 5, 6, 3)).astype("float32")
CASES = [
    ("Rescaling", {"scale": 2.0}, X),
    ("Rescaling", {"scale": [0.5, 1.0, 2.0], "offset": [1.0, 2.0, 3.0]}, X),
    ("Rescaling", {"scale": 0.1, "offset": 1}, X.astype("uint8")),
    ("Resizing", {"height": 3, "width": 8}, X),
    ("Resizing", {"height": 3, "width": 8, "interpolation": "nearest"}, X[0]),
    ("Resizing", {"height": 3, "width": 4, "crop_to_aspect_ratio": True, "antialias": True}, X),
    ("Resizing", {"height": 3, "width": 4, "data_format": "channels_first"}, X),
    ("Resizing", {"height": 3, "width": 8}, X.astype("uint8")),
    ("CenterCrop", {"height": 3, "width": 3}, X),
    ("CenterCrop", {"height": 2, "width": 3, "data_format": "channels_first"}, X[0]),
    ("CenterCrop", {"height": 7, "width": 3}, X),
    ("Normalization", {"mean": 3.0, "variance": 2.0}, X),
    ("Normalization", {"mean": [1.0, 2.0, 3.0], "variance": [2.0, 4.0, 0.0]}, X),
    ("Normalization", {"mean": 3.0, "variance": 2.0, "axis": None, "invert": True}, X),
]
every_case = pytest.mark.parametrize(("name", "options", "x"), CASES)


@every_case
def test_as_keras(name, options, x):
    ours = getattr(layers, name)(name="a", **options)
    theirs = getattr(keras.layers, name)(name="a", **options)
    y, expected = ours(x), np.asarray(theirs(x))
    assert y.dtype == str(expected.dtype)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-3)
    assert ours.compute_output_shape(x.shape) == expected.shape
    config, known = ours.get_config(), theirs.get_config()
    assert set(config) == set(known) - {"quantization_config"}
    assert ours.supports_masking == theirs.supports_masking
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == config
    np.testing.assert_array_equal(again(x).numpy(), y.numpy())


@pytest.mark.parametrize("axis", [-1, None, (1, 3)])
def test_adapt(axis):
    ours, theirs = layers.Normalization(axis=axis), keras.layers.Normalization(axis=axis)
    ours.adapt(X)
    theirs.adapt(X)
    np.testing.assert_allclose(ours(X).numpy(), np.asarray(theirs(X)), rtol=1e-4, atol=1e-4)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    batches = layers.Normalization(axis=axis)
    batches.adapt([X[:1], (X[1:], None)])
    np.testing.assert_allclose(batches(X).numpy(), ours(X).numpy(), rtol=1e-5, atol=1e-5)
    tensor = layers.Normalization(axis=axis)
    tensor.adapt(gpunn.ops.convert_to_tensor(X))
    np.testing.assert_array_equal(tensor(X).numpy(), ours(X).numpy())
    assert not ours.trainable_weights


def test_recorded_equals_eager():
    weights = []
    for jit_compile in (False, True):
        gpunn.utils.set_random_seed(1)
        model = gpunn.Sequential(
            [
                gpunn.Input((5, 6, 3)),
                layers.Rescaling([0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0]),
                layers.Normalization(),
                layers.Resizing(3, 3, antialias=True),
                layers.CenterCrop(2, 3),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )
        model.layers[1].adapt(X)
        model.compile("sgd", "mse", jit_compile=jit_compile)
        for _ in range(5):
            model.train_on_batch(X, np.ones((2, 1), "float32"))
        weights.append(model.get_weights())
    (step,) = [s for r in model._step.recordings.values() for s in r.steps.values()]
    assert step.program is not None
    for eager, recorded in zip(*weights, strict=True):
        np.testing.assert_array_equal(eager, recorded)


def adapted():
    layer = layers.Normalization(name="a")
    layer.adapt(X)
    return layer


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.Normalization(mean=1.0), "mean and variance go together"),
        (lambda: layers.Normalization(mean=[1.0], variance=1.0), "have one shape"),
        (lambda: layers.Normalization(axis=4, name="a")(X), "axis .4,. does not exist"),
        (
            lambda: layers.Normalization(axis=1).compute_output_shape((None, None, 3)),
            "must be known",
        ),
        (lambda: layers.Normalization().adapt([]), "received no data"),
        (lambda: adapted().adapt(X[..., :2]), "adapt.. received data of shape .2, 5, 6, 2."),
        (lambda: layers.Normalization(mean=1.0, variance=1.0).adapt(X), "a given mean"),
        (lambda: layers.Resizing(0, 3), "must be a positive integer or 2 of them"),
        (lambda: layers.Resizing(2, 3, interpolation="linear"), "Unknown interpolation"),
        (
            lambda: layers.Resizing(2, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
            "exclude each other",
        ),
        (lambda: layers.CenterCrop(2, 2.5), "must be a positive integer"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_adapt_takes_no_other_things():
    with pytest.raises(TypeError, match="received int"):
        layers.Normalization().adapt(3)
