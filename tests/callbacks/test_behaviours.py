"""Behaviour 29: logs are dicts; validation in the logs; outputs; a fresh start at every fit."""

import numpy as np

import gpunn

X, Y = np.ones((6, 2), "float32"), np.zeros((6, 1), "float32")


def model():
    m = gpunn.Sequential([gpunn.Input((2,)), gpunn.layers.Dense(1)])
    m.compile(gpunn.optimizers.SGD(0.1), "mse", metrics=["mae"])
    return m


class Notes(gpunn.callbacks.Callback):
    """Keeps (hook, logs) of each call."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        return lambda *args: self.seen.append((name, args[-1]))

    def logs_of(self, hook):
        return [logs for name, logs in self.seen if name == hook]


def test_29_logs_are_dicts_never_none():
    m, notes = model(), Notes()
    m.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=0, callbacks=[notes])
    m.evaluate(X, Y, verbose=0, callbacks=[notes])
    m.predict(X, verbose=0, callbacks=[notes])
    assert len({name for name, _ in notes.seen}) >= 14
    assert all(type(logs) is dict for _, logs in notes.seen)


def test_29_epoch_end_and_train_end_logs_include_the_validation():
    notes = Notes()
    model().fit(X, Y, epochs=3, validation_data=(X, Y), verbose=0, callbacks=[notes])
    keys = {"loss", "mae", "val_loss", "val_mae"}
    assert [set(logs) for logs in notes.logs_of("on_epoch_end")] == [keys] * 3
    assert [set(logs) for logs in notes.logs_of("on_train_end")] == [keys]


def test_29_predict_batch_end_has_the_outputs():
    m, notes = model(), Notes()
    outputs = m.predict(X, batch_size=4, verbose=0, callbacks=[notes])
    found = [logs["outputs"] for logs in notes.logs_of("on_predict_batch_end")]
    assert [len(part) for part in found] == [4, 2]
    np.testing.assert_array_equal(np.concatenate(found), outputs)


def test_29_early_stopping_resets_at_every_fit():
    stop = gpunn.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    m = model()
    m.optimizer.learning_rate = 0.0  # no epoch is better than the first
    for _ in range(2):
        history = m.fit(X, Y, epochs=9, verbose=0, callbacks=[stop])
        assert history.epoch == [0, 1, 2]
        assert (stop.stopped_epoch, stop.best_epoch, stop.wait) == (2, 0, 2)
        assert stop.best == history.history["loss"][0]
    stop.patience = 100
    m.fit(X, Y, epochs=2, verbose=0, callbacks=[stop])
    assert (stop.stopped_epoch, stop.wait) == (0, 1)


def test_29_reduce_lr_on_plateau_resets_at_every_fit():
    reduce = gpunn.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=1e9)
    m = model()
    for start in (0.1, 0.2):
        m.optimizer.learning_rate = start
        rates = m.fit(X, Y, epochs=4, verbose=0, callbacks=[reduce]).history["learning_rate"]
        np.testing.assert_allclose(rates, [start, start, start, start / 2], 1e-6)
        assert reduce.wait == 1


def test_29_restored_weights_are_those_of_the_best_epoch():
    weights = []
    keep = gpunn.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(m.get_weights())
    )
    stop = gpunn.callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True)
    m = model()
    m.optimizer.learning_rate = 1.1  # so large that the loss grows
    history = m.fit(X, Y, epochs=20, verbose=0, callbacks=[keep, stop]).history["loss"]
    best = int(np.argmin(history))
    assert stop.best_epoch == best and len(history) == best + 4
    for found, expected in zip(m.get_weights(), weights[best], strict=True):
        np.testing.assert_array_equal(found, expected)
