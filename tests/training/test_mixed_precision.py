"""Training in 16 bits: master weights, float32 losses, dynamic loss scaling; against Keras."""

import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # compiles twice as fast

import numpy as np
import pytest

import gpunn
from gpunn import config, layers

RNG = np.random.default_rng(5)
X = RNG.standard_normal((24, 6)).astype("float32")
LABELS = RNG.integers(0, 3, 24)
IMAGES = RNG.standard_normal((24, 8, 8, 2)).astype("float32")
SERIES = RNG.standard_normal((24, 5, 4)).astype("float32")
TOKENS = RNG.integers(0, 11, (24, 6))


@pytest.fixture(autouse=True)
def _seeded_and_float32_again():
    gpunn.utils.set_random_seed(3)
    yield
    config.set_dtype_policy(None)


def of_everything(lib, **initial):
    """Dense, convolution with batch normalization, recurrence and attention, one head each.

    `initial`: initializers, which Keras need not compile where its weights are replaced.
    """
    inner, recurrent = lib.layers, {f"recurrent_{name}": v for name, v in initial.items()}
    kernel = {f"kernel_{name}": v for name, v in initial.items()}
    image, series = inner.Input((8, 8, 2)), inner.Input((5, 4))
    tokens = inner.Input((6,), dtype="int32")
    x = inner.BatchNormalization()(inner.Conv2D(4, 3, padding="same", **kernel)(image))
    x = inner.MaxPooling2D()(inner.ReLU()(x))
    x = inner.Dense(8, "tanh", **kernel)(inner.Flatten()(x))
    s = inner.LSTM(6, **kernel, **recurrent)(series)
    t = inner.Embedding(11, 8, **{f"embeddings_{name}": v for name, v in initial.items()})(tokens)
    attention = inner.MultiHeadAttention(2, 4, **kernel)
    # With scores: JAX has no fused attention in float16 on the CPU.
    t = inner.LayerNormalization()(t + attention(t, t, return_attention_scores=True)[0])
    t = inner.GlobalAveragePooling1D()(inner.Dense(8, "gelu", **kernel)(t))
    heads = [
        inner.Dense(3, "softmax", dtype="float32", name="of_image", **kernel)(x),
        inner.Dense(3, "softmax", name="of_series", **kernel)(s),
        inner.Dense(3, "softmax", name="of_tokens", **kernel)(t),
    ]
    return lib.Model([image, series, tokens], heads)


def mixed_model(lib, **initial):
    lib.config.set_dtype_policy("mixed_float16")
    model = of_everything(lib, **initial)
    lib.config.set_dtype_policy("float32")
    return model


def fitted(lib, model, **options):
    """The losses of 20 steps."""
    loss = ["sparse_categorical_crossentropy"] * 3
    model.compile(lib.optimizers.SGD(0.05, momentum=0.9), loss, **options)
    inputs = [IMAGES, SERIES, TOKENS]
    history = model.fit(inputs, [LABELS] * 3, batch_size=6, epochs=5, shuffle=False, verbose=0)
    return history.history


def test_twenty_steps_equal_those_of_keras():
    keras = pytest.importorskip("keras")
    ours, theirs = mixed_model(gpunn), mixed_model(keras, initializer="zeros")
    theirs.set_weights(ours.get_weights())
    found, expected = fitted(gpunn, ours), fitted(keras, theirs)
    assert found["loss"][-1] < found["loss"][0] - 0.2
    assert set(found) == set(expected) and len(found) == 4
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], atol=2e-3, err_msg=name)
    assert [y.dtype for y in ours.outputs] == [y.dtype for y in theirs.outputs]
    for ours_w, theirs_w in zip(ours.weights, theirs.weights, strict=True):
        assert ours_w.dtype == theirs_w.dtype == "float32"
        np.testing.assert_allclose(ours_w, theirs_w, atol=3e-2, err_msg=ours_w.path)
    scales = [float(m.optimizer.dynamic_scale.numpy()) for m in (ours, theirs)]
    assert scales[0] == scales[1]


def test_recorded_steps_equal_eager_ones():
    recorded, eager = mixed_model(gpunn), mixed_model(gpunn)
    eager.set_weights(recorded.get_weights())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a step that cannot be recorded
        found = fitted(gpunn, recorded, jit_compile=True)
    assert found == fitted(gpunn, eager, jit_compile=False)
    assert recorded.step.recordings and not eager.step.recordings
    for a, b in zip(recorded.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [y.dtype for y in recorded.predict([IMAGES, SERIES, TOKENS], verbose=0)] == [
        "float32", "float16", "float16"
    ]  # fmt: skip


# --- what is computed in float32 ---


def linear(policy="mixed_float16", **options):
    config.set_dtype_policy(policy)
    model = gpunn.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False, **options)])
    config.set_dtype_policy(None)
    return model


def test_weights_take_steps_smaller_than_those_of_float16():
    model = linear(kernel_initializer="ones")
    model.compile(gpunn.optimizers.SGD(1e-4), lambda t, y: y, jit_compile=True)
    x = np.ones((4, 1), "float32")
    for _ in range(20):
        model.train_on_batch(x, x)
    np.testing.assert_allclose(model.get_weights()[0], 1 - 20e-4, rtol=1e-6)
    half = linear("float16", kernel_initializer="ones")
    half.compile(gpunn.optimizers.SGD(1e-4), "mse")
    half.train_on_batch(x, x + 1)
    assert half.get_weights()[0].dtype == "float16" and half.get_weights()[0] == 1


def test_losses_and_metrics_are_computed_in_float32():
    model = linear(kernel_initializer="ones")
    x = np.full((4, 1), 300.0, "float32")  # whose square is infinite in float16
    model.compile("sgd", "mse", metrics=["mse", "mae", gpunn.metrics.MeanSquaredError(name="own")])
    loss, *rest = model.evaluate(x, -x, verbose=0)
    assert (loss, *rest) == (360_000, 360_000, 600, 360_000)
    y_pred = model(x)
    assert y_pred.dtype == "float16"
    assert gpunn.losses.MeanSquaredError()(-x, y_pred).dtype == "float32"


def test_gradients_too_small_for_float16_survive_by_the_scale():
    """d loss / dy = 1e-8, which is 0 in float16; times 2¹⁵ it is not."""
    updates = {}
    for scaled in (True, False):
        model = linear(kernel_initializer="zeros")
        model.compile(
            gpunn.optimizers.SGD(1e8), lambda t, y: y * 1e-8, auto_scale_loss=scaled
        )  # fmt: skip
        model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
        updates[scaled] = model.get_weights()[0].item()
    assert updates[True] == pytest.approx(-1, rel=1e-3) and updates[False] == 0


def test_gradients_are_those_of_float32():
    mixed, single = mixed_model(gpunn), of_everything(gpunn)
    single.set_weights(mixed.get_weights())
    found = []
    for model in (mixed, single):
        with gpunn.GradientTape() as tape:
            outputs = model([IMAGES, SERIES, TOKENS], training=True)
            loss = 1024 * sum(
                gpunn.losses.SparseCategoricalCrossentropy()(LABELS, y) for y in outputs
            )
        found.append(tape.gradient(loss, model.trainable_weights))
    for w, a, b in zip(mixed.trainable_weights, *found, strict=True):
        assert a.dtype == b.dtype == "float32"
        distance = np.linalg.norm(a.numpy() - b.numpy())
        assert distance < 0.05 * np.linalg.norm(b.numpy()) + 2, w.path  # of gradients times 1024


# --- loss scaling ---


@pytest.mark.parametrize(
    ("policy", "optimizer", "options", "wrapped"),
    [
        ("mixed_float16", "adam", {}, True),
        ("mixed_float16", "adam", {"auto_scale_loss": False}, False),
        ("float16", "adam", {}, False),
        ("mixed_bfloat16", "adam", {}, False),
        ("float32", "adam", {}, False),
    ],
)
def test_who_scales_the_loss(policy, optimizer, options, wrapped):
    if "bfloat16" in policy:
        pytest.importorskip("ml_dtypes")
    model = linear(policy)
    model.compile(optimizer, "mse", **options)
    assert isinstance(model.optimizer, gpunn.optimizers.LossScaleOptimizer) == wrapped
    if wrapped:
        assert isinstance(model.optimizer.inner_optimizer, gpunn.optimizers.Adam)
        given = gpunn.optimizers.LossScaleOptimizer(gpunn.optimizers.SGD())
        model.compile(given, "mse")
        assert model.optimizer is given


@pytest.mark.parametrize("recorded", [True, False])
def test_the_scale_falls_and_grows(recorded):
    model = linear(kernel_initializer="ones")
    inner = gpunn.optimizers.Adam(0.125)
    optimizer = gpunn.optimizers.LossScaleOptimizer(inner, 1024.0, dynamic_growth_steps=3)
    model.compile(optimizer, "mse", jit_compile=recorded)
    good, bad = np.ones((2, 1), "float32"), np.full((2, 1), 1e5, "float32")  # ∞ in float16
    scale, run, updates = 1024.0, 0, 0
    for is_good in (1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1):
        before = model.get_weights()[0]
        with np.errstate(all="ignore"):
            model.train_on_batch(good if is_good else bad, 2 * good)
        changed = model.get_weights()[0] != before
        run = run + 1 if is_good else 0
        if run == 3:
            scale, run = scale * 2, 0
        scale = scale if is_good else scale / 2
        updates += is_good
        assert changed.all() == is_good
        assert optimizer.dynamic_scale.numpy() == scale
        assert optimizer.step_counter.numpy() == run
    assert int(inner.iterations.numpy()) == updates
    recordings = model.step.recordings.get("train")
    assert (recordings is not None) == recorded


def test_own_training_steps_scale_the_loss():
    class Own(gpunn.Sequential):
        def train_step(self, data):
            x, y = data
            with gpunn.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
            return {"loss": loss}

    found = []
    for cls in (Own, gpunn.Sequential):
        config.set_dtype_policy("mixed_float16")
        model = cls([layers.Input((6,)), layers.Dense(3, kernel_initializer="ones")])
        model.compile("sgd", gpunn.losses.SparseCategoricalCrossentropy(from_logits=True))
        history = model.fit(X, LABELS, batch_size=8, epochs=2, shuffle=False, verbose=0)
        found.append((model.get_weights()[0], history.history["loss"][0] > 0))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)


# --- models ---


def test_configs_summaries_and_copies_keep_the_policies():
    functional = mixed_model(gpunn)
    config.set_dtype_policy("mixed_float16")
    chain = gpunn.Sequential(
        [layers.Input((6,)), layers.Dense(4), layers.Dense(2, dtype="float32")]
    )
    config.set_dtype_policy("float32")
    for model in (functional, chain):
        expected = [layer.dtype_policy.name for layer in model.layers if layer.weights]
        assert {"mixed_float16", "float32"} == set(expected)
        copies = [type(model).from_config(model.get_config()), gpunn.models.clone_model(model)]
        for copy in copies:
            assert [p.dtype_policy.name for p in copy.layers if p.weights] == expected
            assert [y.dtype for y in copy.outputs] == [y.dtype for y in model.outputs]
    lines = []
    chain.summary(print_fn=lines.append)
    assert "Total params: 38 (152.00 B)" in "\n".join(lines)  # weights of 4 bytes


def test_bfloat16_learns():
    pytest.importorskip("ml_dtypes")
    config.set_dtype_policy("mixed_bfloat16")
    model = gpunn.Sequential([layers.Input((6,)), layers.Dense(16, "relu"), layers.Dense(3)])
    loss = gpunn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    history = model.fit(X, LABELS, epochs=150, batch_size=24, verbose=0).history
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert {w.dtype for w in model.weights} == {"float32"}
    assert model.predict(X, verbose=0).dtype == "bfloat16"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_simulated_gpu_equals_the_cpu(simulated_gpu, policy):
    pytest.importorskip("ml_dtypes")

    def run():
        gpunn.utils.set_random_seed(1)
        config.set_dtype_policy(policy)
        model = gpunn.Sequential([
            layers.Input((8, 8, 2)), layers.Conv2D(4, 3), layers.BatchNormalization(),
            layers.MaxPooling2D(), layers.Reshape((3, 12)), layers.LSTM(4), layers.Dense(3),
            layers.Activation("softmax", dtype="float32"),
        ])  # fmt: skip
        sgd = gpunn.optimizers.SGD(0.1)
        model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])
        images = IMAGES.copy()
        images[8] = 1e5  # infinite in float16
        with np.errstate(all="ignore"):
            history = model.fit(images, LABELS, batch_size=8, epochs=2, shuffle=False, verbose=0)
        return model, model.get_weights(), history.history["accuracy"]

    cpu, expected, _ = run()
    with gpunn.device("gpu:0"):
        gpu, found, _ = run()
    assert {w.device for w in gpu.weights} == {"gpu:0"}
    half = policy == "mixed_float16"
    trainable = [i for i, w in enumerate(cpu.weights) if w.trainable]
    for i in trainable:
        np.testing.assert_allclose(found[i], expected[i], atol=2e-3 if half else 8e-3)
    if half:
        assert float(gpu.optimizer.dynamic_scale.numpy()) == 2.0**13
        assert float(cpu.optimizer.dynamic_scale.numpy()) == 2.0**13


def test_sums_in_a_layer_of_ones_own_are_not_rounded():
    class Total(layers.Layer):
        def build(self, input_shape):
            self.total = self.add_weight((), "zeros", trainable=False, name="total")

        def call(self, x):
            self.total.assign_add(1 + 2**-11)  # 1 in float16
            return x

    config.set_dtype_policy("mixed_float16")
    model = gpunn.Sequential([layers.Input((1,)), Total(), layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=True)
    ones = np.ones((4, 1), "float32")
    for _ in range(5):
        model.train_on_batch(ones, ones)
    assert model.layers[0].total.numpy() == 5 + 5 * 2**-11
