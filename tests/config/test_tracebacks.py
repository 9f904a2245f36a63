"""Tracebacks end at the user's line: gpunn's own frames are left out."""

import contextlib
import functools
import json
import traceback
from pathlib import Path

import numpy as np
import pytest

import gpunn
from gpunn import config, ops
from gpunn.tracebacks import filter_traceback

PACKAGE = str(Path(gpunn.__file__).parent)
HERE = str(Path(__file__))


def frames(function, error=Exception):
    """The (file, line) of each frame when `function` raises, without the one that catches it."""
    try:
        function()
    except error as raised:
        return [(f.filename, f.line) for f in traceback.extract_tb(raised.__traceback__)][1:]
    raise AssertionError("nothing was raised")


def of_ours(found):
    return [line for file, line in found if file.startswith(PACKAGE)]


class Broken(gpunn.layers.Layer):
    def call(self, x):
        return x + None_of_this  # noqa: F821


def model(**options):
    m = gpunn.Sequential([gpunn.Input((2,)), gpunn.layers.Dense(1)])
    m.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    return m


def fit(m, **options):
    return functools.partial(
        filter_traceback(m.fit), np.ones((4, 2)), np.ones((4, 1)), verbose=0, **options
    )


def users_loss(y_true, y_pred):
    return ops.matmul(y_true, ops.zeros((7, 3)))


def fails_at_epoch_end(epoch, logs):
    raise KeyError("mine")


def test_an_error_in_a_users_layer_points_at_its_line():
    found = frames(functools.partial(filter_traceback(Broken()), np.ones(2)), NameError)
    assert found[-1] == (HERE, "return x + None_of_this  # noqa: F821")
    assert not of_ours(found)


def test_an_error_in_a_users_loss_points_at_its_line():
    found = frames(fit(model(loss=users_loss)), ValueError)
    assert found[-1] == (HERE, "return ops.matmul(y_true, ops.zeros((7, 3)))")
    assert not of_ours(found)


def test_an_error_in_a_users_callback_points_at_its_line():
    callback = gpunn.callbacks.LambdaCallback(on_epoch_end=fails_at_epoch_end)
    found = frames(fit(model(), callbacks=[callback]), KeyError)
    assert found[-1] == (HERE, 'raise KeyError("mine")')
    assert not of_ours(found)


def test_all_frames_with_the_filter_off():
    run = fit(model(loss=users_loss))
    config.disable_traceback_filtering()
    try:
        assert not config.is_traceback_filtering_enabled()
        found = frames(run, ValueError)
    finally:
        config.enable_traceback_filtering()
    assert len(of_ours(found)) > 5
    assert config.is_traceback_filtering_enabled()


def test_an_error_of_gpunn_keeps_its_innermost_frame():
    m = model()
    found = frames(functools.partial(filter_traceback(m.fit), np.ones((4, 2)), epochs=-1))
    assert len(of_ours(found)) == 1
    assert "raise" in found[-1][1]


def test_frames_below_the_user_stay():
    """What the user calls is the user's: here, the standard library."""

    @filter_traceback
    def call(function):
        return function()

    found = frames(lambda: call(lambda: json.loads("{")), json.JSONDecodeError)
    assert found[-1][0].endswith("decoder.py")
    assert any(file == HERE for file, _ in found)


def test_the_standard_library_on_gpunns_behalf_goes():
    """A worker's thread: concurrent.futures calls the user's __getitem__ for gpunn."""

    class Data(gpunn.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            raise OSError("no such photo")

    found = frames(functools.partial(filter_traceback(list), Data(workers=2)), OSError)
    assert found[-1] == (HERE, 'raise OSError("no such photo")')
    assert not any("concurrent" in file for file, _ in found)


def test_causes_are_filtered_too():
    @filter_traceback
    def outer():
        try:
            Broken()(np.ones(2))
        except NameError as error:
            raise RuntimeError("no") from error

    with pytest.raises(RuntimeError) as raised:
        outer()
    cause = traceback.extract_tb(raised.value.__cause__.__traceback__)
    assert cause[-1].line == "return x + None_of_this  # noqa: F821"
    assert not any(f.filename.startswith(PACKAGE) for f in cause)


def test_circles_of_causes_end():
    @filter_traceback
    def outer():
        one, two = ValueError("one"), ValueError("two")
        one.__context__, two.__context__ = two, one
        raise one

    with pytest.raises(ValueError, match="one"):
        outer()


def test_the_exception_is_the_same_object_and_the_function_keeps_its_face():
    mine = ValueError("mine")

    @filter_traceback
    def named(x: int) -> int:
        """Doc."""
        raise mine

    with pytest.raises(ValueError) as raised:
        named(1)
    assert raised.value is mine
    assert named.__name__ == "named" and named.__doc__ == "Doc."
    assert filter_traceback(lambda x: x + 1)(2) == 3


def test_interrupts_are_left_alone():
    @filter_traceback
    def interrupted():
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        interrupted()
        raise AssertionError("nothing was raised")
