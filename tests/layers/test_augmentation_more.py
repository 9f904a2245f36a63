"""Random colours, blurs, boxes and mixtures: given transformations as Keras, drawn ones by their
distribution; and the layers around other layers.
"""

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
X = RNG.uniform(0, 255, (3, 6, 8, 3)).astype("float32")
FLAGS = np.array([True, False, True])
UNIT = {"value_range": (0, 1)}
MASKS = RNG.uniform(size=X.shape) < 0.4
START = np.repeat([[[0, 0], [7, 0], [0, 5], [7, 5]]], 3, axis=0).astype("float32")
END = (START * RNG.uniform(0.7, 1.2, START.shape)).astype("float32")
ORDER = np.array([2, 0, 1], "int32")
WEIGHT = np.array([0.2, 0.5, 0.9], "float32")

#: Layer, options, and a transformation that both take.
GIVEN = [
    ("RandomHue", {"factor": 0.5}, {"factor": np.array([0.1, -0.3, 0.5], "float32")}),
    ("RandomHue", {"factor": 0.5, **UNIT}, {"factor": np.array([0.1, -0.3, 0.5], "float32")}),
    ("RandomSaturation", {"factor": 0.5}, {"factor": np.array([0.1, 1.0, 3.0], "float32")}),
    ("RandomSaturation", {"factor": 0.5, **UNIT}, {"factor": np.array([0.1, 1, 3], "float32")}),
    ("RandomColorDegeneration", {"factor": 0.5}, {"factor": 2 * WEIGHT.reshape(3, 1, 1, 1) - 1}),
    ("RandomGrayscale", {}, FLAGS.reshape(3, 1, 1, 1)),
    ("RandomInvert", {}, {"apply_inversion": FLAGS}),
    ("RandomPosterization", {"factor": 3}, {"shift_factor": np.array([1, 4, 7], "uint8")}),
    ("RandomPosterization", {"factor": 3, **UNIT}, {"shift_factor": np.array([1, 4, 7], "uint8")}),
    (
        "Solarization",
        UNIT,
        {
            "additions": np.array([0, 20, 80], "float32").reshape(3, 1, 1, 1),
            "thresholds": np.array([128, 0, 200], "float32").reshape(3, 1, 1, 1),
        },
    ),
    ("AutoContrast", {}, None),
    ("AutoContrast", UNIT, None),
    ("Equalization", {"bins": 16}, None),
    ("Equalization", {**UNIT, "bins": 40}, None),
    ("RandomSharpness", {"factor": 0.3}, {"factor": WEIGHT}),
    (
        "RandomGaussianBlur",
        {"kernel_size": (3, 5)},
        {"should_apply_blur": FLAGS, "blur_factor": np.array([0.4, 0.9], "float32")},
    ),
    (
        "RandomErasing",
        {"fill_value": (1, 2, 3)},
        {"apply_erasing": FLAGS, "batch_masks": MASKS, "fill_value": np.full(X.shape, 9.0)},
    ),
    ("MixUp", {}, {"mix_weight": WEIGHT, "permutation_order": ORDER}),
    (
        "CutMix",
        {},
        {"mix_weight": WEIGHT.reshape(3, 1, 1, 1), "permutation_order": ORDER,
         "batch_masks": MASKS},
    ),
    (
        "RandomPerspective",
        {"fill_value": 7.0},
        {"apply_perspective": FLAGS, "start_points": START, "end_points": END},
    ),
]  # fmt: skip
ALL = [
    ("RandomHue", {"factor": 0.5}),
    ("RandomSaturation", {"factor": (0.2, 0.4)}),
    ("RandomColorDegeneration", {"factor": 0.5}),
    ("RandomElasticTransform", {"scale": (0.5, 1.0)}),
    ("RandAugment", {"factor": (0.2, 0.4)}),
    ("AugMix", {"num_chains": 2, "chain_depth": 2}),
    ("RandomGrayscale", {}),
    ("RandomInvert", {}),
    ("RandomShear", {"x_factor": 0.3, "y_factor": (0.1, 0.2)}),
    ("RandomPerspective", {"scale": 0.5}),
    ("RandomErasing", {}),
    ("RandomErasing", {"fill_value": 3.0, "factor": (1, 1)}),
    ("RandomGaussianBlur", {"factor": (0.5, 1.0)}),
    ("RandomColorJitter", {"brightness_factor": 0.2, "contrast_factor": 0.3,
                           "saturation_factor": 0.4, "hue_factor": 0.1}),
    ("RandomPosterization", {"factor": 4}),
    ("RandomSharpness", {"factor": 0.8}),
    ("Solarization", {"addition_factor": 0.4, "threshold_factor": (0.2, 0.5)}),
    ("Equalization", {}),
    ("AutoContrast", {}),
    ("MixUp", {}),
    ("CutMix", {}),
]  # fmt: skip
STILL = {"Equalization", "AutoContrast"}  # nothing is drawn
every_layer = pytest.mark.parametrize(("name", "options"), ALL)


def both(name, options):
    return tuple(getattr(home, name)(name="a", **options) for home in (layers, keras.layers))


@pytest.mark.parametrize(("name", "options", "given"), GIVEN)
def test_given_transformations_as_keras(name, options, given):
    ours, theirs = both(name, options)
    x = X / 255 if options.get("value_range") == (0, 1) else X
    expected = theirs.transform_images(keras.ops.convert_to_tensor(x), given, training=True)
    y = ours.transform_images(ops.convert_to_tensor(x), given, training=True)
    assert y.dtype == str(np.asarray(expected).dtype)
    tolerance = 2e-3 * x.max() if name == "RandomPerspective" else 1e-4 * x.max()
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=tolerance)
    if name != "AutoContrast":  # Keras takes the channels for a spatial axis
        again = {"factor": 0.3} if name in ("RandomHue", "RandomSaturation") else {}
        first = type(ours)(**{**options, **again, "data_format": "channels_first"})
        if isinstance(given, dict) and "batch_masks" in given:
            given = {k: np.moveaxis(v, -1, 1) if np.shape(v) == X.shape else v
                     for k, v in given.items()}  # fmt: skip
        z = first.transform_images(ops.convert_to_tensor(np.moveaxis(x, -1, 1)), given)
        np.testing.assert_allclose(np.moveaxis(z.numpy(), 1, -1), y, rtol=1e-5, atol=tolerance)


def test_shear_as_keras():
    given = np.array([[0.2, -0.1], [0.0, 0.3], [-0.4, 0.0]], "float32")
    maps = np.zeros((3, 8), "float32")
    maps[:, (0, 4)], maps[:, 1], maps[:, 3] = 1, given[:, 0], given[:, 1]
    ours, theirs = both("RandomShear", {"fill_mode": "constant"})
    expected = theirs.transform_images(X, {"shear_factor": given})
    np.testing.assert_allclose(ours.transform_images(X, maps), expected, rtol=1e-4, atol=5e-3)
    drawn = layers.RandomShear(0.5, (0.25, 0.25)).get_random_transformation(X).numpy()
    assert np.abs(drawn[:, 1]).max() <= 0.5 and np.allclose(np.abs(drawn[:, 3]), 0.25)


@every_layer
def test_config_arguments_and_shape_as_keras(name, options):
    kinds = [getattr(home, name) for home in (layers, keras.layers)]
    parameters = [
        [(p.name, p.default) for p in inspect.signature(kind).parameters.values()] for kind in kinds
    ]
    assert parameters[0] == parameters[1]
    seed = {} if name in STILL else {"seed": 3}
    ours, theirs = both(name, {**options, **seed})
    config, known = ours.get_config(), theirs.get_config()
    del known["dtype"], config["dtype"]
    if name == "RandomGrayscale":
        known["seed"] = 3  # Keras forgets it
    assert config == known
    for shape in ((2, 8, 9, 3), (8, 9, 3), (None, 8, 9, 3)):
        assert ours.compute_output_shape(shape) == shape
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == ours.get_config()
    y = ours(X, training=True)
    assert y.shape == X.shape
    np.testing.assert_array_equal(again(X, training=True).numpy(), y.numpy())
    symbol = ours(SymbolicTensor((None, 6, 8, 3), "float32"), training=True)
    assert symbol.shape == (None, 6, 8, 3)


@every_layer
def test_inference_one_image_and_masks(name, options):
    layer = getattr(layers, name)(**options)
    if name != "AutoContrast":
        np.testing.assert_array_equal(layer(X, training=False).numpy(), X)
    if name not in STILL:
        assert any(not np.array_equal(layer(X).numpy(), X) for _ in range(9))
    given = {"images": X[0], "labels": np.eye(3, dtype="float32")[0],
             "segmentation_masks": X[0, ..., :1].astype("int32")}  # fmt: skip
    found = layer(given, training=True)
    assert {k: tuple(v.shape) for k, v in found.items()} == {k: v.shape for k, v in given.items()}
    whole = layer(X.astype("uint8"), training=True)
    assert whole.shape == X.shape and np.isfinite(whole.numpy().astype(float)).all()


@pytest.mark.filterwarnings("error")  # of steps that cannot be recorded
def test_recorded_steps_draw_anew():
    kinds = [getattr(layers, name)(**options) for name, options in ALL]
    model = gpunn.Sequential([*kinds, layers.Flatten(), layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse", jit_compile=True)
    x = np.repeat(X[:1], 16, axis=0)
    history = model.fit(x, np.zeros((16, 1)), batch_size=4, epochs=1, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"][0])
    drawn = [k.generator.state.numpy()[1] for k in kinds if type(k).__name__ not in STILL]
    assert min(drawn) >= 4  # one or more a step


def test_boxes_of_erasing():
    layer = layers.RandomErasing(factor=(1, 1), scale=(0.25, 0.25), fill_value=0)
    y = layer(np.ones((40, 20, 32, 3), "float32"), training=True).numpy()
    assert (y.min(-1) == y.max(-1)).all()
    for image in y[..., 0]:  # half of each side, within the borders
        rows, columns = (image == 0).any(1), (image == 0).any(0)
        assert (image[np.ix_(rows, columns)] == 0).all()
        assert 9 <= rows.sum() <= 11 and 15 <= columns.sum() <= 17
    assert (y == 0).any((0, 3)).mean() > 0.8  # anywhere
    noise = layers.RandomErasing((1, 1), (1.0, 1.0))(X, training=True).numpy()
    assert noise.min() >= 0 and noise.max() <= 255 and noise.std() > 50


def test_mixtures():
    labels = np.eye(64, dtype="float32")
    images = np.broadcast_to(np.arange(64.0).reshape(-1, 1, 1, 1), (64, 10, 10, 3)).copy()
    given = {"images": images, "labels": labels, "segmentation_masks": images}
    for layer in (layers.MixUp(alpha=1.0, seed=1), layers.CutMix((1.0, 1.0), seed=1)):
        found = {k: v.numpy() for k, v in layer(given, training=True).items()}
        np.testing.assert_allclose(found["labels"].sum(1), 1, rtol=1e-5)
        expected = found["labels"] @ np.arange(64.0)  # the labels say what the images are made of
        tolerance = 1e-3 if isinstance(layer, layers.MixUp) else 64 * 0.2
        np.testing.assert_allclose(found["images"].mean((1, 2, 3)), expected, atol=tolerance)
        np.testing.assert_allclose(found["segmentation_masks"], found["images"], rtol=1e-6)
        if isinstance(layer, layers.CutMix):
            assert set(np.unique(found["images"])) <= set(range(64))
        assert (np.diag(found["labels"]) < 0.9).mean() > 0.3


def test_samplers():
    seed = gpunn.random.SeedGenerator(4)
    for a, b in ((0.2, 0.2), (3.0, 1.0)):
        y = gpunn.random.beta((20000,), a, b, seed=seed).numpy()
        mean = a / (a + b)
        assert abs(y.mean() - mean) < 0.015
        assert abs(y.var() - mean * (1 - mean) / (a + b + 1)) < 0.01
        assert y.min() >= 0 and y.max() <= 1
    for a in (0.3, 1.0, 4.5):
        y = gpunn.random.gamma((20000,), a, seed=seed).numpy()
        assert abs(y.mean() / a - 1) < 0.06 and abs(y.var() / a - 1) < 0.12
    rows = gpunn.random.shuffle(np.arange(50), seed=seed).numpy()
    assert sorted(rows) == list(range(50)) and (rows != np.arange(50)).any()
    x = gpunn.random.shuffle(np.arange(12).reshape(3, 4), axis=1, seed=seed).numpy()
    assert (np.sort(x, axis=1) == np.arange(12).reshape(3, 4)).all()


# --- around other layers ---

EINSUMS = [
    ("ab,bc->ac", 7, "c", (None, 5)),
    ("abc,cd->abd", (None, 7), "d", (None, 4, 5)),
    ("abc,cde->abde", (None, 2, 7), "d", (None, 4, 5)),
    ("abc,cde->abde", (4, 2, 7), "be", (None, 4, 5)),
    ("...x,xy->...y", 7, "y", (None, 4, 5)),
    ("ab...,bc->ac...", (7,), "c", (None, 5, 2, 3)),
    ("abcd,cde->abe", (None, 7), None, (None, 3, 4, 5)),
]


@pytest.mark.parametrize(("equation", "output_shape", "bias_axes", "shape"), EINSUMS)
def test_einsum_dense_as_keras(equation, output_shape, bias_axes, shape):
    ours, theirs = (
        home.EinsumDense(equation, output_shape, "relu", bias_axes)
        for home in (layers, keras.layers)
    )
    known = theirs.compute_output_shape(shape)  # ours takes more from the inputs
    assert all(b in (None, a) for a, b in zip(ours.compute_output_shape(shape), known, strict=True))
    x = RNG.standard_normal([2 if n is None else n for n in shape]).astype("float32")
    ours(x), theirs(x)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    weights = [RNG.standard_normal(w.shape).astype("float32") for w in ours.weights]
    ours.set_weights(weights), theirs.set_weights(weights)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    config, known = ours.get_config(), theirs.get_config()
    assert set(config) == set(known)
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == config


def test_wrapper_and_pipeline():
    class Twice(layers.Wrapper):
        def call(self, x):
            return self.layer(self.layer(x))

    twice = Twice(layers.Dense(3, use_bias=False))
    y = twice(np.eye(3, dtype="float32")).numpy()
    np.testing.assert_allclose(
        y, twice.layer.kernel.numpy() @ twice.layer.kernel.numpy(), rtol=1e-5
    )
    assert len(twice.trainable_variables) == 1
    assert Twice.from_config(twice.get_config()).layer.units == 3

    line = layers.Pipeline([layers.Rescaling(2.0), layers.RandomInvert((1, 1)), layers.Flatten()])
    np.testing.assert_allclose(line(X), (255 - 2 * X).reshape(3, -1), rtol=1e-6)
    np.testing.assert_allclose(line(X, training=False), 2 * X.reshape(3, -1), rtol=1e-6)
    again = layers.deserialize(layers.serialize(line))
    assert [type(layer).__name__ for layer in again.layers] == [
        "Rescaling",
        "RandomInvert",
        "Flatten",
    ]
    assert line(SymbolicTensor((None, 6, 8, 3))).shape == (None, 144)


def test_hashed_crossing():
    """The numbers of Keras' documentation, which TensorFlow computes."""
    features = ["A", "B", "A", "B", "A"], np.array([101, 101, 101, 102, 102])
    layer = layers.HashedCrossing(num_bins=5)
    y = layer(features)
    assert (y.tolist(), y.dtype) == ([1, 4, 1, 1, 3], "int64")
    assert layer([np.array(f)[:, None] for f in features]).shape == (5, 1)
    assert int(layers.HashedCrossing(10)(("A", 101)).numpy()) == 1
    hot = layers.HashedCrossing(5, output_mode="one_hot")(features)
    np.testing.assert_array_equal(hot.numpy(), np.eye(5)[[1, 4, 1, 1, 3]])
    assert layers.deserialize(layers.serialize(layer)).get_config() == layer.get_config()
    assert layer.compute_output_shape(((2, 1), (2, 1))) == (2, 1)


ERRORS = [
    (lambda: layers.RandomHue(2.0), "RandomHue: factor must be a number, or a pair"),
    (lambda: layers.RandomGrayscale(1.5), r"factor must be in \[0, 1\], received 1.5"),
    (lambda: layers.RandomShear(-0.1), "x_factor must be a number"),
    (lambda: layers.RandomPerspective(scale=2), r"scale must be in \[0, 1\], received 2"),
    (lambda: layers.RandomPerspective(interpolation="cubic"), "Unknown interpolation"),
    (lambda: layers.RandomGaussianBlur(kernel_size=4), "must be an odd number"),
    (lambda: layers.RandomErasing(fill_value="x"), "fill_value must be a number, one a channel"),
    (lambda: layers.RandomPosterization(9), r"in the range \[1, 8\]; received 9"),
    (lambda: layers.Solarization(threshold_factor=2), "threshold_factor must be a number"),
    (lambda: layers.Equalization(bins=0), "bins must be a positive integer"),
    (
        lambda: layers.Equalization().transform_images(SymbolicTensor((2, 4, 4, None)), None),
        "how many channels there are is unknown",
    ),
    (lambda: layers.AutoContrast(value_range=3), "value_range must be a pair"),
    (lambda: layers.RandomColorDegeneration(2), "RandomColorDegeneration: factor must be"),
    (
        lambda: layers.RandomColorDegeneration(0.5)(np.zeros((4, 4, 2))),
        r"images need 3 channels \(red, green, blue\), received 2",
    ),
    (lambda: layers.RandomElasticTransform(scale=2), r"scale must be a number, .* received 2"),
    (lambda: layers.RandomElasticTransform(interpolation="cubic"), "Unknown interpolation"),
    (lambda: layers.RandomElasticTransform(fill_mode="x"), "Unknown fill_mode"),
    (lambda: layers.RandAugment(num_ops=0), "num_ops must be a positive integer, received 0"),
    (lambda: layers.RandAugment(factor=2), r"RandAugment: factor .* range \[0, 1\]; received 2"),
    (lambda: layers.RandAugment(interpolation="x"), "Unknown interpolation"),
    (lambda: layers.AugMix(num_chains=1.5), "num_chains must be a positive integer"),
    (lambda: layers.AugMix(alpha=0), "AugMix: alpha must be a positive number"),
    (lambda: layers.MixUp(alpha=0), "alpha must be a positive number"),
    (lambda: layers.Wrapper(3), "layer must be a layer, received 3"),
    (lambda: layers.Pipeline([3]), "layers must be layers, received 3"),
    (lambda: layers.HashedCrossing(0), "num_bins must be at least 1"),
    (lambda: layers.HashedCrossing(3, "count"), "Unknown output_mode of HashedCrossing"),
    (lambda: layers.HashedCrossing(3, sparse=True), "sparse=True is not supported"),
    (lambda: layers.HashedCrossing(3)("A"), "a list or tuple of at least two features"),
    (lambda: layers.HashedCrossing(3)((["A"], ["B", "C"])), "must have one shape"),
    (lambda: layers.HashedCrossing(3)(([1.5], [2.5])), "hold strings or integers"),
    (
        lambda: layers.HashedCrossing(3)((SymbolicTensor((2,)), SymbolicTensor((2,)))),
        "cannot be part of a model",
    ),
    (lambda: layers.EinsumDense("ab,bc", 3), "the equation must be like"),
    (lambda: layers.EinsumDense("ab,cd->ad", 3), "axis 'c' of the kernel is neither"),
    (lambda: layers.EinsumDense("ab,ab->ad", 3), "axis 'd' of the output is neither"),
    (lambda: layers.EinsumDense("ab,bc->ac", 3, lora_rank=2), "lora_rank is not supported"),
    (lambda: layers.EinsumDense("ab,bc->ac", (3, 4)).build((2, 5)), "one length for each"),
    (lambda: layers.EinsumDense("ab,bc->ac", 3).build((2, 5, 4)), "needs inputs of 2 axes"),
    (lambda: layers.EinsumDense("ab,bc->acb", (3, 9)).build((2, 5)), "has length 5 in the inputs"),
    (lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="z").build((2, 5)), "which is no axis"),
    (lambda: layers.EinsumDense("ab,bc->ac", 3).build((2, None)), "needs the length of axis 'b'"),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors(number):
    call, message = ERRORS[number]
    with pytest.raises((ValueError, NotImplementedError), match=message):
        call()
