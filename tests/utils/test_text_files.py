"""text_dataset_from_directory, against Keras' index of the files and loops."""

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import numpy as np
import pytest

import gpunn
from gpunn import layers, utils


@pytest.fixture(scope="module")
def keras_files():
    pytest.importorskip("keras")
    from keras.src.utils import dataset_utils

    return dataset_utils


@pytest.fixture
def folder(tmp_path):
    """Two classes, a part of one in a folder inside, and files of other kinds."""
    for name, texts in {"b": 7, "a": 6, "b/deep": 3, ".hidden": 2}.items():
        (tmp_path / name).mkdir()
        for i in range(texts):
            path = tmp_path / name / f"{i}.{'TXT' if i == 2 else 'txt'}"
            path.write_text(f"{name} {i} é\n", encoding="utf-8")
    (tmp_path / "a" / "notes.md").write_text("no")
    return tmp_path


def read(data):
    """(text, label) of all samples."""
    return [(t, y) for texts, ys in data for t, y in zip(texts, ys.tolist(), strict=True)]


def test_in_order(folder):
    data = utils.text_dataset_from_directory(folder, shuffle=False, batch_size=5, verbose=False)
    expected = [(f"a {i} é\n", 0) for i in range(6)] + [(f"b {i} é\n", 1) for i in range(7)]
    expected += [(f"b/deep {i} é\n", 1) for i in range(3)]
    assert read(data) == expected == read(data)
    assert len(data) == 4 and data.class_names == ["a", "b"]
    texts, labels = next(iter(data))
    assert texts.dtype == object and texts.shape == (5,) and labels.dtype == np.int32
    assert gpunn.preprocessing.text_dataset_from_directory is utils.text_dataset_from_directory


@pytest.mark.parametrize("seed", [1, 5])
def test_split_as_keras_does(folder, keras_files, seed, capsys):
    paths, labels, names = keras_files.index_directory(
        str(folder), "inferred", (".txt",), shuffle=True, seed=seed, verbose=False
    )
    options = {"validation_split": 0.3, "seed": seed, "batch_size": 3}
    both = utils.text_dataset_from_directory(folder, subset="both", **options)
    printed = capsys.readouterr().out
    assert "Found 16 files belonging to 2 classes." in printed
    assert "Using 12 files for training." in printed and "Using 4 files for validation." in printed
    for data, subset in zip(both, ("training", "validation"), strict=True):
        theirs, numbers = keras_files.get_training_or_validation_split(paths, labels, 0.3, subset)
        texts = [Path(path).read_text(encoding="utf-8") for path in theirs]
        expected = list(zip(texts, map(int, numbers), strict=True))
        assert sorted(read(data)) == sorted(expected)
        assert data.class_names == names
        if subset == "validation":
            assert read(data) == expected  # as it is: only training data is shuffled anew
        alone = utils.text_dataset_from_directory(folder, subset=subset, **options)
        assert sorted(read(alone)) == sorted(expected)
    train = both[0]
    assert read(train) != read(train)


def test_label_modes(folder):
    def first(**options):
        made = utils.text_dataset_from_directory(
            folder, shuffle=False, batch_size=16, verbose=False, **options
        )
        return next(iter(made))

    labels = [0] * 6 + [1] * 10
    _, y = first(label_mode="binary")
    assert y.dtype == np.float32 and y.tolist() == [[v] for v in labels]
    _, y = first(label_mode="categorical")
    assert y.dtype == np.float32 and y.tolist() == [[1 - v, v] for v in labels]
    assert first(label_mode=None).shape == first(labels=None).shape == (16,)
    _, y = first(class_names=["b", "a"])
    assert y.tolist() == [0] * 10 + [1] * 6
    _, y = first(labels=list(range(18)))  # of all files, hidden folders included, as in Keras
    assert y.tolist() == list(range(16))
    texts, _ = first(max_length=3)
    assert set(texts) == {*(f"a {i}" for i in range(6)), *(f"b {i}" for i in range(7)), "b/d"}


def test_single_samples(folder):
    data = utils.text_dataset_from_directory(folder, shuffle=False, batch_size=None, verbose=False)
    assert len(data) == 16 and next(iter(data)) == ("a 0 é\n", 0)


def test_links_are_followed_on_request(folder):
    outside = folder / "b" / "deep"
    (folder / "a" / "link").symlink_to(outside, target_is_directory=True)
    for follow, n in ((False, 16), (True, 19)):
        data = utils.text_dataset_from_directory(folder, follow_links=follow, verbose=False)
        assert data.size == n


def test_from_files_to_a_trained_model(folder):
    data = utils.text_dataset_from_directory(folder, batch_size=4, seed=1, verbose=False)
    vectorize = layers.TextVectorization(output_mode="count")
    vectorize.adapt(data)
    assert {"a", "b", "bdeep", "é"} <= set(vectorize.get_vocabulary())
    model = gpunn.Sequential([layers.Dense(1, "sigmoid")])
    model.compile(gpunn.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
    numbers = data.map(lambda texts, y: (vectorize(texts), y))
    model.fit(numbers, epochs=12, verbose=0)
    assert model.evaluate(numbers, verbose=0)[1] == 1.0


def test_text_that_is_not_utf8(folder):
    (folder / "a" / "9.txt").write_bytes(b"abc\xff\xfe")
    data = utils.text_dataset_from_directory(folder, verbose=False)
    with pytest.raises(ValueError, match=r"9.txt is not UTF-8 text \(byte 3: invalid start byte\)"):
        list(data)


WRONG = {
    "Unknown label_mode: 'ints'": {"label_mode": "ints"},
    "labels must be 'inferred', None, or a list": {"labels": "folder"},
    r"class_names=\['a'\] needs labels='inferred'": {"labels": None, "class_names": ["a"]},
    "Unknown subset: 'test'": {"subset": "test"},
    "validation_split must lie between 0 and 1, received 1.5": {"validation_split": 1.5},
    "validation_split and subset go together": {"validation_split": 0.5},
    "a shuffled split needs a seed": {"validation_split": 0.5, "subset": "training"},
    "exactly 2 classes, found .'a'.": {"label_mode": "binary", "class_names": ["a"]},
    "received 3 labels for the 18 files": {"labels": [0, 1, 2]},
    r"class_names \['a', 'z'\] must be subdirectories": {"class_names": ["a", "z"]},
    "no validation text files found": {"validation_split": 0.01, "subset": "both", "seed": 1},
    "format must be 'numpy', received 'grain'": {"format": "grain"},
    "batch_size must be a positive integer": {"batch_size": -2},
}


@pytest.mark.parametrize("message", WRONG)
def test_errors(folder, message):
    with pytest.raises(ValueError, match=message):
        utils.text_dataset_from_directory(folder, verbose=False, **WRONG[message])


def test_no_folder_and_no_files(tmp_path):
    with pytest.raises(ValueError, match="missing is not a directory"):
        utils.text_dataset_from_directory(tmp_path / "missing")
    with pytest.raises(ValueError, match="no text files found in .*end in .txt"):
        utils.text_dataset_from_directory(tmp_path, verbose=False)
