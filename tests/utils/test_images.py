"""Images: the same files and arrays through Keras' functions and ours."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import io
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

import gpunn
from gpunn import utils
from gpunn.errors import MissingExtraError

keras = pytest.importorskip("keras")
pillow = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(0)


def pixels(*shape):
    return RNG.integers(0, 256, shape).astype("uint8")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [True, False])
def test_arrays_and_images(channels, scale):
    x = RNG.uniform(5, 200, (5, 6, channels)).astype("float32")
    for data_format in (None, "channels_first"):
        given = np.moveaxis(x, -1, 0) if data_format else x
        found = [(k.utils.array_to_img(given, data_format, scale), k.utils) for k in (gpunn, keras)]
        assert found[0][0].mode == found[1][0].mode
        arrays = [u.img_to_array(image, data_format) for image, u in found]
        np.testing.assert_allclose(*arrays, atol=1)  # rounding of x·255/max
        assert arrays[0].dtype == arrays[1].dtype == "float32"
        assert arrays[0].shape == given.shape


def test_deep_and_constant_images():
    deep = np.full((2, 2, 1), 1000.0)
    assert utils.array_to_img(deep, scale=False).mode == "I"
    assert np.asarray(utils.array_to_img(deep)).max() == 0  # as Keras: no range to stretch


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two classes of images of several sizes and kinds."""
    root = tmp_path_factory.mktemp("images")
    for label, count in (("cats", 5), ("dogs", 4)):
        (root / label).mkdir()
        for i in range(count):
            image = pillow.fromarray(pixels(12 + i, 16 + 2 * i, 3))
            image.save(root / label / f"{i}.{'png' if i % 2 else 'bmp'}")
    pillow.fromarray(pixels(7, 8)).save(root / "dogs" / "grey.png")
    pillow.fromarray(pixels(7, 8, 4)).save(root / "dogs" / "see_through.png")
    (root / "dogs" / "notes.txt").write_text("no image")
    return root


@pytest.mark.parametrize("color", ["grayscale", "rgb", "rgba"])
@pytest.mark.parametrize("keep", [False, True])
def test_loading_as_keras(files, color, keep):
    paths = sorted(files.rglob("*.png"))
    for path, size, method in itertools.product(
        paths, (None, (6, 5), (4, 9)), ("nearest", "bilinear", "bicubic", "lanczos")
    ):
        found = [
            np.asarray(k.utils.load_img(path, color, size, method, keep)) for k in (gpunn, keras)
        ]
        np.testing.assert_array_equal(*found)


def test_loading_from_a_file_object_and_deep_images(files):
    path = files / "cats" / "1.png"
    stream = io.BytesIO(path.read_bytes())
    np.testing.assert_array_equal(utils.load_img(stream), utils.load_img(str(path)))
    deep = io.BytesIO()
    pillow.fromarray(np.array([[0, 70_000]], "int32")).save(deep, "TIFF")
    assert np.asarray(utils.load_img(deep, "grayscale")).max() == 70_000


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.jpg"])
def test_saving_as_keras(tmp_path, name):
    x = RNG.uniform(0, 1, (8, 8, 3))
    for k in (gpunn, keras):
        (tmp_path / k.__name__).mkdir()
        k.utils.save_img(tmp_path / k.__name__ / name, x)
    a, b = (utils.img_to_array(utils.load_img(tmp_path / k / name)) for k in ("gpunn", "keras"))
    np.testing.assert_allclose(a, b, atol=2)


def test_saving_transparency(tmp_path):
    x = pixels(4, 4, 4)
    utils.save_img(tmp_path / "x.png", x, scale=False)
    np.testing.assert_array_equal(np.asarray(utils.load_img(tmp_path / "x.png", "rgba")), x)
    with pytest.warns(UserWarning, match="no transparency"):
        utils.save_img(tmp_path / "x.jpg", x)
    stream = io.BytesIO()
    utils.save_img(stream, x, file_format="png")
    assert stream.getvalue().startswith(b"\x89PNG")


# --- image_dataset_from_directory ---

make = utils.image_dataset_from_directory


def test_a_folder_of_images(files):
    data = make(files, image_size=(6, 8), batch_size=4, shuffle=False, verbose=False)
    batches = list(data)
    assert [x.shape for x, _ in batches] == [(4, 6, 8, 3), (4, 6, 8, 3), (3, 6, 8, 3)]
    assert np.concatenate([y for _, y in batches]).tolist() == [0] * 5 + [1] * 6
    assert batches[0][0].dtype == "float32" and batches[0][1].dtype == "int32"
    assert data.class_names == ["cats", "dogs"]
    assert [Path(path).name for path in data.file_paths[:3]] == ["0.bmp", "1.png", "2.bmp"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"interpolation": "nearest"},
        {"interpolation": "bicubic"},
        {"crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True},
        {"data_format": "channels_first"},
    ],
    ids=str,
)
def test_resized_as_keras_resizes(files, options):
    """Keras' data sets need tensorflow; what they do to an image is load_img and ops.image."""
    color = "grayscale" if options else "rgba"
    data = make(files, image_size=(6, 5), color_mode=color, shuffle=False, verbose=False,
                label_mode=None, batch_size=None, **options)  # fmt: skip
    data_format = options.get("data_format", "channels_last")
    resizing = {"interpolation": "bilinear", **options, "data_format": data_format}
    for image, path in list(zip(data, data.file_paths, strict=True))[3:4]:
        given = keras.utils.img_to_array(keras.utils.load_img(path, color), data_format)
        expected = keras.ops.image.resize(given, (6, 5), **resizing)
        np.testing.assert_allclose(image, expected, atol=1e-3)


def test_labels_and_splits(files):
    train, test = make(files, image_size=4, label_mode="categorical", validation_split=0.4,
                       subset="both", seed=1, verbose=False)  # fmt: skip
    assert (train.size, test.size) == (7, 4)
    assert not set(train.file_paths) & set(test.file_paths)
    ((x, y),) = test
    assert x.shape == (4, 4, 4, 3) and y.shape == (4, 2)
    for path, row in zip(test.file_paths, y, strict=True):
        assert row[["cats", "dogs"].index(Path(path).parent.name)] == 1


def test_refusals(files, tmp_path):
    for arguments, message in (
        ({"color_mode": "gray"}, "Unknown color_mode: 'gray'. Did you mean"),
        ({"image_size": (4, 4, 3)}, r"image_size must be \(height, width\)"),
        ({"format": "tf"}, "format must be 'numpy'"),
        ({"labels": [1, 2]}, "received 2 labels for the 11 files"),
    ):
        with pytest.raises(ValueError, match=message):
            make(files, verbose=False, **arguments)
    with pytest.raises(ValueError, match=r"no image files found in .*\.bmp or \.gif"):
        make(tmp_path, labels=None, verbose=False)
    with pytest.raises(ValueError, match="interpolation"):
        list(make(files, interpolation="cubist", verbose=False))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: utils.array_to_img(np.ones((2, 2))), r"array of shape \(2, 2\)"),
        (lambda: utils.array_to_img(np.ones((2, 2, 2))), "1, 3 or 4 channels are needed"),
        (lambda: utils.array_to_img(np.ones((2, 2, 3)), "last"), "Unknown data_format: 'last'"),
        (lambda: utils.img_to_array(np.ones(2)), "2 or 3 axes"),
        (lambda: utils.load_img("x.png", "bgr"), "Unknown color_mode: 'bgr'"),
        (lambda: utils.load_img("x.png", interpolation="best"), "Unknown interpolation: 'best'"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_no_path():
    with pytest.raises(TypeError, match="path must be a path or a file, received 3"):
        utils.load_img(3)


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"load_img needs the package 'pillow'.*\[images\]"):
        utils.load_img("x.png")
