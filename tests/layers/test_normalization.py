"""Normalizing layers against Keras on the same weights, and what only they do."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.errors import ShapeError

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
CASES = [
    ("BatchNormalization", {}, (8, 5)),
    ("BatchNormalization", {"momentum": 0.8, "epsilon": 0.1, "scale": False}, (4, 3, 5)),
    ("BatchNormalization", {"axis": 1, "center": False}, (4, 3, 2, 2)),
    ("BatchNormalization", {"beta_initializer": "ones", "gamma_regularizer": "l2"}, (4, 3, 2, 2)),
    ("BatchNormalization", {"renorm": True, "momentum": 0.6, "renorm_momentum": 0.7}, (8, 5)),
    (
        "BatchNormalization",
        {
            "renorm": True,
            "renorm_clipping": {"rmax": 1.1, "rmin": 0.9, "dmax": 0.3},
            "axis": 1,
            "center": False,
            "scale": False,
        },
        (6, 3, 4),
    ),
    ("LayerNormalization", {}, (4, 5)),
    ("LayerNormalization", {"axis": [1, 2], "epsilon": 0.1}, (4, 3, 5)),
    ("LayerNormalization", {"axis": 1, "center": False}, (4, 3, 5)),
    ("LayerNormalization", {"axis": (3, 1), "gamma_initializer": "ones"}, (2, 3, 4, 5)),
    ("LayerNormalization", {"scale": False, "beta_regularizer": "l2"}, (4, 5)),
    ("GroupNormalization", {"groups": 2}, (4, 6)),
    ("GroupNormalization", {"groups": 3, "axis": -1, "epsilon": 0.1}, (2, 4, 4, 6)),
    ("GroupNormalization", {"groups": 2, "axis": 1, "scale": False}, (2, 4, 3, 3)),
    ("GroupNormalization", {"groups": -1, "center": False}, (2, 4, 3)),
    ("GroupNormalization", {"groups": 1}, (2, 5, 4)),
    ("RMSNormalization", {}, (4, 5)),
    ("RMSNormalization", {"axis": [1, 2], "epsilon": 0.1}, (4, 3, 5)),
    ("UnitNormalization", {}, (4, 5)),
    ("UnitNormalization", {"axis": [1, 2]}, (4, 3, 5)),
    ("UnitNormalization", {"axis": 1}, (4, 3, 5)),
]
every_case = pytest.mark.parametrize(
    ("name", "options", "shape"), CASES, ids=[f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]
)
wrapped = pytest.mark.parametrize("iterations", [1, 3])


def settle(ours, theirs, x):
    """Build both on x; the same random weights for both, variances positive."""
    ours(x)
    theirs(x)
    weights = [RNG.uniform(0.5, 1.5, w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs, x


def pair(name, options, shape):
    ours = getattr(layers, name)(name="layer", **options)
    theirs = getattr(keras.layers, name)(name="layer", **options)
    return settle(ours, theirs, data(shape))


def data(shape):
    return RNG.normal(0.5, 2, shape).astype("float32")


def spectral(iterations):
    settings = {"power_iterations": iterations, "name": "layer"}
    return (
        layers.SpectralNormalization(layers.Dense(3, name="dense"), **settings),
        keras.layers.SpectralNormalization(keras.layers.Dense(3, name="dense"), **settings),
    )


def close(ours, theirs, rtol=2e-5, atol=5e-6):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=atol)


def same_weights(ours, theirs):
    assert [(w.path, w.shape, w.trainable) for w in ours.weights] == [
        (w.path, tuple(w.shape), w.trainable) for w in theirs.weights
    ]
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(mine, other)


@every_case
@pytest.mark.parametrize("training", [False, True])
def test_values_and_states(name, options, shape, training):
    ours, theirs, x = pair(name, options, shape)
    for batch in (x, data(shape), data(shape)):
        y, expected = ours(batch, training=training), theirs(batch, training=training)
        assert y.dtype == "float32"
        close(y.numpy(), expected)
        same_weights(ours, theirs)
    close(sum(map(float, ours.losses)), sum(map(float, theirs.losses)))


@wrapped
def test_spectral_normalization(iterations):
    ours, theirs, x = settle(*spectral(iterations), data((4, 5)))
    close(ours(x).numpy(), theirs(x))
    for _ in range(3):
        close(ours(x, training=True).numpy(), theirs(x, training=True))
        same_weights(ours, theirs)
    for _ in range(30):
        ours(x, training=True)
    largest = np.linalg.svd(ours.layer.kernel.numpy(), compute_uv=False)[0]
    assert largest == pytest.approx(1, abs=1e-4)


def test_spectral_normalization_leaves_a_kernel_of_zeros():
    layer, x = (
        layers.SpectralNormalization(layers.Dense(3, kernel_initializer="zeros")),
        data((4, 5)),
    )
    layer(x)
    before = layer.vector_u.numpy()
    assert not layer(x, training=True).numpy().any()
    assert not layer.layer.kernel.numpy().any()
    np.testing.assert_array_equal(layer.vector_u.numpy(), before)


@every_case
def test_shapes_configs_and_masks(name, options, shape):
    ours, theirs, x = pair(name, options, shape)
    for given in (shape, (None, *shape[1:])):
        fresh = getattr(layers, name)(**options)
        assert fresh.compute_output_shape(given) == tuple(theirs.compute_output_shape(given))
    config, expected = ours.get_config(), theirs.get_config()
    assert set(config) == set(expected) - {"quantization_config"}
    for key, value in expected.items():
        if value is None or isinstance(value, (str, int, float, tuple, list, bool)):
            assert key == "quantization_config" or config[key] == value, key
    assert ours.supports_masking == theirs.supports_masking
    rebuilt = layers.deserialize(layers.serialize(ours))
    assert rebuilt.get_config() == config
    rebuilt(x)
    rebuilt.set_weights(ours.get_weights())
    np.testing.assert_array_equal(rebuilt(x).numpy(), ours(x).numpy())
    assert ours(x[:0]).shape == (0, *shape[1:])
    auto = getattr(layers, name)(**options).name, getattr(keras.layers, name)(**options).name
    assert auto[0].rstrip("_0123456789") == auto[1].rstrip("_0123456789")


def test_config_of_spectral_normalization():
    ours, theirs = spectral(2)
    config, expected = ours.get_config(), theirs.get_config()
    assert set(config) == set(expected)
    assert config["power_iterations"] == 2
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == config
    assert ours.supports_masking == theirs.supports_masking
    assert spectral(1)[0].compute_output_shape((None, 5)) == (None, 3)


@every_case
@pytest.mark.parametrize("training", [False, True])
def test_gradients_against_differences(name, options, shape, training):
    """d Σ c·y / d (input, weights) in float64; the states are put back before each value."""
    layer = getattr(layers, name)(dtype="float64", **options)
    x = gpunn.Variable(RNG.normal(0.5, 1, shape), dtype="float64")
    c = RNG.standard_normal(layer(x).shape)
    for w in layer.trainable_weights:
        w.assign(RNG.uniform(0.5, 1.5, w.shape))
    states = [(w, w.numpy()) for w in layer.non_trainable_weights]

    def loss():
        for w, value in states:
            w.assign(value)
        return gpunn.ops.sum(layer(x, training=training) * c)

    sources = [x, *layer.trainable_weights]
    with gpunn.GradientTape() as tape:
        value = loss()
    found = tape.gradient(value, sources)
    if options.get("renorm") and training:
        sources = sources[1:]  # r and d count as constants for x
        found = found[1:]
    for source, gradient in zip(sources, found, strict=True):
        flat = source.data.reshape(-1)
        for i in range(0, flat.size, max(1, flat.size // 5)):
            middle, step = flat[i], 1e-5
            values = []
            for moved in (middle + step, middle - step):
                flat[i] = moved
                values.append(float(loss()))
            flat[i] = middle
            expected = (values[0] - values[1]) / (2 * step)
            assert gradient.numpy().reshape(-1)[i] == pytest.approx(expected, rel=1e-5, abs=1e-7)


TRAINED = {
    "batch": lambda k: [k.BatchNormalization(momentum=0.7)],
    "renorm": lambda k: [k.BatchNormalization(renorm=True, renorm_clipping={"rmax": 1.5})],
    "layer": lambda k: [k.LayerNormalization(axis=[1, 2])],
    "group": lambda k: [k.GroupNormalization(2), k.UnitNormalization()],
    "rms": lambda k: [k.RMSNormalization()],
    "spectral": lambda k: [k.SpectralNormalization(k.Dense(6))],
    "frozen": lambda k: [k.BatchNormalization(trainable=False), k.BatchNormalization()],
}


def model_of(package, stack, **settings):
    k = package.layers
    middle = TRAINED[stack](k)
    model = package.Sequential(
        [package.Input((4, 5)), k.Dense(6), *middle, k.Flatten(), k.Dense(2)]
    )
    model.compile(package.optimizers.SGD(0.05, momentum=0.9), "mse", **settings)
    return model


@pytest.mark.parametrize("stack", TRAINED)
def test_training_steps(stack):
    """Weights and states after some steps, eager, recorded, and in Keras."""
    x, y = RNG.normal(1, 2, (10, 6, 4, 5)).astype("float32"), data((10, 6, 2))
    eager, recorded = (model_of(gpunn, stack, jit_compile=jit) for jit in (False, True))
    theirs = model_of(keras, stack)
    weights = [RNG.uniform(-0.5, 0.5, w.shape) for w in theirs.weights]
    weights = [abs(w) if "/moving" in v.path else w for v, w in zip(theirs.weights, weights)]
    for model in (eager, recorded, theirs):
        model.set_weights(weights)
        for batch in zip(x, y, strict=True):
            model.train_on_batch(*batch)
    assert all(r.program for f in recorded._step.recordings.values() for r in f.steps.values())
    for mine, replayed, other in zip(
        eager.get_weights(), recorded.get_weights(), theirs.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, replayed)
        if stack != "spectral":  # where Keras on JAX drops the kernel that the layer assigns
            close(mine, other, rtol=1e-3, atol=1e-4)


def test_a_step_of_spectral_normalization():
    """W ← W / σ, then the step of gradient descent at this kernel."""
    x, y = data((6, 5)).astype("float64"), data((6, 3)).astype("float64")
    layer = layers.SpectralNormalization(layers.Dense(3, dtype="float64"), dtype="float64")
    model = gpunn.Sequential([gpunn.Input((5,), dtype="float64"), layer])
    model.compile(gpunn.optimizers.SGD(0.1), "mse")
    W, u = layer.kernel.numpy(), layer.vector_u.numpy()
    model.train_on_batch(x, y)
    v = u @ W.T / np.linalg.norm(u @ W.T)
    u = v @ W / np.linalg.norm(v @ W)
    W = W / (v @ W @ u.T)
    close(layer.kernel.numpy(), W - 0.1 * x.T @ (2 / 18 * (x @ W - y)), rtol=1e-6)
    close(layer.vector_u.numpy(), u, rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"renorm": True}, {"axis": 1, "momentum": 0.5}])
def test_batches_with_a_mask(options):
    ours, theirs, x = pair("BatchNormalization", options, (6, 4, 3))
    mask = RNG.uniform(size=(6, 4)) < 0.6
    x[~mask] = np.nan if "axis" not in options else 9
    for _ in range(2):
        y = ours(x, mask=mask, training=True)
        close(y.numpy(), theirs(x, mask=mask, training=True))
        same_weights(ours, theirs)
    ours, theirs, x = pair("BatchNormalization", {}, (6, 1))
    mask = np.array([1, 1, 0, 0, 1, 0], bool)
    mean = x[mask].mean()
    ours.moving_mean.assign([0.0])
    ours(x, mask=mask, training=True)
    close(ours.moving_mean.numpy(), [0.01 * mean])


def test_a_mask_of_a_wrong_rank():
    with pytest.raises(ShapeError, match=r"one axis less than the input \(mask \(4, 3\), input"):
        layers.BatchNormalization()(data((4, 3)), mask=np.ones((4, 3), bool))


def test_a_frozen_layer_uses_its_averages():
    layer, x = layers.BatchNormalization(), data((8, 3))
    layer(x, training=True)
    layer.trainable = False
    before = layer.get_weights()
    np.testing.assert_array_equal(layer(x, training=True).numpy(), layer(x).numpy())
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not layer.trainable_weights and len(layer.non_trainable_weights) == 4


def test_freezing_holds_in_recorded_steps():
    model = model_of(gpunn, "batch", jit_compile=True)
    for _ in range(4):
        model.train_on_batch(data((6, 4, 5)), data((6, 2)))
    norm = model.layers[1]
    norm.trainable = False
    before = norm.get_weights()
    for _ in range(4):
        model.train_on_batch(data((6, 4, 5)), data((6, 2)))
    for old, new in zip(before, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_statistics_of_data_far_from_zero():
    """One pass over squares would lose them: mean 10⁴, deviation 1, also over several parts."""
    x = (RNG.standard_normal((9000, 33)) + 1e4).astype("float32")
    layer = layers.BatchNormalization(momentum=0.0, epsilon=1e-6)
    y = layer(x, training=True).numpy()
    wide = x.astype("float64")
    close(layer.moving_mean.numpy(), wide.mean(0), rtol=1e-6)
    close(layer.moving_variance.numpy(), wide.var(0), rtol=1e-3)
    close(y, (wide - wide.mean(0)) / wide.std(0), atol=3e-3)


@pytest.mark.parametrize("name", ["BatchNormalization", "LayerNormalization", "RMSNormalization",
                                  "GroupNormalization", "UnitNormalization"])  # fmt: skip
def test_halves_are_computed_in_float32(name):
    """The squares of 300 exceed the largest half."""
    options = {"groups": 2} if name == "GroupNormalization" else {}
    x = (data((64, 8)) * 300).astype("float16")
    half, single = (getattr(layers, name)(dtype=d, **options) for d in ("float16", "float32"))
    y, expected = half(x, training=True), single(x.astype("float32"), training=True)
    assert y.dtype == "float16"
    assert {w.dtype for w in half.weights} <= {"float16"}
    close(y.numpy(), expected.numpy(), rtol=2e-3, atol=2e-3)


def test_rms_scaling_is_deprecated_and_works():
    with pytest.warns(UserWarning, match="Use RMSNormalization"):
        ours = layers.LayerNormalization(rms_scaling=True, axis=1)
    with pytest.warns(UserWarning, match="RMS"):
        theirs = keras.layers.LayerNormalization(rms_scaling=True, axis=1)
    ours, theirs, x = settle(ours, theirs, data((3, 4, 5)))
    close(ours(x).numpy(), theirs(x))
    assert ours.beta is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.BatchNormalization(synchronized=True), "on several devices, which gpunn"),
        (
            lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmx": 1}),
            "Unknown key of renorm_clipping: 'rmx'. Did you mean 'rmax'",
        ),
        (
            lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmax": 1, "rmin": 2}),
            "rmax must be at least rmin",
        ),
        (
            lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"dmax": -1}),
            "dmax must not be negative, received -1",
        ),
        (lambda: layers.BatchNormalization(axis=2)(data((2, 3))), "axis 2 does not exist in 2"),
        (
            lambda: layers.BatchNormalization().compute_output_shape((None, None)),
            r"axis -1 of the input must be known and not 0, received shape \(None, None\)",
        ),
        (lambda: layers.LayerNormalization(axis=[1, -1])(data((2, 3))), "named twice"),
        (lambda: layers.GroupNormalization(0), "groups must be a positive integer, or -1"),
        (lambda: layers.GroupNormalization(4)(data((2, 6))), "6 channels do not divide into 4"),
        (lambda: layers.GroupNormalization(2, axis=0)(data((2, 6))), "axis 0 is the batch"),
        (
            lambda: layers.RMSNormalization().compute_output_shape((2, None)),
            r"the axes \[-1\] of \(2, None\) must be known",
        ),
        (lambda: layers.SpectralNormalization("dense"), "layer must be a layer, received 'dense'"),
        (
            lambda: layers.SpectralNormalization(layers.Dense(2), power_iterations=0),
            "power_iterations must be a positive integer, received 0",
        ),
        (
            lambda: layers.SpectralNormalization(layers.ReLU())(data((2, 3))),
            "ReLU 're_lu.*' has neither a kernel nor embeddings",
        ),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_axis_that_is_no_number():
    for name in ("LayerNormalization", "UnitNormalization", "RMSNormalization"):
        with pytest.raises(TypeError, match=f"{name}: axis must be an integer or a list"):
            getattr(layers, name)(axis="last")


@pytest.mark.parametrize("axis", [[1, 2], None, "last"])
def test_batch_normalization_has_one_axis(axis):
    with pytest.raises(ValueError, match="BatchNormalization: axis must be an integer, received"):
        layers.BatchNormalization(axis=axis)
