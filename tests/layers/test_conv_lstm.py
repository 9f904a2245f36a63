"""ConvLSTM1D, 2D and 3D against Keras on the same weights; recorded steps, states, bad input."""

import inspect

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops
from gpunn.errors import ShapeError

keras = pytest.importorskip("keras")
RNG = np.random.default_rng(3)

CASES = {
    "valid": ("ConvLSTM2D", (2, 3, 6, 5, 2), {"kernel_size": (3, 2), "return_sequences": True}),
    "same, strides": (
        "ConvLSTM2D", (2, 3, 7, 6, 2), {"kernel_size": 3, "strides": 2, "padding": "same"}
    ),
    "dilation": ("ConvLSTM1D", (2, 4, 9, 3), {"kernel_size": 3, "dilation_rate": 2}),
    "backwards, state": (
        "ConvLSTM1D", (2, 4, 8, 2),
        {"kernel_size": 2, "go_backwards": True, "return_sequences": True, "return_state": True},
    ),
    "no bias": (
        "ConvLSTM2D", (2, 2, 5, 5, 1),
        {"kernel_size": 2, "use_bias": False, "activation": "relu"},
    ),
    "volumes": ("ConvLSTM3D", (1, 2, 4, 3, 4, 2), {"kernel_size": 2, "padding": "same"}),
}  # fmt: skip


def pair(kind, shape, options):
    """A layer of ours and one of Keras with the same weights."""
    ours, theirs = (getattr(m.layers, kind)(3, **options) for m in (gpunn, keras))
    ours.build(shape)
    theirs.build(shape)
    theirs.set_weights([RNG.normal(size=w.shape).astype("float32") * 0.3 for w in theirs.weights])
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def listed(outputs):
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [np.asarray(v) for v in outputs]


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_shapes_are_those_of_keras(name):
    kind, shape, options = CASES[name]
    ours, theirs = pair(kind, shape, options)
    assert [w.path.split("/", 1)[1] for w in ours.weights] == [
        w.path.split("/", 1)[1] for w in theirs.weights
    ]
    x = RNG.normal(size=shape).astype("float32")
    found, expected = listed(ours(x)), listed(theirs(x))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    shapes = ours.compute_output_shape(shape)
    shapes = shapes if isinstance(shapes[0], (list, tuple)) else [shapes]
    assert [tuple(s) for s in shapes] == [a.shape for a in found]
    state = [RNG.normal(size=s).astype("float32") for s in [found[-1].shape] * 2]
    if not options.get("return_sequences"):
        a, b = ours(x, initial_state=state), theirs(x, initial_state=state)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_training_equals_keras():
    x = RNG.normal(size=(8, 3, 6, 6, 1)).astype("float32")
    y = RNG.normal(size=(8, 4)).astype("float32")
    results, weights = [], None
    for module, jit_compile in ((keras, True), (gpunn, False), (gpunn, True)):
        model = module.Sequential(
            [
                module.Input((3, 6, 6, 1)),
                module.layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True),
                module.layers.ConvLSTM2D(2, 2),
                module.layers.Flatten(),
                module.layers.Dense(4),
            ]
        )
        weights = weights or [RNG.normal(size=w.shape).astype("float32") / 3 for w in model.weights]
        model.set_weights(weights)
        model.compile(module.optimizers.SGD(0.05), "mse", jit_compile=jit_compile)
        losses = [float(model.train_on_batch(x, y)) for _ in range(5)]
        results.append([losses, *model.get_weights()])
    for a, b, expected in zip(*results[1:], results[0], strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, expected, rtol=1e-3, atol=1e-4)


def test_channels_first_is_the_transposed():
    last, first = (
        layers.ConvLSTM2D(3, 2, data_format=order, return_sequences=True)
        for order in ("channels_last", "channels_first")
    )
    x = RNG.normal(size=(2, 3, 5, 4, 2)).astype("float32")
    y = ops.convert_to_numpy(last(x))
    moved = np.moveaxis(x, -1, 2)
    first.build(moved.shape)
    first.set_weights(last.get_weights())
    found = np.moveaxis(ops.convert_to_numpy(first(moved)), 2, -1)
    np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-6)


def test_dropout_is_one_choice_for_all_steps_and_only_in_training():
    layer = layers.ConvLSTM1D(2, 3, padding="same", dropout=0.5, recurrent_dropout=0.3, seed=1)
    x = np.ones((2, 4, 6, 2), "float32")
    calm = ops.convert_to_numpy(layer(x))
    np.testing.assert_array_equal(layer(x), calm)
    assert np.abs(ops.convert_to_numpy(layer(x, training=True)) - calm).max() > 1e-3


def test_stateful_layers_go_on():
    layer = layers.ConvLSTM1D(2, 3, padding="same", stateful=True)
    whole = layers.ConvLSTM1D(2, 3, padding="same")
    x = RNG.normal(size=(2, 6, 5, 1)).astype("float32")
    layer.build((2, 3, 5, 1))
    whole.build(x.shape)
    whole.set_weights(layer.get_weights())
    layer(x[:, :3])
    np.testing.assert_allclose(layer(x[:, 3:]), whole(x), rtol=1e-5, atol=1e-6)
    layer.reset_state()
    assert not any(ops.convert_to_numpy(s).any() for s in layer.states)


def test_images_of_another_size():
    layer = layers.ConvLSTM2D(2, 3, padding="same")
    for size in (5, 8):
        assert layer(np.ones((1, 2, size, size, 3), "float32")).shape == (1, size, size, 2)


def test_config_and_signature():
    layer = layers.ConvLSTM2D(4, (3, 2), strides=(2, 1), activation="relu", dropout=0.1, seed=5)
    again = layers.ConvLSTM2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    for kind in ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"):
        ours, theirs = (
            {n: p.default for n, p in inspect.signature(getattr(m.layers, kind)).parameters.items()}
            for m in (gpunn, keras)
        )
        assert list(ours.items()) == list(theirs.items())


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"expected ndim=5.*found ndim=4"):
        layers.ConvLSTM2D(2, 3)(np.ones((2, 5, 5, 1), "float32"))
    with pytest.raises(ShapeError, match="does not fit into an axis of length 2"):
        layers.ConvLSTM2D(2, 3)(np.ones((1, 2, 2, 2, 1), "float32"))
    with pytest.raises(ValueError, match="filters"):
        layers.ConvLSTM2D(0, 3)
    x, states = np.ones((1, 2, 5, 5, 1), "float32"), [np.ones((1, 5, 5, 2), "float32")] * 2
    with pytest.raises(ValueError, match=r"must have shape \(1, 3, 3, 2\), received"):
        layers.ConvLSTM2D(2, 3)(x, initial_state=states)
