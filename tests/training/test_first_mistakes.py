"""What a first program gets wrong: messages that name the thing and the remedy, nothing changed."""

from __future__ import annotations

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.errors import DTypeError, ShapeError

X = np.random.default_rng(0).standard_normal((12, 4)).astype("float32")
LABELS = np.arange(12) % 3
IMAGES = np.zeros((12, 6, 6, 1), "float32")


def classifier(loss="sparse_categorical_crossentropy", **options):
    model = gpunn.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
    model.compile("adam", loss, **options)
    return model


def regressor(**options):
    return classifier("mse", **options)


def batches(*sizes):
    return [(X[:n], X[:n, :3]) for n in sizes]


# --- what is accepted ---


@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64, int])
def test_class_weights_of_any_number(number):
    found = []
    for weights in ({0: number(2)}, {0: 2.0}):
        gpunn.utils.set_random_seed(1)
        found.append(classifier().fit(X, LABELS, class_weight=weights, verbose=0).history["loss"])
    assert found[0] == found[1]


def test_epochs_with_validation():
    history = regressor().fit(
        X, X[:, :3], epochs=4, validation_split=0.5, validation_freq=[1, 4], verbose=0
    )
    assert len(history.history["val_loss"]) == 2
    model = regressor()
    with pytest.raises(ValueError, match="validation_freq must be a positive integer, received 0"):
        model.fit(X, X[:, :3], validation_split=0.5, validation_freq=[1, 0])


def test_one_layer_twice():
    """Its weights are shared, as in Keras; a copy of the model shares them, too."""
    dense = layers.Dense(4)
    model = gpunn.Sequential([layers.Input((4,)), dense, dense])
    twin = gpunn.models.clone_model(model)
    assert len(model.weights) == len(twin.weights) == 2 and twin.layers[0] is twin.layers[1]
    np.testing.assert_allclose(model.predict(X, verbose=0), dense(dense(X)).numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match="Two layers .* are named 'dense_x'"):
        gpunn.Sequential([layers.Dense(4, name="dense_x"), layers.Dense(4, name="dense_x")])


def test_a_former_name():
    with pytest.warns(UserWarning, match="'alpha' is now called 'negative_slope'"):
        assert layers.LeakyReLU(alpha=0.2).negative_slope == 0.2


# --- what a refusal leaves as it was ---


def test_history_and_seeds():
    def trained(refused):
        gpunn.utils.set_random_seed(3)
        model = regressor()
        first = model.fit(X, X[:, :3], verbose=0)
        if refused:
            with pytest.raises(ShapeError):
                model.fit(X, X, verbose=0)
            assert model.history is first and first.history["loss"]
        model.fit(X, X[:, :3], batch_size=4, verbose=0)
        return model.get_weights()

    for plain, after in zip(trained(False), trained(True), strict=True):
        np.testing.assert_array_equal(plain, after)


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_what_single_batches_have_counted(method):
    model = regressor(metrics=["mae"])
    model.train_on_batch(X, X[:, :3])
    before = model.get_metrics_result()
    for x, y in ((X[:, :2], X[:, :3]), (X, X[:, :2]), (X[None], X[:, :3])):
        with pytest.raises((ShapeError, ValueError)):
            getattr(model, method)(x, y)
        after = model.get_metrics_result()
        assert {k: float(v) for k, v in after.items()} == {k: float(v) for k, v in before.items()}


def test_a_metric_that_refuses():
    model = classifier(metrics=["mse"])
    with pytest.raises(ShapeError, match="The metric 'mean_squared_error' refuses this"):
        model.fit(X, LABELS, verbose=0)
    assert float(model.get_metrics_result()["loss"]) == 0


def test_sample_weights_before_the_first_step():
    model = regressor(metrics=["mae"])
    model.train_on_batch(X, X[:, :3])
    with pytest.raises(ShapeError, match=r"sample_weight does not fit the losses .*first 2 samp"):
        model.fit(X, X[:, :3], sample_weight=np.ones((12, 2)), verbose=0)
    assert float(model.get_metrics_result()["mae"]) > 0
    with pytest.raises(ShapeError, match=r"sample_weight \(6, 6\), losses \(6,\)"):
        gpunn.losses.MeanSquaredError(reduction=None)(X[:6], X[:6], np.ones((6, 6)))


# --- messages ---


def mha_without_a_value(_):
    layers.MultiHeadAttention(2, 3)(np.ones((2, 3, 4), "float32"))


def forgot_flatten(loss):
    model = gpunn.Sequential([layers.Input((6, 6, 1)), layers.Dense(3, "softmax")])
    model.compile("sgd", loss)
    model.fit(IMAGES, LABELS, verbose=0)


def assigns(_):
    tensor = gpunn.ops.zeros((2, 2))
    tensor[0, 0] = 5.0


SEQUENCE = r"ndim=3, found ndim=2.*return_sequences=True"
MESSAGES = [
    (lambda _: classifier().fit(X, LABELS, class_weight={0: True}), ValueError,
     "a weight of at least 0, received 0: True"),
    (lambda _: classifier().compile(None, "mse"), ValueError, "optimizer is None. Give one"),
    (lambda m: m.compile("sgd", "mse", ["accuracy"]), ValueError, r"Write metrics=\[...\]"),
    (lambda m: m.fit(iter(batches(4, 0)), verbose=0), ValueError, "A batch .* has 0 samples"),
    (lambda m: m.evaluate(iter(batches(0)), verbose=0), ValueError, "0 samples"),
    (lambda m: m.fit(iter([(5, X)]), verbose=0), ValueError, "x must have a batch axis"),
    (lambda m: m.fit(iter(batches(4)), batch_size=3), ValueError, "Leave out batch_size=3"),
    (lambda m: m.predict(iter([X]), batch_size=3), ValueError, "Leave out batch_size=3"),
    (lambda m: m.fit(X, X[:, :3], validation_data=iter(batches(4)), validation_batch_size=3),
     ValueError, "Leave out validation_batch_size=3"),
    (lambda m: m.fit(X, X[:, :3], validation_data=X, verbose=0), ValueError,
     r"there are no targets. Give validation_data=\(x, y\)"),
    (lambda m: m.fit((X, X[:, :3]), verbose=0), ValueError, "A tuple in the place of x is several"),
    (lambda _: layers.Dense(3)(), TypeError, r"was called without inputs: write layer\(x\)"),
    (lambda _: layers.LSTM(3)(), TypeError, r"was called without inputs: write layer\(x\)"),
    (assigns, TypeError, "Tensors do not change: make a new one by ops.slice_update"),
    (mha_without_a_value, TypeError, "'multi_head_attention.*' was called without value"),
    (lambda _: layers.Dense(3)(layers.Dense(4)), ValueError, "Call that layer first"),
    (lambda _: layers.Dense(3)([[1.0, 2.0]]), ValueError, r"lists of numbers as np.asarray\(...\)"),
    (lambda _: classifier("categorical_crossentropy").fit(X, LABELS, verbose=0), ShapeError,
     r"y_true \(2,\), .*Integer labels. Use sparse_categorical_crossentropy, or make rows of"),
    (lambda _: gpunn.losses.categorical_focal_crossentropy([0, 1], X[:2, :3]), ShapeError,
     r"y_true \(2,\), y_pred \(2, 3\).*Integer labels. Use sparse_"),
    (lambda _: gpunn.losses.mean_squared_error([0, 1, 2], X[:2, :3]), ShapeError,
     r"y_true \(3,\), y_pred \(2, 3\)\). Make them equal; .*may be missing\.$"),
    (lambda _: gpunn.losses.sparse_categorical_crossentropy(np.zeros((2, 5)), np.zeros((2, 4, 3))),
     ShapeError, r"of shape \(2, 4\) or \(2, 4, 1\)\.$"),
    (lambda _: forgot_flatten("sparse_categorical_crossentropy"), ShapeError, "Or put Flatten or"),
    (lambda _: forgot_flatten("mse"), ShapeError, "Or put Flatten or a pooling layer before"),
    (lambda _: layers.Conv2D(2, 3)(X[None]), ShapeError, r"One axis is missing: x\[None\]"),
    (lambda _: layers.LSTM(2)(layers.LSTM(2)(X[None])), ShapeError, SEQUENCE),
    (lambda m: m.fit(X, np.array(["a", "b", "c"] * 4), verbose=0), DTypeError,
     r"Labels. Number them by np.unique\(y, return_inverse=True\)"),
    (lambda m: m.predict(np.array([[1, "q", 2, 3]], object), verbose=0), DTypeError, "Text. Vect"),
    (lambda m: m.predict(X.astype(object), verbose=0), DTypeError, "All are numbers: give x.as"),
    (lambda m: m.predict([[1.0, 2.0], [1.0]], verbose=0), DTypeError, r"part. Pad its rows"),
    (lambda m: m.save("model.keras"), AttributeError, "Models cannot be saved yet: see docs/keras"),
    (lambda _: gpunn.datasets, AttributeError, "has no attribute 'datasets'. What Keras has"),
    (lambda _: gpunn.utils.to_categorical(["a"]), ValueError, "dtype <U1. layers.StringLookup"),
    (lambda _: gpunn.utils.to_categorical([np.nan]), ValueError, "must be integers, received NaN"),
    (lambda _: layers.Reshape((3, 3))(layers.Input((10,))), ShapeError, "product is 10"),
    (lambda _: layers.LSTM(2, dropout="a"), ValueError, "LSTMCell: dropout must be a number"),
    (lambda _: layers.Softmax()(layers.Masking()(np.ones((2, 4, 6)))), ShapeError,
     r"Softmax 'softmax.*', the mask and the input: shapes \(2, 4\) and \(2, 4, 6\) do not broadc"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "message"), MESSAGES)
def test_messages(act, error, message):
    with pytest.raises(error, match=message):
        act(regressor())
