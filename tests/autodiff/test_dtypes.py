"""The dtype of results: a table, and Keras' own answer for all pairs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from gpunn import config
from gpunn.autodiff.dtypes import NAMES, as_dtype, is_float, promote, to_float


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("float16", "float16"),
        (np.float64, "float64"),
        (np.dtype("int8"), "int8"),
        (float, "float32"),
        (int, "int32"),
        (bool, "bool"),
        (None, "float32"),
        (np.bool_, "bool"),
    ],
)
def test_names_types_and_dtypes(given, name):
    assert as_dtype(given) == np.dtype(name)


def test_floatx():
    config.set_floatx("float64")
    assert as_dtype(None) == as_dtype(float) == to_float("int8") == np.dtype("float64")


def test_unknown_dtypes():
    with pytest.raises(ValueError, match="Unknown dtype: 'flaot32'. Did you mean 'float32'"):
        as_dtype("flaot32")
    with pytest.raises(ValueError, match="Unknown dtype: 'complex64'"):
        as_dtype(np.complex64)


def test_floats():
    pytest.importorskip("ml_dtypes")
    assert [n for n in NAMES if is_float(n)] == ["float16", "bfloat16", "float32", "float64"]
    assert to_float("float16") == np.dtype("float16")


def test_promotion_of_several():
    assert promote("int8", "uint8", "float16") == np.dtype("float16")
    assert promote("float32") == np.dtype("float32")


#: In a process of its own, as another test may have chosen another backend for Keras.
TABLE = """
import json
from keras.backend import result_type
names = {names!r}
table = {{f"{{a}} {{b}}": result_type(a, b) for a in names for b in names}}
table |= {{f"{{a}} {{t.__name__}}": result_type(a, t) for a in names for t in (int, float)}}
print(json.dumps(table))
"""


@pytest.fixture(scope="module")
def keras_table():
    pytest.importorskip("ml_dtypes")
    if importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    done = subprocess.run(
        [sys.executable, "-c", TABLE.format(names=NAMES)],
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def in_32_bits(dtype):
    """Keras has no 64-bit results but with TensorFlow; gpunn keeps what is asked for."""
    return np.dtype(dtype).name.replace("64", "32") if np.dtype(dtype).kind in "iuf" else str(dtype)


@pytest.mark.parametrize("a", [n for n in NAMES if n.endswith("64")])
def test_64_bits_stay(a):
    assert promote(a, a) == promote(a, "bool") == promote(a, "uint8") == np.dtype(a)


def test_all_pairs_are_keras(keras_table):
    received = {f"{a} {b}": in_32_bits(promote(a, b)) for a in NAMES for b in NAMES}
    assert received == {pair: keras_table[pair] for pair in received}


def test_python_numbers_are_keras(keras_table):
    from gpunn import ops

    for dtype in NAMES:
        x = ops.cast([1.0], dtype)
        assert in_32_bits((x + 2).dtype) == keras_table[f"{dtype} int"], dtype
        assert in_32_bits((x + 2.5).dtype) == keras_table[f"{dtype} float"], dtype
