"""audio_dataset_from_directory: real wav files, written here."""

import wave

import numpy as np
import pytest

import gpunn
from gpunn.utils import audio_dataset_from_directory

RNG = np.random.default_rng(0)


def write(path, values, rate=8000, width=2):
    """Integers (length, channels) as a wav file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        flat = values.ravel()
        if width == 1:
            data = (flat + 128).astype(np.uint8).tobytes()
        else:
            data = b"".join(int(v).to_bytes(width, "little", signed=True) for v in flat)
        file.writeframes(data)


@pytest.fixture
def folder(tmp_path):
    """Two classes of three sounds each, of 5 to 10 samples."""
    sounds = {}
    for k, name in enumerate(["cat", "dog"]):
        for i in range(3):
            values = RNG.integers(-(2**15), 2**15, (5 + 3 * k + i, 1))
            write(tmp_path / name / f"{i}.wav", values)
            sounds[name, i] = values[:, 0] / 2**15
    return tmp_path, sounds


def test_batches(folder, capsys):
    root, sounds = folder
    data = audio_dataset_from_directory(root, batch_size=4, shuffle=False)
    assert capsys.readouterr().out == "Found 6 files belonging to 2 classes.\n"
    assert data.class_names == ["cat", "dog"] and len(data) == 2
    (x, y), (rest, _) = list(data)
    assert x.shape == (4, 8, 1) and x.dtype == np.float32  # as long as the longest of the batch
    assert rest.shape == (2, 10, 1) and y.tolist() == [0, 0, 0, 1]
    expected = [sounds["cat", 0], sounds["cat", 1], sounds["cat", 2], sounds["dog", 0]]
    for found, known in zip(x[..., 0], expected, strict=True):
        np.testing.assert_array_equal(found, [*known, *[0] * (8 - len(known))])


def test_length_labels_and_split(folder):
    root, sounds = folder
    options = {"output_sequence_length": 6, "verbose": False, "shuffle": False}
    (x,) = audio_dataset_from_directory(root, labels=None, **options)
    assert x.shape == (6, 6, 1)
    np.testing.assert_array_equal(x[5, :, 0], sounds["dog", 2][:6])
    ((_, y),) = audio_dataset_from_directory(root, label_mode="categorical", **options)
    np.testing.assert_array_equal(y, np.repeat(np.eye(2), 3, axis=0))
    train, validation = audio_dataset_from_directory(
        root, validation_split=0.34, subset="both", verbose=False, seed=1
    )
    assert len({*train.file_paths, *validation.file_paths}) == 6
    assert len(validation.file_paths) == 2
    one = next(iter(audio_dataset_from_directory(root, batch_size=None, **options)))
    assert one[0].shape == (6, 1)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_widths_and_channels(tmp_path, width):
    top = 2 ** (8 * width - 1)
    values = np.array([[-top, top - 1], [0, 1], [top // 2, -(top // 2)]])
    write(tmp_path / "x.wav", values, width=width)
    (x,) = audio_dataset_from_directory(tmp_path, labels=None, verbose=False)
    np.testing.assert_allclose(x[0], values / top, rtol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(8000, 16000), (8000, 4000), (8000, 6000), (100, 250)])
def test_sampling_rate(tmp_path, old, new):
    """A tone below both halves of the rates is the same tone; n and m even and odd."""
    for n in (200, 101):
        cycles = 7
        tone = np.sin(2 * np.pi * cycles * np.arange(n) / n) * 0.5
        write(tmp_path / "x.wav", np.round(tone * 2**31)[:, None], old, 4)
        (x,) = audio_dataset_from_directory(tmp_path, labels=None, sampling_rate=new, verbose=False)
        m = round(n * new / old)
        expected = np.sin(2 * np.pi * cycles * np.arange(m) / m) * 0.5
        assert x.shape == (1, m, 1)
        np.testing.assert_allclose(x[0, :, 0], expected, atol=1e-6)


def test_a_model_learns_from_it(folder):
    root, _ = folder
    data = audio_dataset_from_directory(root, output_sequence_length=8, verbose=False, seed=1)
    model = gpunn.Sequential([gpunn.layers.Flatten(), gpunn.layers.Dense(2)])
    model.compile("sgd", gpunn.losses.SparseCategoricalCrossentropy(from_logits=True))
    loss = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert loss[1] < loss[0]


def test_errors(folder):
    root, _ = folder
    with pytest.raises(ValueError, match="ragged=True is not supported"):
        audio_dataset_from_directory(root, ragged=True)
    for name in ("sampling_rate", "output_sequence_length"):
        with pytest.raises(ValueError, match=f"{name} must be a positive integer or None"):
            audio_dataset_from_directory(root, **{name: 0})
    write(root / "dog" / "3.wav", np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"files of a batch have \[1, 2\] channels"):
        list(audio_dataset_from_directory(root, verbose=False))
    (root / "cat" / "4.wav").write_bytes(b"RIFF----nothing")
    with pytest.raises(ValueError, match="4.wav is no wav file of integers"):
        list(audio_dataset_from_directory(root, verbose=False))
    with pytest.raises(ValueError, match="no audio files found .* end in .wav"):
        audio_dataset_from_directory(root / "cat", class_names=[], verbose=False)
