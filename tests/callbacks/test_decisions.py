"""EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, ModelCheckpoint: the same logs through
Keras' callbacks and ours, the same decisions, attributes and warnings.
"""

import itertools
import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn

keras = pytest.importorskip("keras")

BOTH = (gpunn, keras)


class Fake:
    """What callbacks touch of a model: its weights are the number of epochs it has seen."""

    def __init__(self, k, rate=0.1):
        self.optimizer = k.optimizers.SGD(rate)
        self.metrics = []
        self.name, self.built, self.stop_training = "fake", True, False
        self.epochs, self.saved = 0, []

    def get_weights(self):
        return [self.epochs]

    def set_weights(self, weights):
        self.epochs = weights[0]

    def save(self, path, overwrite):
        self.saved.append((path, overwrite))

    save_weights = save


def run(callback, model, values, key="val_loss", batches=0):
    """What fit does: the number of epochs, the weights and learning rates after each of them."""
    callback.set_model(model)
    callback.set_params({"epochs": len(values), "verbose": 0, "steps": batches})
    model.stop_training = False
    callback.on_train_begin({})
    rates, logs = [], {}
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch, {})
        rates.append(float(model.optimizer.learning_rate))
        for batch in range(batches):
            callback.on_train_batch_begin(batch, {})
            callback.on_train_batch_end(batch, {"loss": value + batch})
        model.epochs += 1
        logs = {"loss": 1.0} if value is None else {"loss": 1.0, key: value}
        callback.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callback.on_train_end(logs)
    return {"rates": rates, "weights": model.epochs, "logs": sorted(logs)}


def sequences():
    rng = np.random.default_rng(0)
    falling = [5.0, 4.0, 3.0, 2.9, 2.95, 2.9, 2.0, 2.0, 1.9999, 3.0, 3.0, 3.0]
    yield falling
    yield [-v for v in falling]
    yield [1.0, float("nan"), 0.5, 2.0, 2.0, 2.0]
    for _ in range(3):
        yield [float(v) for v in rng.integers(0, 6, 12)]


def equal(make, attributes, fits=2, key="val_loss", **options):
    """Both decide the same, in several fits with one callback."""
    for values in sequences():
        found = []
        for k in BOTH:
            callback, model = make(k), Fake(k)
            outcome = [run(callback, model, values, key, **options) for _ in range(fits)]
            outcome.append([getattr(callback, name) for name in attributes])
            outcome.append(model.saved)
            found.append(outcome)
        np.testing.assert_equal(*found)


@pytest.mark.parametrize("restore", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2},
        {"patience": 3, "min_delta": 0.5},
        {"patience": 2, "min_delta": -0.5, "mode": "max"},
        {"patience": 2, "baseline": 3.0},
        {"patience": 2, "baseline": 3.0, "mode": "max"},
        {"patience": 1, "start_from_epoch": 4},
        {"patience": 0, "start_from_epoch": 20},
    ],
    ids=str,
)
def test_early_stopping(options, restore):
    attributes = (
        "wait", "stopped_epoch", "best", "best_epoch", "best_weights", "min_delta", "patience",
        "baseline", "monitor", "mode", "restore_best_weights", "start_from_epoch", "verbose",
    )  # fmt: skip

    def make(k):
        return k.callbacks.EarlyStopping(restore_best_weights=restore, **options)

    equal(make, attributes)


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 2, "factor": 0.5},
        {"patience": 1, "factor": 0.5, "cooldown": 2},
        {"patience": 1, "factor": 0.1, "min_lr": 0.005},
        {"patience": 2, "min_delta": 1.0, "mode": "max"},
        {"patience": 0},
    ],
    ids=str,
)
def test_reduce_lr_on_plateau(options):
    attributes = (
        "wait", "best", "cooldown_counter", "cooldown", "factor", "min_lr", "min_delta", "patience",
    )  # fmt: skip
    equal(lambda k: k.callbacks.ReduceLROnPlateau(**options), attributes)


SCHEDULES = {
    "two": lambda epoch, rate: rate * 0.9,
    "one": lambda epoch: 0.1 / (epoch + 1),
    "numpy": lambda epoch, rate: np.float32(rate) / 2,
    "default": lambda epoch, rate=1.0: rate / 2,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rate_scheduler(name):
    equal(lambda k: k.callbacks.LearningRateScheduler(SCHEDULES[name]), ("verbose",), fits=1)


def test_learning_rate_scheduler_needs_a_float():
    for k in BOTH:
        callback = k.callbacks.LearningRateScheduler(lambda epoch: 1)
        callback.set_model(Fake(k))
        with pytest.raises(ValueError, match="float"):
            callback.on_epoch_begin(0, {})


def test_an_error_in_the_schedule_is_the_users():
    """Keras takes a TypeError for a schedule of one argument, and hides it."""

    def schedule(epoch, rate):
        raise TypeError("mine")

    callback = gpunn.callbacks.LearningRateScheduler(schedule)
    callback.set_model(Fake(gpunn))
    with pytest.raises(TypeError, match="mine"):
        callback.on_epoch_begin(0, {})


@pytest.mark.parametrize("batches", [0, 3])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"save_best_only": True},
        {"save_best_only": True, "mode": "max"},
        {"save_best_only": True, "initial_value_threshold": 2.5},
        {"save_freq": 2},
        {"save_freq": 5},
    ],
    ids=str,
)
def test_model_checkpoint(options, weights, batches, tmp_path):
    ending = ".weights.h5" if weights else ".keras"
    path = tmp_path / "deep" / ("{epoch:02d}-{loss:.1f}" + ending)

    def make(k):
        return k.callbacks.ModelCheckpoint(path, save_weights_only=weights, **options)

    equal(make, ("best", "save_best_only", "filepath", "save_freq"), batches=batches)


# --- directions ---


def mine(y_true, y_pred):
    return y_pred[..., 0]


def test_directions_are_those_of_keras():
    metrics = ["accuracy", "acc", "mse", "mae", "binary_accuracy", "binary_crossentropy", mine]
    found = []
    for k in BOTH:
        model = k.Sequential([k.Input((2,)), k.layers.Dense(1, activation="sigmoid")])
        model.compile("sgd", "binary_crossentropy", metrics=metrics)
        keys = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0).history
        falls = {}
        for key in keys:
            callback = k.callbacks.EarlyStopping(monitor=f"val_{key}")
            callback.set_model(model)
            try:
                callback._set_monitor_op()
                falls[key] = bool(callback.monitor_op(1.0, 2.0))
            except ValueError:
                falls[key] = None
        found.append(falls)
    assert found[0] == found[1]
    assert set(found[0]) == {"loss", "mine", *metrics[:-1]} and None in found[0].values()


def test_tables_of_directions_are_those_of_keras():
    from gpunn.callbacks import monitor

    values = ({}, {"num_classes": 3}, {"num_classes": 3, "target_class_ids": [0]})
    values += tuple({name: 0.5} for name in ("recall", "precision", "sensitivity", "specificity"))
    expected = {"up": set(), "down": set()}
    for name in dir(keras.metrics):
        for options in values if isinstance(getattr(keras.metrics, name), type) else ():
            try:
                metric = getattr(keras.metrics, name)(**options)
            except TypeError:
                continue
            expected.get(getattr(metric, "_direction", None), set()).add(name)
    assert expected == {"up": monitor._RISES, "down": monitor._FALLS}


def test_unknown_directions_ask_for_a_mode():
    for k in BOTH:
        callback = k.callbacks.EarlyStopping(monitor="val_mine")
        callback.set_model(Fake(k))
        with pytest.raises(ValueError, match=r"mode='max'"):
            callback.on_epoch_end(0, {"val_mine": 1.0})


# --- warnings and errors ---


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint"])
def test_a_missing_metric_warns(name):
    for k in BOTH:
        options = {"filepath": "x.keras", "save_best_only": True} if "Model" in name else {}
        callback = getattr(k.callbacks, name)(monitor="val_loss", **options)
        with pytest.warns(UserWarning, match="val_loss"):
            outcome = run(callback, Fake(k), [None, None])
        assert outcome["weights"] == 2


def test_an_unknown_mode_warns():
    for k in BOTH:
        with pytest.warns(UserWarning, match="mode"):
            callback = k.callbacks.EarlyStopping(mode="highest")
        assert callback.mode == "auto"


def test_a_schedule_of_the_optimizer_is_not_overwritten():
    for k in BOTH:
        rate = k.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
        for callback in (
            k.callbacks.LearningRateScheduler(lambda epoch: 0.1),
            k.callbacks.ReduceLROnPlateau(patience=1),
        ):
            with pytest.raises(TypeError, match="schedule|LearningRateSchedule"):
                run(callback, Fake(k, rate), [1.0, 1.0, 1.0])


def test_refused_arguments():
    for k in BOTH:
        with pytest.raises(ValueError, match="factor"):
            k.callbacks.ReduceLROnPlateau(factor=1.0)
        for wrong in ("batch", 1.5):
            with pytest.raises(ValueError, match="save_freq"):
                k.callbacks.ModelCheckpoint("x.keras", save_freq=wrong)
        with pytest.raises(ValueError, match=r"end in `?\.weights\.h5"):
            k.callbacks.ModelCheckpoint("x.keras", save_weights_only=True)
        with pytest.raises(ValueError, match=r"\.keras"):
            k.callbacks.ModelCheckpoint("x.npz")
        callback = k.callbacks.ModelCheckpoint("{nothing}.keras")
        with pytest.raises(KeyError, match="nothing"):
            run(callback, Fake(k), [1.0])


def test_a_model_that_cannot_be_saved_is_refused_before_training():
    class Bare:
        optimizer = None

    with pytest.raises(NotImplementedError, match=r"Bare\.save_weights\(filepath"):
        gpunn.callbacks.ModelCheckpoint("x.weights.h5", save_weights_only=True).set_model(Bare())


def test_a_directory_is_no_file(tmp_path):
    (tmp_path / "x.keras").mkdir()
    with pytest.raises(IsADirectoryError, match="is a directory"):
        run(gpunn.callbacks.ModelCheckpoint(tmp_path / "x.keras"), Fake(gpunn), [1.0])


def test_an_array_cannot_be_the_best(tmp_path):
    for k in BOTH:
        callback = k.callbacks.ModelCheckpoint(tmp_path / "x.keras", save_best_only=True)
        model = Fake(k)
        with pytest.warns(UserWarning, match="scalar|one number"):
            run(callback, model, [np.ones(2), np.ones(2)])
        assert len(model.saved) == 2


# --- messages ---


def test_messages(capsys, tmp_path):
    """The lines that people look for are Keras' own."""
    values = [2.0, 1.0, 3.0, 3.0]
    names = {
        "EarlyStopping": {"patience": 2, "restore_best_weights": True},
        "ReduceLROnPlateau": {"patience": 1, "factor": 0.5},
        "LearningRateScheduler": {"schedule": lambda epoch: 0.5},
        "ModelCheckpoint": {"filepath": tmp_path / "x.keras", "save_best_only": True},
    }
    said = []
    for k, (name, options) in itertools.product(BOTH, names.items()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(getattr(k.callbacks, name)(verbose=1, **options), Fake(k), values)
        said.append(capsys.readouterr().out)
    assert said[:4] == said[4:] and all(said)


def test_a_whole_fit_with_callbacks_as_keras():
    """The same weights, losses, learning rates and restored weights after a real fit."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(24, 3)).astype("float32")
    y = (x @ np.array([[1.0], [-2.0], [0.5]]) + rng.normal(size=(24, 1))).astype("float32")
    start = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (4,), (4, 1), (1,))]
    outcomes = []
    for k in BOTH:
        model = k.Sequential(
            [k.Input((3,)), k.layers.Dense(4, activation="tanh"), k.layers.Dense(1)]
        )
        model.compile(k.optimizers.SGD(0.3, momentum=0.9), "mse", metrics=["mae"])
        model.set_weights(start)
        kinds = k.callbacks
        stop = kinds.EarlyStopping("val_mae", patience=6, restore_best_weights=True)
        reduce = kinds.ReduceLROnPlateau(patience=1, factor=0.5)
        warm = kinds.LearningRateScheduler(lambda e, rate: rate * 1.1 if e < 3 else rate)
        history = model.fit(
            x, y, batch_size=8, epochs=25, shuffle=False, verbose=0,
            validation_data=(x[:6] + 0.3, y[:6]), callbacks=[warm, reduce, stop],
        ).history  # fmt: skip
        outcomes.append((history, model.get_weights(), stop.best_epoch, stop.stopped_epoch))
    (ours, weights, *epochs), (theirs, expected, *their_epochs) = outcomes
    assert epochs == their_epochs and len(ours["loss"]) > 6
    assert len(set(ours["learning_rate"])) > 4
    assert set(ours) == set(theirs)
    for key in ours:
        np.testing.assert_allclose(ours[key], theirs[key], 1e-4, err_msg=key)
    for a, b in zip(weights, expected, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)
