"""STFTSpectrogram and MelSpectrogram: the numbers, shapes and configs of Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
SIGNAL = RNG.standard_normal((2, 60, 3)).astype("float32")
MODES = ["log", "magnitude", "psd", "real", "imag", "angle", "stft"]
MELS = [
    (
        {"fft_length": 64, "sequence_length": 48, "sequence_stride": 30, "num_mel_bins": 6,
         "mag_exp": 1.0, "ref_power": 2.0, "top_db": 10, "window": "hamming"},
        (200,),
    ),
    (
        {"power_to_db": False, "window": None, "fft_length": 64, "sequence_stride": 25,
         "num_mel_bins": 5, "max_freq": 3000.0, "sampling_rate": 8000},
        (2, 200),
    ),
]  # fmt: skip


def close(mode, y, expected):
    if mode == "angle":  # -π and π are one
        y, expected = np.exp(1j * y), np.exp(1j * expected)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("mode", MODES)
def test_stft_spectrogram_as_keras(mode):
    options = {"mode": mode, "frame_length": 20, "frame_step": 7, "window": "hamming", "name": "s"}
    ours, theirs = (home.STFTSpectrogram(**options) for home in (layers, keras.layers))
    expected = np.asarray(theirs(SIGNAL))
    close(mode, ours(SIGNAL).numpy(), expected)
    assert [(w.path, w.shape) for w in ours.weights] == [
        (w.path, tuple(w.shape)) for w in theirs.weights
    ]
    config, known = ours.get_config(), theirs.get_config()
    del config["dtype"], known["dtype"]
    assert config == known
    arrangements = (
        ("channels_first", False, "valid"),
        ("channels_last", True, "same"),
        ("channels_first", True, "same"),
    )
    for order, wide, padding in arrangements:
        more = {**options, "data_format": order, "expand_dims": wide, "padding": padding}
        layer, known = (home.STFTSpectrogram(**more) for home in (layers, keras.layers))
        x = SIGNAL if order == "channels_last" else SIGNAL.swapaxes(1, 2)
        y = layer(x).numpy()
        assert y.shape == known.compute_output_shape(x.shape)
        unknown = (None, None, 3) if order == "channels_last" else (None, 3, None)
        assert layer.compute_output_shape(unknown) == tuple(known.compute_output_shape(unknown))
        if padding == "valid":
            close(mode, y.swapaxes(1, 2), expected)
        elif order == "channels_last":
            wide_y = y
            flat = layers.STFTSpectrogram(**{**more, "expand_dims": False})(x).numpy()
            close(mode, y.transpose(0, 1, 3, 2).reshape(flat.shape), flat)
        else:
            close(mode, y, wide_y.transpose(0, 3, 1, 2))


def test_stft_spectrogram_is_the_fourier_transform():
    x = RNG.standard_normal((1, 300, 1))
    layer = layers.STFTSpectrogram("stft", 100, 50, scaling=None, window="hann", dtype="float64")
    y = layer(x).numpy()[0]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(100) / 99)
    for t, row in enumerate(y):
        expected = np.fft.rfft(x[0, 50 * t : 50 * t + 100, 0] * window, 128)
        np.testing.assert_allclose(row, [*expected.real, *expected.imag], atol=1e-10)
    assert layers.STFTSpectrogram(frame_length=100)(x).shape == (1, 5, 65)  # 50 steps, 128 terms


def test_stft_spectrogram_same_padding_and_given_windows_as_keras():
    options = {"frame_length": 16, "padding": "same", "window": np.hanning(16), "mode": "psd",
               "fft_length": 32, "scaling": "spectrum", "expand_dims": True}  # fmt: skip
    ours, theirs = (home.STFTSpectrogram(**options) for home in (layers, keras.layers))
    np.testing.assert_allclose(ours(SIGNAL), np.asarray(theirs(SIGNAL)), rtol=1e-4, atol=1e-6)
    again = layers.deserialize(layers.serialize(ours))
    np.testing.assert_array_equal(again(SIGNAL), ours(SIGNAL))


@pytest.mark.parametrize("mode", MODES)
def test_gradients_of_the_stft_spectrogram(mode):
    layer = layers.STFTSpectrogram(mode, 8, 4, dtype="float64", expand_dims=True)
    x = RNG.standard_normal((1, 20, 2))
    layer(x)
    c = RNG.standard_normal(layer(x).shape)
    kernel = layer.weights[0]

    def loss(values):
        return ops.sum(layer(values) * c)

    tensor = ops.convert_to_tensor(x)
    with gpunn.GradientTape() as tape:
        tape.watch(tensor)
        y = loss(tensor)
    dx, dw = (g.numpy() for g in tape.gradient(y, [tensor, kernel]))
    for at in ((0, 9, 0), (0, 14, 1)):
        step = np.zeros_like(x)
        step[at] = 1e-6
        slope = (float(loss(x + step).numpy()) - float(loss(x - step).numpy())) / 2e-6
        np.testing.assert_allclose(dx[at], slope, rtol=1e-5, atol=1e-6)
    start, at = kernel.numpy().copy(), (3, 0, 2)
    values = []
    for sign in (1, -1):
        moved = start.copy()
        moved[at] += sign * 1e-6
        kernel.assign(moved)
        values.append(float(loss(x).numpy()))
    np.testing.assert_allclose(dw[at], (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("options", "shape"), MELS)
def test_mel_spectrogram_as_keras(options, shape):
    ours, theirs = (home.MelSpectrogram(name="m", **options) for home in (layers, keras.layers))
    x = RNG.standard_normal(shape).astype("float32")
    expected = np.asarray(theirs(x))
    np.testing.assert_allclose(ours(x), expected, rtol=1e-4, atol=1e-3 * np.abs(expected).max())
    config, known = ours.get_config(), theirs.get_config()
    del config["dtype"], known["dtype"]
    assert config == known
    again = layers.deserialize(layers.serialize(ours))
    np.testing.assert_array_equal(again(x), ours(x))
    batch = (None,) * (len(shape) - 1)
    shown = *batch, expected.shape[-2], None
    assert ours.compute_output_shape((None,) * len(shape)) == shown


def test_the_mel_matrix_as_keras():
    for options in ({}, {"num_mel_bins": 12, "num_spectrogram_bins": 65, "sampling_rate": 16000,
                         "lower_edge_hertz": 0.0, "upper_edge_hertz": 8000.0}):  # fmt: skip
        ours, theirs = (
            np.asarray(home.MelSpectrogram().linear_to_mel_weight_matrix(**options))
            for home in (layers, keras.layers)
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_mel_spectrogram_dtypes_windows_and_gradient():
    x = RNG.standard_normal(400)
    given = {"fft_length": 64, "sequence_stride": 32, "num_mel_bins": 5}
    half = layers.MelSpectrogram(**given, dtype="float16")
    assert half(x).dtype == "float16"
    np.testing.assert_allclose(half(x), layers.MelSpectrogram(**given)(x), rtol=2e-3, atol=0.05)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    same = layers.MelSpectrogram(**given, window=window)
    np.testing.assert_allclose(same(x), layers.MelSpectrogram(**given)(x), atol=1e-4)
    assert layers.deserialize(layers.serialize(same))(x).shape == (5, 13)

    layer = layers.MelSpectrogram(**given, dtype="float64", mag_exp=3.0, top_db=1e9)
    tensor = ops.convert_to_tensor(x)
    with gpunn.GradientTape() as tape:
        tape.watch(tensor)
        y = ops.sum(layer(tensor) ** 2)
    dx = tape.gradient(y, [tensor])[0].numpy()
    for at in (3, 200, 399):
        step = np.zeros_like(x)
        step[at] = 1e-6
        values = [float(ops.sum(layer(x + s * step) ** 2).numpy()) for s in (1, -1)]
        np.testing.assert_allclose(dx[at], (values[0] - values[1]) / 2e-6, rtol=1e-5)


@pytest.mark.filterwarnings("error")  # of steps that cannot be recorded
def test_spectrograms_in_a_model():
    model = gpunn.Sequential(
        [gpunn.Input((None, 1)), layers.STFTSpectrogram(frame_length=16), layers.LSTM(2)]
    )
    model.compile("sgd", "mse", jit_compile=True)
    x = RNG.standard_normal((12, 64, 1))
    before = model.get_weights()[0]
    model.fit(x, np.zeros((12, 2)), batch_size=3, epochs=2, verbose=0)
    assert model.output_shape == (None, 2) and np.abs(model.get_weights()[0] - before).max() > 0
    still = layers.STFTSpectrogram(frame_length=16, trainable=False)
    still(x)
    assert not still.trainable_weights and len(still.weights) == 2


def test_the_same_on_a_simulated_gpu(simulated_gpu):
    x = SIGNAL[..., 0]
    for make in (
        lambda: layers.STFTSpectrogram("log", 8, 4),
        lambda: layers.MelSpectrogram(16, 8, num_mel_bins=3, window=np.hanning(16)),
    ):
        given = x[..., None] if isinstance(make(), layers.STFTSpectrogram) else x
        expected = make()(given).numpy()
        with gpunn.device("gpu:0"):
            found = make()(given)
            assert found.device.startswith("gpu")
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-3)


ERRORS = [
    (lambda: layers.STFTSpectrogram("logs"), "Unknown mode of STFTSpectrogram: 'logs'.*'log'"),
    (lambda: layers.STFTSpectrogram(padding="causal"), "Unknown padding of STFTSpectrogram"),
    (lambda: layers.STFTSpectrogram(scaling="x"), "Unknown scaling of STFTSpectrogram"),
    (lambda: layers.STFTSpectrogram(window="hnan"), "Unknown window"),
    (lambda: layers.STFTSpectrogram(frame_length=0), "frame_length must be a positive integer"),
    (lambda: layers.STFTSpectrogram(frame_length=4, frame_step=5), "received 5 and 4"),
    (lambda: layers.STFTSpectrogram(fft_length=200), "at least frame_length, received 200 and 256"),
    (lambda: layers.STFTSpectrogram()(np.zeros((2, 300))), "300"),
    (lambda: layers.STFTSpectrogram().compute_output_shape((2, 300, None)), "how many channels"),
    (lambda: layers.STFTSpectrogram()(np.zeros((2, 300, 1), int)), "of floats, received int64"),
    (lambda: layers.MelSpectrogram(256, sequence_length=300), "received 256 and 300"),
    (lambda: layers.MelSpectrogram(sequence_stride=0), "sequence_stride must be a positive"),
    (lambda: layers.MelSpectrogram(min_freq=9000.0), "received 9000.0 and 8000"),
    (lambda: layers.MelSpectrogram(window="x")(np.zeros(5000)), "Unknown window of stft"),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors(number):
    call, message = ERRORS[number]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_length_that_is_no_power_of_two():
    with pytest.warns(UserWarning, match="fft_length=300 is no power of 2"):
        layers.STFTSpectrogram(fft_length=300)
