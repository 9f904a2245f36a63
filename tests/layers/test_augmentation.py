"""Random augmentation: fixed transformations against Keras, drawn ones by their distribution."""

import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops
from gpunn.autodiff.symbolic import SymbolicTensor

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (3, 7, 9, 3)).astype("float32")
ONE_TURN = ("RandomRotation", {"factor": (0.07, 0.07)})
#: With one possible outcome each, so that Keras draws the same.
FIXED = [
    ("RandomRotation", {"factor": (0.25, 0.25)}),
    ("RandomRotation", {"factor": (0.07, 0.07), "fill_mode": "constant", "fill_value": 3.0}),
    ("RandomRotation", {"factor": (-0.1, -0.1), "interpolation": "nearest", "fill_mode": "wrap"}),
    ("RandomRotation", {"factor": (0.6, 0.6), "data_format": "channels_first"}),
    ("RandomTranslation", {"height_factor": (0.3, 0.3), "width_factor": (-0.24, -0.24)}),
    (
        "RandomTranslation",
        {"height_factor": 0, "width_factor": (0.9, 0.9), "fill_mode": "nearest",
         "data_format": "channels_first"},
    ),
    ("RandomZoom", {"height_factor": (0.4, 0.4)}),
    (
        "RandomZoom",
        {"height_factor": (-0.3, -0.3), "width_factor": (0.7, 0.7), "fill_mode": "constant",
         "fill_value": 9.0},
    ),
    ("RandomBrightness", {"factor": (0.3, 0.3)}),
    ("RandomBrightness", {"factor": (-0.4, -0.4), "value_range": (200, 10)}),
]  # fmt: skip
#: All layers with the defaults of the optional arguments.
ALL = [
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomRotation", {"factor": 0.2}),
    ("RandomTranslation", {"height_factor": 0.2, "width_factor": (0.1, 0.3)}),
    ("RandomZoom", {"height_factor": 0.3}),
    ("RandomZoom", {"height_factor": 0.3, "width_factor": (-0.1, 0.2)}),
    ("RandomCrop", {"height": 5, "width": 6}),
    ("RandomContrast", {"factor": 0.4}),
    ("RandomBrightness", {"factor": [0.2, -0.1]}),
]
every_layer = pytest.mark.parametrize(("name", "options"), ALL)
every_fixed = pytest.mark.parametrize(("name", "options"), FIXED)


def both(name, options):
    return tuple(getattr(home, name)(name="a", **options) for home in (layers, keras.layers))


def assert_close(y, expected):
    assert y.dtype == str(expected.dtype)
    np.testing.assert_allclose(y.numpy(), np.asarray(expected), rtol=1e-4, atol=5e-3)


@every_fixed
def test_fixed_transformations_as_keras(name, options):
    ours, theirs = both(name, options)
    y = ours(X, training=True)
    assert_close(y, theirs(X, training=True))
    one = ours(X[0], training=True).numpy()
    np.testing.assert_allclose(one, y.numpy()[0], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("name", "options"), [FIXED[1], FIXED[6], FIXED[8]])
def test_dtypes_as_keras(name, options):
    ours, theirs = both(name, options)
    whole = X.astype("uint8") // 2 + 20
    assert_close(ours(whole, training=True), theirs(whole, training=True))
    ours, theirs = both(name, {**options, "dtype": "float16"})
    y = ours(X, training=True)
    assert y.dtype == "float16"
    np.testing.assert_allclose(y.numpy(), theirs(X, training=True), rtol=4e-3, atol=0.5)


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_given_transformations_as_keras(order):
    options = {"data_format": order}
    flips = np.array([True, False, True]).reshape(3, 1, 1, 1)
    for mode in ("horizontal", "vertical", "horizontal_and_vertical"):
        ours, theirs = both("RandomFlip", {"mode": mode, **options})
        given = {"flips": flips, "input_shape": X.shape}
        assert_close(ours.transform_images(X, flips), theirs.transform_images(X, given))
    factor = np.array([0.5, 1.0, 1.7], "float32").reshape(3, 1, 1, 1)
    ours, theirs = both("RandomContrast", {"factor": 0.9, "value_range": (10, 200), **options})
    for x in (X, X.astype("uint8")):
        expected = theirs.transform_images(x, {"contrast_factor": factor})
        assert_close(ours.transform_images(ops.convert_to_tensor(x), factor), expected)
    size = {"height": 5, "width": 2} if order == "channels_first" else {"height": 3, "width": 4}
    ours, theirs = both("RandomCrop", {**size, **options})
    start = [np.array([v], "float32") for v in (1, 1)]
    assert_close(ours.transform_images(X, start), theirs.transform_images(X, (1, 1)))


@every_layer
def test_config_and_shape_as_keras(name, options):
    ours, theirs = both(name, {**options, "seed": 3})
    config, known = ours.get_config(), theirs.get_config()
    del known["dtype"], config["dtype"]
    assert config == known
    assert ours.supports_masking == theirs.supports_masking
    for shape in ((2, 8, 9, 3), (8, 9, 3), (None, 8, 9, 1)):
        assert ours.compute_output_shape(shape) == tuple(theirs.compute_output_shape(shape))
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == ours.get_config()
    y = ours(X, training=True)
    np.testing.assert_array_equal(again(X, training=True).numpy(), y.numpy())
    symbol = ours(SymbolicTensor((None, 7, 9, 3), "float32"), training=True)
    assert symbol.shape == (None, *y.shape[1:])


def parameters(function):
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]


@every_layer
def test_arguments_and_defaults_as_keras(name, options):
    assert parameters(getattr(layers, name)) == parameters(getattr(keras.layers, name))


@every_layer
def test_inference_and_when_active(name, options):
    layer = getattr(layers, name)(**options)
    still = layer(X, training=False).numpy()
    expected = X if name != "RandomCrop" else ops.image.resize(X, (5, 6), crop_to_aspect_ratio=True)
    np.testing.assert_array_equal(still, np.asarray(expected))
    model = gpunn.Sequential([layer])
    for call in (
        layer,
        model,
        lambda x: layer(x, training=None),
        lambda x: layer(x, training=True),
    ):
        assert any(not np.array_equal(call(X).numpy(), still) for _ in range(6))
    np.testing.assert_array_equal(model.predict(X, verbose=0), still)
    np.testing.assert_array_equal(model(X, training=False).numpy(), still)


@every_layer
def test_dtypes_of_whole_numbers(name, options):
    """What Keras 3.15 gives with its JAX backend."""
    layer, whole = getattr(layers, name)(**options), X.astype("uint8")
    stays = {True: ("RandomBrightness",), False: ("RandomBrightness", "RandomContrast")}
    for training, names in stays.items():
        expected = "uint8" if name in names else "float32"
        assert layer(whole, training=training).dtype == expected


@every_layer
def test_seeds(name, options):
    make = getattr(layers, name)
    x = RNG.uniform(0, 255, (6, 12, 13, 1)).astype("float32")
    first, second = make(**options, seed=5), make(**options, seed=5)
    one = first(x, training=True).numpy()
    np.testing.assert_array_equal(second(x, training=True).numpy(), one)
    assert not all(np.array_equal(first(x, training=True).numpy(), one) for _ in range(4))
    drawn = []
    for _ in range(2):
        gpunn.utils.set_random_seed(4)
        drawn.append(make(**options)(x, training=True).numpy())
    np.testing.assert_array_equal(*drawn)


@every_layer
def test_the_same_on_a_simulated_gpu(simulated_gpu, name, options):
    results = []
    for device in ("cpu", "gpu:0"):
        with gpunn.device(device):
            layer = getattr(layers, name)(**options, seed=5)
            drawn = [layer(X, training=True).numpy() for _ in range(2)]
            results.append(np.stack(drawn))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-2)


def numbers(layer, count=4000, shape=(8, 10, 1)):
    drawn = layer.get_random_transformation(ops.zeros((count, *shape)))
    return [d.numpy() for d in drawn] if isinstance(drawn, tuple) else drawn.numpy()


def assert_uniform(values, low, high):
    assert values.min() >= low - 1e-4 and values.max() <= high + 1e-4
    spread = high - low
    assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * spread)
    assert values.std() == pytest.approx(spread / 12**0.5, abs=0.03 * spread)
    assert len(np.unique(values)) > 0.9 * len(values)  # each image has its own


def test_distributions():
    maps = numbers(layers.RandomRotation((-0.1, 0.2), seed=1))
    assert_uniform(np.arctan2(maps[:, 3], maps[:, 0]) / (2 * np.pi), -0.1, 0.2)
    maps = numbers(layers.RandomTranslation(0.5, (0.1, 0.3), seed=1))
    assert_uniform(-maps[:, 5] / 8, -0.5, 0.5)
    assert_uniform(-maps[:, 2] / 10, 0.1, 0.3)
    assert abs(np.corrcoef(maps[:, 2], maps[:, 5])[0, 1]) < 0.06
    maps = numbers(layers.RandomZoom((-0.5, 0.1), 0.2, seed=1))
    assert_uniform(maps[:, 4], 0.5, 1.1)
    assert_uniform(maps[:, 0], 0.8, 1.2)
    maps = numbers(layers.RandomZoom(0.3, seed=1))
    np.testing.assert_array_equal(maps[:, 0], maps[:, 4])
    assert_uniform(numbers(layers.RandomContrast((0.2, 0.6), seed=1)), 0.8, 1.6)
    assert_uniform(numbers(layers.RandomContrast(0.4, seed=1)), 1.0, 1.4)
    assert_uniform(numbers(layers.RandomBrightness(0.2, (0, 10), seed=1)), -2, 2)
    assert numbers(layers.RandomFlip(seed=1)).mean() == pytest.approx(0.5, abs=0.03)


def test_crops():
    layer = layers.RandomCrop(3, 9, seed=2)
    x = np.arange(2 * 5 * 11, dtype="float32").reshape(2, 5, 11, 1)
    found = set()
    for _ in range(60):
        y = layer(x, training=True).numpy()
        row, column = divmod(int(y[0, 0, 0, 0]), 11)
        np.testing.assert_array_equal(y, x[:, row : row + 3, column : column + 9])
        found.add((row, column))
    assert found == {(i, j) for i in range(3) for j in range(3)}
    tall = layers.RandomCrop(5, 4, seed=2)
    starts = {int(tall(x, training=True).numpy()[0, 0, 0, 0]) for _ in range(60)}
    assert starts == set(range(8))
    small = layers.RandomCrop(8, 8)(x, training=True).numpy()
    expected = ops.image.resize(x, (8, 8), crop_to_aspect_ratio=True).numpy()
    np.testing.assert_array_equal(small, expected)


def test_whole_numbers_do_not_wrap_around():
    x = np.array([0, 3, 100, 250], "uint8").reshape(1, 2, 2, 1)
    for factor, expected in ((0.1, [25, 28, 125, 255]), (-0.1, [0, 0, 75, 225])):
        y = layers.RandomBrightness((factor, factor))(x, training=True)
        assert y.dtype == "uint8"
        np.testing.assert_array_equal(y.numpy().reshape(-1), expected)


@every_layer
def test_masks_move_with_the_images(name, options):
    layer = getattr(layers, name)(**options, seed=3)
    masks, labels = (X > 128).astype("uint8"), np.array([1, 2, 3])
    for training in (True, False):
        data = {"images": X, "labels": labels, "segmentation_masks": masks}
        y = layer(data, training=training)
        assert set(data) == set(y)
        np.testing.assert_array_equal(data["images"], X)
        np.testing.assert_array_equal(y["labels"].numpy(), labels)
        moved = y["segmentation_masks"]
        assert moved.dtype == ("float32" if name in ("RandomFlip", "RandomCrop") else "uint8")
        assert set(np.unique(moved.numpy())) <= {0, 1}
        if name in ("RandomFlip", "RandomCrop") and training:
            np.testing.assert_array_equal(y["images"].numpy() > 128, moved.numpy())
        if name in ("RandomContrast", "RandomBrightness"):
            np.testing.assert_array_equal(moved.numpy(), masks)
    one = layer({"images": X[0], "segmentation_masks": masks[0]}, training=True)
    assert one["segmentation_masks"].shape == one["images"].shape


def test_masks_take_nearest_pixels_of_the_same_map():
    layer = layers.RandomRotation(0.2, interpolation="nearest", seed=3)
    whole = X.astype("uint8")
    y = layer({"images": X.astype("uint8"), "segmentation_masks": whole}, training=True)
    np.testing.assert_array_equal(y["images"].numpy(), y["segmentation_masks"].numpy())
    assert not np.array_equal(y["images"].numpy(), whole)


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
def test_recorded_equals_eager(simulated_gpu, device):
    weights = []
    for jit_compile in (False, True):
        gpunn.utils.set_random_seed(1)
        with gpunn.device(device):
            model = gpunn.Sequential(
                [
                    gpunn.Input((7, 9, 3)),
                    layers.Dense(3),  # gradients flow through all the others
                    *[getattr(layers, name)(**options) for name, options in ALL],
                    layers.Flatten(),
                    layers.Dense(1),
                ]
            )
            model.compile(gpunn.optimizers.SGD(1e-6), "mse", jit_compile=jit_compile)
            before = model.get_weights()
            for step in range(6):
                x = np.random.default_rng(step).uniform(0, 255, X.shape).astype("float32")
                model.train_on_batch(x, np.ones((3, 1), "float32"))
            weights.append(model.get_weights())
            for old, new in zip(before, weights[-1], strict=True):
                assert np.isfinite(new).all() and not np.array_equal(new, old)
    (step,) = [s for r in model._step.recordings.values() for s in r.steps.values()]
    assert step.program is not None
    for eager, recorded in zip(*weights, strict=True):
        np.testing.assert_array_equal(eager, recorded)


@pytest.mark.parametrize(("name", "options"), [*FIXED[:-1], ("RandomFlip", {}), ONE_TURN])
def test_gradients_are_the_transposed_map(name, options):
    """<dy, J x> = <Jᵀ dy, x> for the linear part."""
    layer = getattr(layers, name)(**options, seed=1, dtype="float64")
    x = gpunn.Variable(RNG.uniform(0, 100, X.shape), dtype="float64")
    dy = RNG.normal(size=X.shape)
    step = RNG.normal(size=X.shape) * 1e-3
    layer.generator.state.assign(np.array([1, 0], np.uint32))
    with gpunn.GradientTape() as tape:
        y = layer(x, training=True)
    slope = tape.gradient(y, x, output_gradients=dy).numpy()
    layer.generator.state.assign(np.array([1, 0], np.uint32))
    change = layer(x.numpy() + step, training=True).numpy() - y.numpy()
    assert (change * dy).sum() == pytest.approx((slope * step).sum(), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.RandomFlip("sideways"), "Unknown mode of RandomFlip: 'sideways'"),
        (lambda: layers.RandomRotation(1.5), r"RandomRotation: factor must be .* \[-1, 1\]"),
        (lambda: layers.RandomRotation((0.1, 0.2, 0.3)), "received .0.1, 0.2, 0.3."),
        (lambda: layers.RandomRotation("a"), "received 'a'"),
        (lambda: layers.RandomRotation((2, 3)), "received .2, 3."),
        (lambda: layers.RandomRotation(0.1, fill_mode="mirror"), "Unknown fill_mode: 'mirror'"),
        (lambda: layers.RandomZoom(0.1, interpolation="cubic"), "Unknown interpolation: 'cubic'"),
        (lambda: layers.RandomTranslation(0.1, 1.1), r"width_factor must be .* \[-1, 1\]"),
        (lambda: layers.RandomTranslation((0.1, 2), 0), "height_factor must be"),
        (lambda: layers.RandomZoom(-1.0), r"height_factor must be .* \(-1, 1\]; received -1.0"),
        (lambda: layers.RandomContrast(-0.1), r"RandomContrast: factor must be .* \[0, 1\]"),
        (lambda: layers.RandomContrast(0.1, value_range=(0,)), "value_range must be a pair"),
        (lambda: layers.RandomBrightness(0.1, value_range=5), "value_range must be a pair"),
        (lambda: layers.RandomCrop(0, 3), "must be a positive integer"),
        (lambda: layers.RandomFlip(data_format="last"), "Unknown data_format"),
        (lambda: layers.RandomFlip(factor=1), "Unknown argument of RandomFlip: 'factor'"),
        (lambda: layers.RandomFlip()(X[0, 0]), "images have rank 3 .* received .9, 3."),
        (
            lambda: layers.RandomFlip()({"images": X, "segmentation_masks": X[0]}),
            "segmentation_masks have rank",
        ),
        (lambda: layers.RandomFlip()({"image": X}), "Unknown input of RandomFlip .* Did you mean"),
        (lambda: layers.RandomFlip(name="a")({"labels": X}), "the key 'images' is missing"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bounding_boxes_are_refused():
    with pytest.raises(NotImplementedError, match="RandomFlip: bounding boxes are not supported"):
        layers.RandomFlip(bounding_box_format="xyxy")
    with pytest.raises(NotImplementedError, match="or transform the boxes yourself"):
        layers.RandomZoom(0.1)({"images": X, "bounding_boxes": {}})
