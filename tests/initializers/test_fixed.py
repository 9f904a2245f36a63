"""Initializers without chance: constants, identity, given values, Fourier kernels; `get`."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from gpunn import config, initializers, ops
from gpunn.errors import ShapeError
from gpunn.initializers.windows import window


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int32", "bool"])
def test_constants(dtype):
    for initializer, value in (
        (initializers.Zeros(), 0),
        (initializers.Ones(), 1),
        (initializers.Constant(3), 3),
    ):
        w = initializer((2, 3), dtype)
        assert (w.shape, w.dtype) == ((2, 3), dtype)
        assert (w.numpy() == np.full((2, 3), value).astype(dtype)).all()
    assert initializers.Zeros()(shape=()).shape == ()
    assert initializers.Ones()(4).shape == (4,)


def test_no_dtype_is_floatx():
    config.set_floatx("float64")
    for name in ("zeros", "ones", "constant", "identity", "glorot_uniform"):
        assert initializers.get(name)((2, 2)).dtype == "float64"


def test_constant_takes_arrays_that_broadcast():
    table = np.arange(6.0).reshape(2, 3)
    assert (initializers.Constant(table)((2, 3)).numpy() == table).all()
    assert (initializers.Constant([1, 2, 3])((2, 3)).numpy() == [[1, 2, 3]] * 2).all()
    with pytest.raises(
        ShapeError, match=r"does not broadcast to the weight \(value \(2, 3\), weight \(3, 2\)"
    ):
        initializers.Constant(table)((3, 2))


def test_values_are_the_weights_own():
    table = np.zeros((2, 2), np.float32)
    for initializer in (initializers.Constant(table), initializers.get(table)):
        w = initializer((2, 2))
        table[...] = 7
        assert (w.numpy() == 0).all()
        table[...] = 0


def test_identity():
    assert (initializers.Identity(2.0)((3, 3)).numpy() == 2 * np.eye(3)).all()
    assert (initializers.Identity()((2, 4)).numpy() == np.eye(2, 4)).all()
    with pytest.raises(
        ShapeError, match=r"Identity: the weight must be a matrix \(shape \(2, 2, 2\)\)"
    ):
        initializers.Identity()((2, 2, 2))


def test_unknown_lengths_are_refused():
    for name in ("zeros", "constant", "identity", "stft"):
        with pytest.raises(
            ShapeError, match=r"every length of a weight must be known \(shape \(2, None"
        ):
            initializers.get(name)((2, None))


# --- Fourier kernels -----------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize(("name", "periodic"), [("hann", False), ("hamming", True), (None, False)])
def test_stft_is_that_of_keras(side, scaling, name, periodic, keras):
    options = {"side": side, "window": name, "scaling": scaling, "periodic": periodic}
    w = initializers.STFT(**options)((20, 1, 17))
    assert (w.shape, w.dtype) == ((20, 1, 17), "float32")
    theirs = np.asarray(keras.initializers.STFT(**options)((20, 1, 17)))
    np.testing.assert_allclose(w.numpy(), theirs, atol=3e-5)  # Keras' angles are float32


def test_stft_kernels_take_the_fourier_transform():
    frame = np.random.default_rng(0).normal(size=16)
    g = np.random.default_rng(1).uniform(0.5, 1, 16)
    real, imag = (
        initializers.STFT(side, g, scaling=None)((16, 2, 9), "float64").numpy()
        for side in ("real", "imag")
    )
    expected = np.fft.rfft(frame * g)
    for channel in range(2):
        found = frame @ real[:, channel] + 1j * (frame @ imag[:, channel])
        np.testing.assert_allclose(found, expected, atol=1e-12)


WINDOWS = """
    boxcar triang bartlett hann hamming blackman nuttall blackmanharris flattop cosine lanczos
    bohman barthann parzen tukey taylor exponential box ones rect rectangular triangle tri bart brt
    han hamm ham black blk nutl nut blackharr bkh flat flt halfcosine sinc bman bmn brthan bth parz
    par tuk taylorwin poisson
"""


def test_windows_are_those_of_scipy():
    get_window = pytest.importorskip("scipy.signal").get_window
    for name in WINDOWS.split():
        for n in (1, 2, 3, 4, 7, 8, 33):
            for periodic in (False, True):
                expected = get_window(name, n, fftbins=periodic)
                np.testing.assert_allclose(
                    window(name, n, periodic), expected, atol=1e-14, err_msg=name
                )


def test_stft_errors():
    with pytest.raises(ValueError, match=r"Unknown side: 'reel'\. Did you mean 'real'"):
        initializers.STFT("reel")
    with pytest.raises(ValueError, match=r"Unknown scaling: 'densty'\. Did you mean 'density'"):
        initializers.STFT(scaling="densty")
    with pytest.raises(ValueError, match=r"Unknown window: 'hannn'\. Did you mean 'hann'"):
        initializers.STFT(window="hannn")
    with pytest.raises(
        ShapeError, match=r"STFT: the weight must be of shape .* \(shape \(8, 5\)\)"
    ):
        initializers.STFT()((8, 5))
    with pytest.raises(
        ShapeError, match=r"one value a sample of the frame \(window \(5,\), frame length 8"
    ):
        initializers.STFT(window=np.ones(5))((8, 1, 5))


# --- names and configs ---------------------------------------------------------------------------


def test_the_module_has_what_keras_has(keras):
    for name in (n for n in dir(keras.initializers) if n[0] != "_"):
        theirs, ours = getattr(keras.initializers, name), getattr(initializers, name)
        if inspect.isclass(theirs):
            parameters = inspect.signature(theirs).parameters
            assert list(inspect.signature(ours).parameters) == list(parameters), name
            for p in parameters.values():
                assert inspect.signature(ours).parameters[p.name].default == p.default
            if name != "Initializer":
                assert type(initializers.get(name)) is ours


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Zeros", {}),
        ("Ones", {}),
        ("Constant", {"value": 2.5}),
        ("Identity", {"gain": 2.0}),
        ("STFT", {"side": "imag", "window": "hamming", "scaling": None, "periodic": True}),
    ],
)
def test_configs_round_trip_and_are_those_of_keras(name, options, keras):
    initializer = getattr(initializers, name)(**options)
    if name != "Identity":  # Keras 3.15 forgets the gain
        assert initializer.get_config() == getattr(keras.initializers, name)(**options).get_config()
    shape = (4, 4) if name == "Identity" else (4, 1, 3)
    for copy in (
        initializers.deserialize(initializers.serialize(initializer)),
        initializer.clone(),
    ):
        assert type(copy) is type(initializer) and copy == initializer and copy is not initializer
        assert (copy(shape).numpy() == initializer(shape).numpy()).all()


def test_configs_with_arrays_round_trip():
    table = np.float32([[0.1, 0.2]])
    for initializer in (
        initializers.Constant(table),
        initializers.get(table),
        initializers.STFT(window=np.float32([0.5, 1.0])),
    ):
        copy = initializers.deserialize(initializers.serialize(initializer))
        assert copy == initializer
        shape = (2, 1, 3) if isinstance(initializer, initializers.STFT) else (1, 2)
        assert (copy(shape).numpy() == initializer(shape).numpy()).all()


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("glorot_uniform", "GlorotUniform"), ("he_normal", "HeNormal"), ("normal", "RandomNormal"),
        ("uniform", "RandomUniform"), ("zero", "Zeros"), ("one", "Ones"), ("stft", "STFT"),
        ("OrthogonalInitializer", "Orthogonal"), ("IdentityInitializer", "Identity"),
        ("STFTInitializer", "STFT"), ("lecun_uniform", "LecunUniform"),
    ],
)  # fmt: skip
def test_get_by_name_gives_a_new_instance(name, cls):
    assert type(initializers.get(name)) is getattr(initializers, cls)
    assert initializers.get(name) is not initializers.get(name)


def test_get_by_other_ways():
    def own(shape, dtype=None):
        return ops.ones(shape, dtype)

    assert initializers.get(None) is None
    assert initializers.get(own) is own
    assert type(initializers.get(initializers.HeNormal)) is initializers.HeNormal
    initializer = initializers.Constant(2.0)
    assert initializers.get(initializer) is initializer
    assert initializers.get({"class_name": "Constant", "config": {"value": 2.0}}) == initializer


@pytest.mark.parametrize("convert", [np.asarray, ops.convert_to_tensor])
def test_get_of_an_array_gives_its_values(convert):
    initializer = initializers.get(convert(np.float32([[1, 2], [3, 4]])))
    w = initializer((2, 2), "float64")
    assert w.dtype == "float64" and w.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ShapeError, match=r"given values have shape \(2, 2\), the weight \(4, 1\)"):
        initializer((4, 1))


def test_own_initializers():
    class Twos(initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return ops.full(shape, 2, dtype)

    description = initializers.serialize(Twos())
    assert initializers.deserialize(description, {"Twos": Twos}) == Twos()
    with pytest.raises(ValueError, match="Unknown initializer: 'Twos'"):
        initializers.deserialize(description)
    with pytest.raises(NotImplementedError, match="Initializer does not say what its values are"):
        initializers.Initializer()((2,))


def test_errors():
    with pytest.raises(
        ValueError, match=r"Unknown initializer: 'glorot_unifrom'\. Did you mean 'glorot_"
    ):
        initializers.get("glorot_unifrom")
    with pytest.raises(ValueError, match=r"Cannot interpret \[1, 2\] as initializer"):
        initializers.get([1, 2])
