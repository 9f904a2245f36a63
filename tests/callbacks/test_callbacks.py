"""Callbacks: which hooks are called when, with what, compared with Keras; NaN; lambdas."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn

keras = pytest.importorskip("keras")

X, Y = np.ones((5, 2), "float32"), np.ones((5, 1), "float32")


def model(k):
    m = k.Sequential([k.Input((2,)), k.layers.Dense(1)])
    m.compile("sgd", "mse", metrics=["mae"])
    return m


HOOKS = [
    f"on_{kind}{turn}"
    for turn in ("begin", "end")
    for kind in (
        "train_", "epoch_", "train_batch_", "batch_", "test_", "test_batch_", "predict_",
        "predict_batch_",
    )
]  # fmt: skip


def recorder(k, stop_at=None):
    """A callback of framework `k` that notes each hook, its number and the keys of its logs."""

    class Records(k.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.calls = []

        def set_model(self, model):
            self.calls.append(("set_model",))
            super().set_model(model)

        def set_params(self, params):
            self.calls.append(("set_params", tuple(sorted(params.items()))))
            super().set_params(params)

        def note(self, hook, *args):
            *numbers, logs = args
            assert isinstance(logs, dict)
            self.calls.append((hook, *numbers, tuple(sorted(logs))))
            if hook == stop_at:
                self.model.stop_training = True

    def hook(name):
        if "batch" in name or "epoch" in name:
            return lambda self, number, logs=None: (
                self.note(name, number, logs),
                getattr(k.callbacks.Callback, name)(self, number, logs),
            )
        return lambda self, logs=None: self.note(name, logs)

    for name in HOOKS:
        setattr(Records, name, hook(name))
    return Records()


def both(run, stop_at=None):
    found = []
    for k in (gpunn, keras):
        record = recorder(k, stop_at)
        run(model(k), record)
        found.append(record.calls)
    return found


RUNS = {
    "fit": lambda m, c: m.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[c]),
    "fit_validation": lambda m, c: m.fit(
        X, Y, batch_size=3, epochs=2, validation_data=(X, Y), verbose=0, callbacks=[c]
    ),
    "evaluate": lambda m, c: m.evaluate(X, Y, batch_size=2, verbose=0, callbacks=[c]),
    "predict": lambda m, c: m.predict(X, batch_size=2, verbose=0, callbacks=[c]),
    "single": lambda m, c: m.fit(X, Y, verbose=0, callbacks=c),
}


@pytest.mark.parametrize("name", RUNS)
def test_hooks_in_the_order_of_keras(name):
    ours, theirs = both(RUNS[name])
    assert ours == theirs


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end", "on_epoch_begin"])
def test_stop_training_as_keras(hook):
    ours, theirs = both(RUNS["fit_validation"], stop_at=hook)
    assert ours == theirs


def test_what_a_callback_adds_to_the_logs_is_in_the_history():
    for k in (gpunn, keras):

        class Adds(k.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                logs["extra"] = epoch * 10

        history = model(k).fit(X, Y, epochs=2, verbose=0, callbacks=[Adds()]).history
        assert history["extra"] == [0, 10]


def test_history_of_one_epoch_is_not_there_before_its_end():
    for k in (gpunn, keras):
        seen = []

        class Looks(k.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.append(len(self.model.history.epoch))  # noqa: B023

        model(k).fit(X, Y, epochs=2, verbose=0, callbacks=[Looks()])
        assert seen == [0, 1]


def test_a_hook_may_name_its_arguments_as_it_likes():
    class Other(gpunn.callbacks.Callback):
        def on_epoch_end(self, e, l=None):  # noqa: E741
            self.last = e, sorted(l)

        def on_train_batch_end(self, b, l=None):  # noqa: E741
            self.batch = b, sorted(l)

    other = Other()
    model(gpunn).fit(X, Y, verbose=0, callbacks=[other])
    assert other.last == (0, ["loss", "mae"]) and other.batch == (0, ["loss", "mae"])


def test_hooks_set_on_the_instance():
    callback, seen = gpunn.callbacks.Callback(), []
    callback.on_train_batch_end = lambda batch, logs: seen.append((batch, sorted(logs)))
    model(gpunn).fit(X, Y, batch_size=3, verbose=0, callbacks=[callback])
    assert seen == [(0, ["loss", "mae"]), (1, ["loss", "mae"])]


def test_batch_logs_are_those_so_far():
    seen = []
    callback = gpunn.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(logs["loss"])
    )
    m = model(gpunn)
    m.optimizer.learning_rate = 0.0
    y = np.array([[1], [2], [3], [4], [5]], "float32")
    errors = (m.predict(X, verbose=0) - y).ravel() ** 2
    m.fit(X, y, batch_size=2, shuffle=False, verbose=0, callbacks=[callback])
    np.testing.assert_allclose(seen, [errors[:2].mean(), errors[:4].mean(), errors.mean()], 1e-5)


def test_metrics_are_read_only_where_a_callback_asks():
    """Reading waits for the device: not after each batch for the sake of the history."""
    m, reads = model(gpunn), []
    read = m.get_metrics_result
    m.get_metrics_result = lambda: reads.append(1) or read()
    quiet = gpunn.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    m.fit(X, Y, batch_size=1, epochs=2, verbose=0, callbacks=[quiet])
    assert len(reads) == 2


# --- TerminateOnNaN ---


def nan_model():
    m = gpunn.Sequential([gpunn.Input((2,)), gpunn.layers.Dense(1)])
    m.compile("sgd", "mse")
    return m


def with_nan():
    x = np.ones((6, 2), "float32")
    x[3] = np.nan
    return x


def test_terminate_on_nan_stops(capsys):
    m = nan_model()
    stop = gpunn.callbacks.TerminateOnNaN()
    history = m.fit(
        with_nan(), np.ones(6), batch_size=2, epochs=5, shuffle=False, verbose=0, callbacks=[stop]
    )
    assert history.epoch == [0] and np.isnan(history.history["loss"]).all()
    assert "Batch 1: the loss is nan. Look for NaN" in capsys.readouterr().out


def test_terminate_on_nan_raises():
    stop = gpunn.callbacks.TerminateOnNaN(raise_error=True)
    with pytest.raises(RuntimeError, match="Batch 1: the loss is nan"):
        nan_model().fit(
            with_nan(), np.ones(6), batch_size=2, shuffle=False, verbose=0, callbacks=[stop]
        )


def test_terminate_on_infinity(capsys):
    stop = gpunn.callbacks.TerminateOnNaN()
    y = np.full(6, 1e30, "float32")
    history = nan_model().fit(np.ones((6, 2)), y, epochs=9, verbose=0, callbacks=[stop])
    assert history.epoch == [0]
    assert "the loss is inf" in capsys.readouterr().out


def test_without_it_training_goes_on():
    history = nan_model().fit(with_nan(), np.ones(6), epochs=2, verbose=0)
    assert history.epoch == [0, 1]


# --- errors ---


@pytest.mark.parametrize("wrong", [gpunn.callbacks.TerminateOnNaN, "early", [3], [lambda: None]])
def test_what_is_no_callback(wrong):
    m = model(gpunn)
    before = m.get_weights()
    with pytest.raises(TypeError, match="instances of gpunn.callbacks.Callback, received"):
        m.fit(X, Y, verbose=0, callbacks=wrong)
    np.testing.assert_array_equal(m.get_weights()[0], before[0])


def test_lambda_callback_hooks():
    seen = []
    callback = gpunn.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append("begin"),
        on_test_end=lambda logs: seen.append(sorted(logs)),
    )
    m = model(gpunn)
    m.fit(X, Y, verbose=0, callbacks=[callback])
    m.evaluate(X, Y, verbose=0, callbacks=[callback])
    assert seen == ["begin", ["loss", "mae"]]
    with pytest.raises(ValueError, match="Did you mean 'on_epoch_end'"):
        gpunn.callbacks.LambdaCallback(on_epoch_ends=print)


def test_an_own_history_is_used():
    history = gpunn.callbacks.History()
    m = model(gpunn)
    assert m.fit(X, Y, verbose=0, callbacks=[history]) is history
    assert m.history is history and len(history.history["loss"]) == 1


# --- CallbackList, for loops of one's own ---


def test_callback_list_as_keras():
    found = []
    for k in (gpunn, keras):
        record = recorder(k)
        m = model(k)
        callbacks = k.callbacks.CallbackList(
            record, add_history=True, model=m, epochs=2, steps=3, verbose=0
        )
        callbacks.on_train_begin()
        for epoch in range(2):
            callbacks.on_epoch_begin(epoch)
            callbacks.on_train_batch_begin(0)
            callbacks.on_train_batch_end(0, {"loss": 1.0})
            callbacks.on_epoch_end(epoch, logs={"loss": float(epoch)})
        callbacks.on_train_end({"loss": 1.0})
        callbacks.on_test_begin()
        callbacks.on_test_batch_end(0, {"loss": 2.0})
        callbacks.on_predict_end()
        assert m.history.history == {"loss": [0.0, 1.0]}
        callbacks.on_epoch_end(7)
        found.append(sorted(c for c in record.calls if c[0] not in ("set_model", "set_params")))
        found.append(m.history is not None and record.params["steps"])
    assert found[:2] == found[2:] and found[1] == 3


def test_callback_list_knows_who_reads_batches():
    kinds = gpunn.callbacks
    assert not kinds.CallbackList([kinds.EarlyStopping()]).reads_batch_logs
    callbacks = kinds.CallbackList([kinds.ModelCheckpoint("x.keras"), kinds.TensorBoard()])
    assert not callbacks.reads_batch_logs
    callbacks.append(kinds.TerminateOnNaN())
    assert callbacks.reads_batch_logs
    assert kinds.CallbackList(add_progbar=True).callbacks[0].__class__ is kinds.ProgbarLogger


def test_a_progress_logger_of_ones_own_is_the_only_one(capsys):
    m = model(gpunn)
    m.fit(X, Y, epochs=2, callbacks=[gpunn.callbacks.ProgbarLogger()])
    assert capsys.readouterr().out.count("Epoch 1/2") == 1
    m.fit(X, Y, epochs=1)
    assert "Epoch" not in capsys.readouterr().out  # one epoch is not counted, as in Keras
