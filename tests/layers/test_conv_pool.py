"""A convolution that pools for the layer behind it computes what the two compute apart."""

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops
from gpunn.backend.kernel import registry

RNG = np.random.default_rng(0)
FUSED = "conv_max_pool_forward"


def calls(monkeypatch, model, x):
    """The names of the kernels of a call."""
    seen = []
    original = type(registry[FUSED]).__call__

    def note(kernel, *arrays, **options):
        seen.append(kernel.name)
        return original(kernel, *arrays, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(registry[FUSED]), "__call__", note)
        model(x)
    return seen


CASES = {
    "relu": ((9, 8, 3), lambda: [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D()]),
    "linear, no bias": (
        (9, 8, 3),
        lambda: [layers.Conv2D(4, 3, 2, "same", use_bias=False), layers.MaxPooling2D(3, 2, "same")],
    ),
    "groups": ((12, 4), lambda: [layers.Conv1D(4, 3, groups=2), layers.MaxPooling1D(3)]),
    "volumes": ((5, 6, 4, 1), lambda: [layers.Conv3D(2, 2), layers.MaxPooling3D()]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_training_is_the_same_as_apart(name, dtype, monkeypatch):
    shape, make = CASES[name]
    x = RNG.normal(size=(12, *shape)).astype(dtype)
    y = RNG.normal(size=(12, 1)).astype(dtype)
    results = []
    for together in (True, False):
        gpunn.utils.set_random_seed(1)
        pair = make()
        for layer in pair:
            layer.dtype = layer._compute_dtype = dtype
        if not together:
            pair[0].pools_with = lambda *_: False
        model = gpunn.Sequential([gpunn.Input(shape), *pair, layers.Flatten(), layers.Dense(1)])
        model.compile(gpunn.optimizers.SGD(0.01), "mse", jit_compile=True)
        losses = [model.train_on_batch(x, y) for _ in range(6)]
        assert (FUSED in calls(monkeypatch, model, x)) == together
        results.append((losses, *model.get_weights()))
    tolerance = 1e-5 if dtype != "float16" else 2e-2
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


class MyPooling(layers.MaxPooling2D):
    def call(self, x):
        return super().call(x) + 1


class MyConv(layers.Conv2D):
    def call(self, x):
        return super().call(x) * 2


APART = {
    "sigmoid": lambda: [layers.Conv2D(2, 2, activation="sigmoid"), layers.MaxPooling2D()],
    "average": lambda: [layers.Conv2D(2, 2), layers.AveragePooling2D(2)],
    "channels first": lambda: [
        layers.Conv2D(2, 2, data_format="channels_first"),
        layers.MaxPooling2D(data_format="channels_first"),
    ],
    "activity": lambda: [layers.Conv2D(2, 2, activity_regularizer="l2"), layers.MaxPooling2D()],
    "own pooling": lambda: [layers.Conv2D(2, 2), MyPooling()],
    "own convolution": lambda: [MyConv(2, 2), layers.MaxPooling2D()],
    "another dtype": lambda: [layers.Conv2D(2, 2), layers.MaxPooling2D(dtype="float64")],
    "end": lambda: [layers.MaxPooling2D(), layers.Conv2D(2, 2)],
}


@pytest.mark.parametrize("name", APART)
def test_others_stay_apart(name, monkeypatch):
    model = gpunn.Sequential([gpunn.Input((6, 6, 6)), *APART[name]()])
    x = RNG.normal(size=(2, 6, 6, 6)).astype("float32")
    model(x)
    assert FUSED not in calls(monkeypatch, model, x)


def test_shapes_of_both_layers_are_known():
    model = gpunn.Sequential([layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D()])
    x = RNG.normal(size=(2, 9, 9, 3)).astype("float32")
    first, later = model(x), model(x)
    np.testing.assert_array_equal(first, later)
    assert [layer._first_output for layer in model.layers] == [(2, 7, 7, 4), (2, 3, 3, 4)]


def test_large_images_are_gathered_in_rows(monkeypatch):
    from gpunn.ops import columns

    x = RNG.normal(size=(3, 20, 10, 2)).astype("float32")
    model = gpunn.Sequential([layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D()])
    model(x)
    whole = ops.convert_to_numpy(model(x))
    for limit in (1, 3000, 20_000):
        monkeypatch.setattr(columns, "CHUNK", limit)
        np.testing.assert_allclose(model(x), whole, rtol=1e-6)
