"""RandAugment, AugMix, RandomElasticTransform, CLAHE: given transformations as Keras, drawn ones by
their distribution.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (2, 7, 9, 3)).astype("float32")
CLAHE = "ContrastLimitedAdaptiveHistogramEqualization"
SAME = {"random_brightness", "random_contrast", "random_sharpness", "random_posterization",
        "random_color_degeneration", "solarization", "equalization"}  # fmt: skip


def for_keras(name, drawn):
    """A drawn transformation as Keras' layer takes it."""
    if name == "random_shear":
        return {"shear_factor": np.stack([drawn[:, 1], drawn[:, 3]], 1)}
    if name == "random_brightness":
        return {"rgb_delta": drawn.numpy()}
    if name == "random_contrast":
        return {"contrast_factor": drawn.numpy()}
    if name == "random_posterization":
        return {"shift_factor": drawn["shift_factor"].numpy().astype("uint8")}
    if isinstance(drawn, dict):
        return {k: np.asarray(v) for k, v in drawn.items()}
    return drawn if drawn is None else np.asarray(drawn)


def test_rand_augment_as_keras():
    """Two layers in a row; with channels first, too."""
    options = {"factor": (0.1, 0.6), "seed": 5}
    ours, theirs = (home.RandAugment(**options) for home in (layers, keras.layers))
    first = layers.RandAugment(**options, data_format="channels_first")
    drawn = ours.get_random_transformation(X)
    assert [*drawn["transforms"]] == theirs._AUGMENT_LAYERS
    assert drawn["layer_idxes"].shape == (2,)
    x, known = ops.convert_to_tensor(X), {}
    for name in sorted(SAME):
        given = for_keras(name, drawn["transforms"][name])
        known[name] = np.asarray(getattr(theirs, name).transform_images(X, given))
    equal, contrast = "equalization", "random_contrast"
    given = for_keras(contrast, drawn["transforms"][contrast])
    known[equal, contrast] = np.asarray(
        theirs.random_contrast.transform_images(known[equal], given)
    )
    for names, expected in known.items():
        numbers = [
            theirs._AUGMENT_LAYERS.index(n) for n in ([names] * (type(names) is str) or names)
        ]
        chosen = np.array((*numbers, 11)[:2], "int32")  # 11: none
        given = {**drawn, "layer_idxes": ops.convert_to_tensor(chosen)}
        y = ours.transform_images(x, given)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=0.02, err_msg=str(names))
        z = first.transform_images(ops.moveaxis(x, -1, 1), given)
        np.testing.assert_allclose(ops.moveaxis(z, 1, -1), y, rtol=1e-4, atol=0.01)


def test_the_layers_inside_are_those_of_keras():
    """Their settings, and those that move images, which are compared in files of their own."""
    for name, options in (("RandAugment", {"factor": 0.4}), ("AugMix", {"all_ops": False})):
        ours, theirs = (
            getattr(home, name)(**options, interpolation="nearest", value_range=(0, 1), seed=3)
            for home in (layers, keras.layers)
        )
        names = getattr(theirs, "_AUGMENT_LAYERS", None) or theirs._augment_layers
        assert sorted(ours._steps) == sorted(names)
        for step in names:
            found, known = (
                layer.get_config() for layer in (ours._steps[step], getattr(theirs, step))
            )
            for config in (found, known):
                del config["name"], config["dtype"]
            assert found == known


def test_rand_augment_moves_masks_as_images():
    layer = layers.RandAugment(seed=1)
    names = [*layer._steps]
    drawn = layer.get_random_transformation(X)
    masks = ops.convert_to_tensor((X[..., :1] > 99).astype("int32"))
    for name in ("random_shear", "random_translation", "random_rotation", "solarization"):
        chosen = ops.convert_to_tensor(np.array([names.index(name), 10], "int32"))
        found = layer.transform_segmentation_masks(masks, {**drawn, "layer_idxes": chosen})
        step = layer._steps[name]
        expected = step.transform_segmentation_masks(masks, drawn["transforms"][name])
        assert found.dtype == "int32"
        np.testing.assert_array_equal(found, expected)
    seen = {int(i) for _ in range(50) for i in layer.get_random_transformation(X)["layer_idxes"]}
    assert seen == set(range(11))


def test_aug_mix_as_its_formula():
    layer = layers.AugMix(value_range=(0, 200), num_chains=2, chain_depth=3, factor=0.5, seed=2)
    names = [*layer._steps]
    drawn = layer.get_random_transformation(X)
    chosen = np.array([[3, 11, 9], [11, 0, 8]], "int32")  # 11: nothing
    drawn["layer_idxes"] = ops.convert_to_tensor(chosen)
    x = ops.convert_to_tensor(X)
    v, w = drawn["chain_mixing_weights"].numpy(), float(drawn["weight_sample"].numpy())
    assert abs(v.sum() - 1) < 1e-6 and v.min() > 0 and 0 < w < 1
    masks = ops.convert_to_tensor(X[..., :1])
    for method, given, high in (("transform_images", x, 200),
                                ("transform_segmentation_masks", masks, np.inf)):  # fmt: skip
        expected = w * given.numpy()
        for c in range(2):
            y = given
            for d in range(3):
                if chosen[c, d] < 11:
                    name = names[chosen[c, d]]
                    y = getattr(layer._steps[name], method)(
                        y, drawn["chain_transforms"][c][d][name]
                    )
            expected = expected + (1 - w) * v[c] * y.numpy()
        found = getattr(layer, method)(given, drawn)
        np.testing.assert_allclose(found, np.clip(expected, -np.inf, high), rtol=1e-5, atol=1e-3)


def test_aug_mix_draws():
    layer = layers.AugMix(num_chains=2, chain_depth=1, alpha=4.0, seed=7)
    drawn = [layer.get_random_transformation(X[:1, :2, :2]) for _ in range(70)]
    v = np.array([d["chain_mixing_weights"].numpy() for d in drawn])
    w = np.array([float(d["weight_sample"].numpy()) for d in drawn])
    for share in (v[:, 0], w):  # B(4, 4): variance 1 / 36
        assert abs(share.mean() - 0.5) < 0.06 and abs(share.var() * 36 - 1) < 0.6
    seen = {int(i) for d in drawn for i in d["layer_idxes"].numpy().ravel()}
    assert seen == set(range(12))


# --- elastic ---


def test_elastic_moves():
    layer = layers.RandomElasticTransform((1, 1), (0.8, 0.8), fill_mode="nearest", seed=4)
    images = RNG.uniform(0, 255, (40, 40, 60, 2)).astype("float32")
    drawn = layer.get_random_transformation(images)
    moves = drawn["moves"].numpy()
    assert moves.shape == (40, 40, 60, 2) and drawn["apply_transform"].numpy().all()
    assert float(drawn["distortion_factor"].numpy()) == np.float32(0.8)
    sigma, alpha = 0.05 * 40 * 0.8, 0.1 * 60 * 0.8  # the blur makes σ of it σ / (2 σ √π)
    middle = moves[:, 8:-8, 8:-8]
    assert abs(middle.std() / (alpha / (2 * np.sqrt(np.pi))) - 1) < 0.03 and sigma > 1.5
    assert abs(middle.mean()) < 0.02
    near = (middle[:, 1:] * middle[:, :-1]).mean() / middle.var()
    assert abs(near / np.exp(-1 / (4 * sigma**2)) - 1) < 0.03
    y = layer.transform_images(ops.convert_to_tensor(images), drawn).numpy()
    masks = layer.transform_segmentation_masks(
        ops.convert_to_tensor(images[..., :1].astype("int32")), drawn
    )
    for n, i, j in RNG.integers(0, 40, (30, 3)):
        p = np.clip(np.array([i, j]) + moves[n, i, j], 0, (39, 59))
        (a, b), (s, t) = np.floor(p).astype(int), p % 1
        c, d = min(a + 1, 39), min(b + 1, 59)
        x = images[n]
        above, below = (1 - t) * x[a, b] + t * x[a, d], (1 - t) * x[c, b] + t * x[c, d]
        np.testing.assert_allclose(y[n, i, j], (1 - s) * above + s * below, rtol=1e-3, atol=0.05)
        a, b = np.floor(p + 0.5).astype(int)
        assert masks.numpy()[n, i, j, 0] == int(images[n, a, b, 0])


def test_elastic_settings():
    first = layers.RandomElasticTransform(seed=3, data_format="channels_first")
    last = layers.RandomElasticTransform(seed=3)
    y = first(np.moveaxis(X, -1, 1), training=True).numpy()
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), last(X, training=True).numpy(), rtol=1e-5)
    for still in ({"scale": 0.0}, {"factor": 0}):
        layer = layers.RandomElasticTransform(**still)
        assert layer.get_random_transformation(X) is None
        np.testing.assert_array_equal(layer(X, training=True).numpy(), X)
    held = layers.RandomElasticTransform(value_range=(50, 60), fill_value=9.0)
    y = held(X, training=True).numpy()
    assert y.min() >= 50 and y.max() <= 60
    some = layers.RandomElasticTransform((0.5, 0.5), (1, 1), seed=1)
    moved = [(some(X, training=True).numpy() != X).any((1, 2, 3)) for _ in range(100)]
    assert 0.4 < np.mean(moved) < 0.6


# --- CLAHE ---

OPTIONS = [
    ((2, 20, 19, 3), {}),
    ((1, 7, 8, 1), {"value_range": (-1, 1), "tile_grid_size": (3, 2), "clip_limit": 1.5}),
]


@pytest.mark.parametrize(("shape", "options"), OPTIONS)
def test_clahe_as_keras(shape, options):
    ours, theirs = (getattr(home, CLAHE)(name="c", **options) for home in (layers, keras.layers))
    config, known = ours.get_config(), theirs.get_config()
    del config["dtype"], known["dtype"]
    assert config == known
    assert layers.deserialize(layers.serialize(ours)).get_config() == ours.get_config()
    first = type(ours)(**options, data_format="channels_first")
    x = RNG.uniform(0, 255, shape).astype("float32")
    x = x / 127.5 - 1 if "value_range" in options else np.round(x)
    expected = np.asarray(theirs(x))
    for training in (True, False):
        y = ours(x, training=training).numpy()
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(ours(x[0]).numpy(), expected[0], rtol=1e-4, atol=1e-3)
    z = first(np.moveaxis(x, -1, 1)).numpy()
    np.testing.assert_allclose(np.moveaxis(z, 1, -1), expected, rtol=1e-4, atol=1e-3)
    assert ours.compute_output_shape((None, None, None, 3)) == (None, None, None, 3)


def by_loops(x, clip, grid):
    """CLAHE of one channel (H, W), values from 0 to 255, pixel by pixel."""
    tile = [-(-n // k) for n, k in zip(x.shape, grid)]
    ends = [k * size - n for n, k, size in zip(x.shape, grid, tile)]
    whole = np.pad(x, [(0, n) for n in ends], mode="symmetric").astype(int)
    pixels, tables = tile[0] * tile[1], {}
    for i, j in np.ndindex(*grid):
        part = whole[i * tile[0] : (i + 1) * tile[0], j * tile[1] : (j + 1) * tile[1]]
        counts = np.bincount(part.ravel(), minlength=256).astype(float)
        if clip:
            excess = np.maximum(counts - clip * pixels / 256, 0)
            counts = counts - excess + excess.sum() / 256
        sums = counts.cumsum() - counts[0]
        tables[i, j] = sums * 255 / ((pixels - counts[0]) or 1)
    y = np.zeros(x.shape)
    for i, j in np.ndindex(*x.shape):
        places = [(p - size / 2) / size for p, size in zip((i, j), tile)]
        for a, b in np.ndindex(2, 2):
            near = [int(np.floor(p)) + k for p, k in zip(places, (a, b))]
            weight = np.prod([1 - abs(p - t) for p, t in zip(places, near)])
            at = tuple(np.clip(t, 0, k - 1) for t, k in zip(near, grid))
            y[i, j] += weight * tables[at][whole[i, j]]
    return y


@pytest.mark.parametrize(("shape", "clip", "grid"), [((8, 9), 0, (2, 3)), ((2, 3), 4.0, (8, 8)),
                                                     ((9, 6), 2.5, (2, 2))])  # fmt: skip
def test_clahe_by_loops(shape, clip, grid):
    x = RNG.integers(0, 256, (2, *shape, 2)).astype("float32")
    layer = layers.ContrastLimitedAdaptiveHistogramEqualization((0, 255), clip, grid)
    y = layer(x).numpy()
    for n, c in np.ndindex(2, 2):
        expected = by_loops(x[n, ..., c], clip, grid)
        np.testing.assert_allclose(y[n, ..., c], expected, rtol=1e-4, atol=1e-3)


def test_clahe_of_integers_and_of_one_value():
    layer = layers.ContrastLimitedAdaptiveHistogramEqualization()
    x = RNG.integers(0, 256, (2, 20, 19, 3)).astype("uint8")
    y = layer(x).numpy()
    assert y.dtype == np.uint8
    floats = layer(x.astype("float32")).numpy()
    np.testing.assert_array_equal(y, floats.astype("uint8"))  # cut to whole numbers
    flat = np.full((1, 9, 8, 1), 7.0, "float32")
    np.testing.assert_allclose(layer(flat)[0, ..., 0], by_loops(flat[0, ..., 0], 4, (8, 8)), 1e-4)
    model = gpunn.Sequential([gpunn.Input((8, 8, 1)), layer])
    assert model.output_shape == (None, 8, 8, 1)


def test_clahe_errors():
    with pytest.raises(ValueError, match="clip_limit must be a number, received 'x'"):
        layers.ContrastLimitedAdaptiveHistogramEqualization(clip_limit="x")
    with pytest.raises(ValueError, match="tile_grid_size"):
        layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(0, 3))
    with pytest.raises(ValueError, match="value_range must be a pair"):
        layers.ContrastLimitedAdaptiveHistogramEqualization(value_range=3)


KINDS = [
    ("RandAugment", {"factor": (0.2, 0.4)}),
    ("AugMix", {"num_chains": 2, "chain_depth": 1}),
    ("RandomElasticTransform", {"factor": (1, 1), "scale": (0.9, 0.9)}),
    ("RandomColorDegeneration", {"factor": (0.2, 0.4)}),
    (CLAHE, {"tile_grid_size": (2, 3)}),
]


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_the_same_on_a_simulated_gpu(simulated_gpu, name, options):
    seed = {} if name == CLAHE else {"seed": 6}
    expected = getattr(layers, name)(**options, **seed)(X[:, :5, :6], training=True).numpy()
    with gpunn.device("gpu:0"):
        found = getattr(layers, name)(**options, **seed)(X[:, :5, :6], training=True)
        assert found.device.startswith("gpu")
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=2e-2)
