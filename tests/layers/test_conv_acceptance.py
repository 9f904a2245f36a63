"""Convolutional networks as a whole: random crosses against torch, training against Keras, and
what users change between two fits."""

import threading

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops
from gpunn.backend import blas

FORMATS = ("channels_last", "channels_first")
TOLERANCE = {"float16": 3e-2, "float32": 3e-4, "float64": 1e-9}


def first(x):
    return np.moveaxis(x, -1, 1)


def ours(function, arrays, dy, dtype):
    """The value and the gradients, in `dtype`."""
    tensors = [ops.convert_to_tensor(a.astype(dtype)) for a in arrays]
    with gpunn.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        y = function(*tensors)
        total = ops.sum(y * dy.astype(dtype))
    return [ops.convert_to_numpy(t) for t in (y, *tape.gradient(total, tensors))]


def theirs(torch, function, arrays, order, rng):
    """dy, the value and the gradients in float64; `function` takes channels-first images."""
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = function(torch.movedim(tensors[0], -1, 1), *tensors[1:])
    y = y if order == "channels_first" else torch.movedim(y, 1, -1)
    dy = rng.normal(size=tuple(y.shape)) / 4
    found = torch.autograd.grad((y * torch.tensor(dy)).sum(), tensors)
    dx, *dws = (t.numpy() for t in found)
    return dy, [y.detach().numpy(), first(dx) if order == "channels_first" else dx, *dws]


def widths(sizes, extents, strides, padding):
    """(before, after) of each axis"""
    if padding != "same":
        return [(e - 1 if padding == "causal" else 0, 0) for e in extents]
    total = [
        max((-(-n // s) - 1) * s + e - n, 0)
        for n, e, s in zip(sizes, extents, strides, strict=True)
    ]
    return [(t // 2, t - t // 2) for t in total]


@pytest.mark.parametrize("kind", ["conv", "depthwise", "separable"])
@pytest.mark.parametrize("seed", range(12))
def test_random_convolutions_against_torch(kind, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng([seed, len(kind)])
    d, dtype, order = rng.integers(1, 4), rng.choice(list(TOLERANCE)), FORMATS[seed % 2]
    n, sizes = rng.choice([1, 3]), rng.choice([1, 2, 5, 7, 9], d).tolist()
    kernel, strides, dilation = (rng.integers(1, 4, d).tolist() for _ in range(3))
    groups = int(rng.integers(1, 4)) if kind == "conv" else 1
    channels, m = groups * int(rng.choice([1, 2, 17])), int(rng.integers(1, 3))
    extents = [a * (k - 1) + 1 for k, a in zip(kernel, dilation, strict=True)]
    fits = all(s >= e for s, e in zip(sizes, extents, strict=True))
    padding = "causal" if d == 1 and kind == "conv" else "valid" if fits else "same"
    pads = [w for pair in widths(sizes, extents, strides, padding)[::-1] for w in pair]
    convolve = getattr(torch.nn.functional, f"conv{d}d")
    options = {
        "strides": strides, "padding": padding, "data_format": order, "dilation_rate": dilation
    }  # fmt: skip

    def turned(w):
        return w.movedim((-1, -2), (0, 1)).contiguous()

    def one_each(w):
        return w.movedim((-2, -1), (0, 1)).reshape(channels * m, 1, *kernel).contiguous()

    x = rng.normal(size=(n, *sizes, channels))
    if kind == "conv":
        ws = [rng.normal(size=(*kernel, channels // groups, groups * 2))]
    else:
        ws = [rng.normal(size=(*kernel, channels, m)), rng.normal(size=(*[1] * d, channels * m, 3))]
    ws = ws if kind != "depthwise" else ws[:1]

    def reference(x, w, pointwise=None):
        x = torch.nn.functional.pad(x, pads)
        w, g = (turned(w), groups) if kind == "conv" else (one_each(w), channels)
        y = convolve(x, w, stride=strides, dilation=dilation, groups=g)
        return y if pointwise is None else convolve(y, turned(pointwise))

    function = ops.separable_conv if kind == "separable" else ops.conv
    function = ops.depthwise_conv if kind == "depthwise" else function
    dy, wanted = theirs(torch, reference, [x, *ws], order, rng)
    given = [first(x) if order == "channels_first" else x, *ws]
    found = ours(lambda *arrays: function(*arrays, **options), given, dy, dtype)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape and a.dtype == dtype
        np.testing.assert_allclose(a, b, atol=TOLERANCE[dtype] * max(1, np.abs(b).max()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_channel_in_front_is_filtered(dtype):
    """An axis of length 1 may have any stride: here it is not where the next pixel lies."""
    x = np.random.default_rng(0).normal(size=(3, 1, 7)).astype(dtype)
    w = np.array([2.0, -1.0], dtype).reshape(2, 1, 1)
    y = ops.depthwise_conv(x, w, data_format="channels_first")
    np.testing.assert_allclose(y, 2 * x[..., :-1] - x[..., 1:], rtol=1e-6)


# --- training ---


def network(keras, order):
    """Convolutions, normalization and pooling."""
    kinds, f = keras.layers, {"data_format": order}
    axis = -1 if order == "channels_last" else 1
    shape = (11, 9, 3) if order == "channels_last" else (3, 11, 9)
    return keras.Sequential(
        [
            keras.Input(shape),
            kinds.Conv2D(6, 3, padding="same", use_bias=False, **f),
            kinds.BatchNormalization(axis=axis),
            kinds.ReLU(),
            kinds.MaxPooling2D(2, **f),
            kinds.SeparableConv2D(8, 3, padding="same", activation="relu", **f),
            kinds.Dropout(0.0),
            kinds.GlobalAveragePooling2D(**f),
            kinds.Dense(4, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("order", FORMATS)
def test_fifty_steps_as_keras(order, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)  # Keras makes the first weights
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 8, 11, 9, 3)).astype("float32"), rng.integers(0, 4, (50, 8))
    x = x if order == "channels_last" else np.moveaxis(x, -1, 2).copy()
    start, results = None, {}
    for name, library in (("keras", keras), ("eager", gpunn), ("recorded", gpunn)):
        model = network(library, order)
        start = start or model.get_weights()
        model.set_weights(start)
        options = {} if library is keras else {"jit_compile": name == "recorded"}
        loss = "sparse_categorical_crossentropy"
        model.compile(library.optimizers.Adam(1e-3), loss, **options)
        losses = [float(model.train_on_batch(*batch)) for batch in zip(x, y, strict=True)]
        results[name] = [np.array(losses), *model.get_weights()]
    for a, b, c in zip(*results.values(), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-4)
        np.testing.assert_array_equal(c, b)


# --- what changes between two fits ---

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(70, 8, 8, 3)).astype("float32"), RNG.integers(0, 4, 70)


def small(jit_compile, filters=6):
    gpunn.utils.set_random_seed(3)
    model = gpunn.Sequential(
        [
            gpunn.Input((8, 8, 3)),
            layers.Conv2D(filters, 3, padding="same", activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.3, seed=5, name="dropout"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax", kernel_regularizer=gpunn.regularizers.L2(0.01)),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(gpunn.optimizers.Adam(0.01), loss, jit_compile=jit_compile)
    return model


def a_new_optimizer(model):
    model.compile(gpunn.optimizers.SGD(0.1), model.loss, jit_compile=model.jit_compile)


def set_in(name, **values):
    def change(model):
        for key, value in values.items():
            setattr(model.get_layer(name), key, value)

    return change


CHANGES = {
    "learning rate": lambda model: setattr(model.optimizer, "learning_rate", 0.1),
    "clipping": lambda model: setattr(model.optimizer, "global_clipnorm", 0.01),
    "optimizer": a_new_optimizer,
    "frozen": set_in("conv", trainable=False),
    "frozen normalization": set_in("norm", trainable=False),
    "rate": set_in("dropout", rate=0.9),
    "momentum": set_in("norm", momentum=0.1),
    "pooling": set_in("pool", pool_size=(1, 1)),
    "activation": set_in("conv", activation=gpunn.activations.tanh),
    "activity": set_in("conv", activity_regularizer=gpunn.regularizers.L2(1.0)),
    "regularizer": lambda model: setattr(model.layers[-1].kernel.regularizer, "l2", 5.0),
    "constraint": lambda model: setattr(
        model.layers[-1].kernel, "constraint", gpunn.constraints.MaxNorm(0.1)
    ),
    "weights": lambda model: model.set_weights([w / 2 for w in model.get_weights()]),
    "predictions": lambda model: (model.predict(X, verbose=0), model.evaluate(X, Y, verbose=0)),
}
DATA = {
    "batch size": {"batch_size": 32},
    "in order": {"shuffle": False},
    "weights": {"sample_weight": RNG.random(70).astype("float32")},
    "validation": {"validation_split": 0.3},
    "bytes": {"x": (X * 20).astype("uint8")},
    "doubles": {"x": X.astype("float64")},
    "fewer": {"x": X[:40], "y": Y[:40]},
}


@pytest.mark.parametrize(
    ("change", "data"),
    [(change, {}) for change in CHANGES.values()] + [(None, data) for data in DATA.values()],
    ids=[*CHANGES, *(f"data: {name}" for name in DATA)],
)
def test_a_kept_step_sees_what_has_changed(change, data):
    results = []
    for jit_compile in (True, False):
        model, options = small(jit_compile), {"batch_size": 16, "epochs": 2, "verbose": 0}
        model.fit(X, Y, **options)
        if change is not None:
            change(model)
        history = model.fit(**{"x": X, "y": Y, **options, **data})
        results.append([np.array(history.history["loss"]), *model.get_weights()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_a_function_of_the_users_between_two_fits_ends_recording():
    """It may do what no recording would repeat; here, from its 10th call on."""
    calls = []

    def activation(x):
        calls.append(1)
        return x if len(calls) < 10 else ops.zeros_like(x)

    model = small("auto")
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    assert model.step.recordings
    model.get_layer("conv").activation = activation
    model.fit(X, Y, batch_size=16, epochs=4, verbose=0)
    assert len(calls) >= 20  # each step calls it
    assert not model.step.recordings


class _Once(gpunn.callbacks.Callback):
    def __init__(self, action):
        super().__init__()
        self.action = action

    def on_train_batch_end(self, batch, logs=None):
        if self.action is not None and batch == 2:
            action, self.action = self.action, None
            action(self.model)


@pytest.mark.parametrize(
    "action",
    [
        a_new_optimizer,
        lambda model: model.evaluate(X, Y, verbose=0, batch_size=16),
        lambda model: model.predict(X, verbose=0, batch_size=16),
        lambda model: model.fit(X[::-1], Y[::-1], batch_size=16, verbose=0),
    ],
    ids=["compile", "evaluate", "predict", "fit"],
)
def test_callbacks_may_use_the_model(action):
    results = []
    for jit_compile in (True, False):
        model = small(jit_compile)
        for _ in range(2):
            model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[_Once(action)])
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_models_train_in_two_threads():
    before, alone = blas.threads(), []
    for filters in (48, 64):
        model = small(True, filters)
        model.fit(X, Y, batch_size=16, epochs=3, verbose=0, shuffle=False)
        alone.append(model.get_weights())
    models, errors = [small(True, filters) for filters in (48, 64)], []

    def train(model):
        try:
            model.fit(X, Y, batch_size=16, epochs=3, verbose=0, shuffle=False)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=train, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and blas.threads() == before
    for model, wanted in zip(models, alone, strict=True):
        for a, b in zip(model.get_weights(), wanted, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)  # sums may be shared out differently


# --- arguments and messages ---


def test_order_of_arguments_of_transposed_convolution_of_volumes():
    layer = layers.Conv3DTranspose(2, 3, 2, "same", "channels_first", 1)
    assert layer.data_format == "channels_first" and layer.output_padding == (1, 1, 1)


def test_center_crop_takes_images_only():
    with pytest.raises(gpunn.errors.ShapeError, match=r"rank 3 .* or 4 .* shape \(5, 5\)"):
        layers.CenterCrop(3, 3)(np.zeros((5, 5), "float32"))


def test_a_window_that_does_not_fit_quotes_all_sizes():
    message = r"axis of length 5 .*image \(9, 5\), kernel \(3, 7\)"
    with pytest.raises(gpunn.errors.ShapeError, match=message):
        layers.Conv2D(2, (3, 7))(np.zeros((1, 9, 5, 3), "float32"))
