"""Settings: messages, limits, gpunn.backend's functions, compared with Keras."""

import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

import itertools
import logging

import numpy as np
import pytest

import gpunn
from gpunn import config
from gpunn.utils.messages import tell

keras = pytest.importorskip("keras")


def test_interactive_logging(capsys, caplog):
    assert config.is_interactive_logging_enabled()
    tell("one")
    gpunn.utils.disable_interactive_logging()
    try:
        assert not gpunn.utils.is_interactive_logging_enabled()
        with caplog.at_level(logging.INFO, "gpunn"):
            tell("\ntwo")
    finally:
        config.enable_interactive_logging()
    tell("three")
    assert capsys.readouterr().out == "one\nthree\n"
    assert caplog.messages == ["two"]


def test_limits():
    for name in ("max_epochs", "max_steps_per_epoch"):
        get, put = getattr(config, name), getattr(config, f"set_{name}")
        assert get() is None
        try:
            put(3)
            assert get() == 3
            for wrong in (0, -1, 1.5, True, "many"):
                with pytest.raises(ValueError, match=f"{name} must be a positive integer or None"):
                    put(wrong)
            assert get() == 3
        finally:
            put(None)
        assert get() is None


def test_limits_from_the_environment():
    code = (
        "from gpunn import config; print(config.max_epochs(), config.max_steps_per_epoch(), "
        "config.is_traceback_filtering_enabled())"
    )
    environment = {
        **os.environ, "GPUNN_MAX_EPOCHS": "2", "GPUNN_MAX_STEPS_PER_EPOCH": "5",
        "GPUNN_TRACEBACK_FILTERING": "0",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout.split() == [b"2", b"5", b"False"]


# --- gpunn.backend as keras.backend ---


def test_the_names_of_keras_backend():
    names = {name for name in dir(keras.backend) if not name.startswith("_")}
    for name in names:
        assert callable(getattr(gpunn.backend, name)), name
    with pytest.raises(AttributeError, match=r"module 'gpunn.backend' has no attribute 'nothing'"):
        gpunn.backend.nothing  # noqa: B018
    from gpunn import backend_info

    assert set(backend_info.__all__) == names == set(gpunn.backend._PUBLIC)


def test_backend_settings():
    assert gpunn.backend.backend() == config.backend() == "numpy"
    gpunn.backend.set_floatx("float16")
    assert gpunn.backend.floatx() == config.floatx() == "float16"
    gpunn.backend.set_epsilon(1e-3)
    gpunn.backend.set_image_data_format("channels_first")
    assert (gpunn.backend.epsilon(), config.image_data_format()) == (1e-3, "channels_first")


def test_backend_of_a_gpu(simulated_gpu):
    with gpunn.device("gpu:0"):
        assert config.backend() == "cupy"
    with gpunn.device("cpu"):
        assert config.backend() == "numpy"


def test_uids_are_those_of_keras():
    found = []
    for k in (gpunn, keras):
        k.backend.clear_session()
        numbers = [k.backend.get_uid("a"), k.backend.get_uid("a"), k.backend.get_uid()]
        numbers += [k.layers.Dense(1).name, k.backend.get_uid("dense"), k.layers.Dense(1).name]
        k.backend.clear_session()
        found.append([*numbers, k.backend.get_uid("a")])
    assert found[0] == found[1] == [1, 2, 1, "dense", 2, "dense_2", 1]


DTYPES = [
    None, "float16", "bfloat16", "float32", "int8", "int16", "int32", "uint8", "uint16",
    "bool", bool, int, float, np.float32, np.dtype("int8"),
]  # fmt: skip


def test_questions_about_dtypes_have_keras_answers():
    for dtype in [*DTYPES, "int", "string", "int64", "float64", "uint32", "uint64"]:
        ours, theirs = gpunn.backend, keras.backend
        assert ours.standardize_dtype(dtype) == theirs.standardize_dtype(dtype)
        if dtype != "string":
            assert ours.is_float_dtype(dtype) == theirs.is_float_dtype(dtype)
            assert ours.is_int_dtype(dtype) == theirs.is_int_dtype(dtype)
    for pair in itertools.product(DTYPES, repeat=2):
        assert ours.result_type(*pair) == theirs.result_type(*pair), pair
    for three in (("int8", int, float), ("float16", "int32", float), ("bool", bool, int)):
        assert ours.result_type(*three) == theirs.result_type(*three)
    assert ours.result_type() == theirs.result_type() == "float32"
    with pytest.raises(ValueError, match="Unknown dtype: 'flaot32'. Did you mean 'float32'"):
        ours.standardize_dtype("flaot32")


def test_is_keras_tensor():
    for k in (gpunn, keras):
        x = k.Input((2,))
        assert k.utils.is_keras_tensor(x) and k.backend.is_keras_tensor(x)
        assert not k.utils.is_keras_tensor(k.ops.ones((2,)))
        assert not k.utils.is_keras_tensor(np.ones(2))
