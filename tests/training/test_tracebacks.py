"""Errors in what users write point at their line, through all of gpunn's entries."""

import traceback

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops

X = np.ones((8, 4), "float32")


class Wrong(layers.Layer):
    def call(self, inputs):
        return ops.matmul(inputs, ops.ones((7, 2)))


def broken_loss(y_true, y_pred):
    return ops.matmul(y_true, y_pred)


class Stops(gpunn.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("enough")


def small(*more, loss="mse"):
    model = gpunn.Sequential([layers.Dense(3), *more])
    model.compile("sgd", loss)
    return model


ENTRIES = {
    "call": (lambda: small(Wrong())(X), "call"),
    "functional": (lambda: Wrong()(gpunn.Input((4,))), "call"),
    "fit": (lambda: small(Wrong()).fit(X, X, verbose=0), "call"),
    "evaluate": (lambda: small(Wrong()).evaluate(X, X, verbose=0), "call"),
    "predict": (lambda: small(Wrong()).predict(X, verbose=0), "call"),
    "train_on_batch": (lambda: small(Wrong()).train_on_batch(X, X), "call"),
    "loss": (lambda: small(loss=broken_loss).fit(X, X, verbose=0), "broken_loss"),
    "callback": (lambda: small().fit(X, X[:, :3], verbose=0, callbacks=[Stops()]), "on_epoch_end"),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_last_frame_is_the_users(entry):
    act, function = ENTRIES[entry]
    with pytest.raises((ValueError, RuntimeError)) as caught:
        act()
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].filename == __file__ and frames[-1].name == function
    assert all("/gpunn/" not in f.filename or f.filename == __file__ for f in frames)


def test_all_frames_on_request():
    gpunn.config.disable_traceback_filtering()
    try:
        with pytest.raises(ValueError, match="matmul") as caught:
            small(Wrong()).fit(X, X, verbose=0)
    finally:
        gpunn.config.enable_traceback_filtering()
    names = [f.name for f in traceback.extract_tb(caught.value.__traceback__)]
    assert {"fit", "call"} <= set(names) and len(names) > 8
