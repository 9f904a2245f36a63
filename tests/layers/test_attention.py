"""Attention layers against Keras on the same weights: values, masks, configs, training."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers

keras = pytest.importorskip("keras")

N, T, S, D, E = 2, 5, 4, 6, 7
RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.standard_normal(shape).astype("float32")


Q, V, K = random(N, T, D), random(N, S, E), random(N, S, D)
Q_MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
V_MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)
SEEN = RNG.random((N, T, S)) < 0.7
SEEN[:, :, 0] = True
CAUSAL, SCORES = {"use_causal_mask": True}, {"return_attention_scores": True}
HEADS = {"num_heads": 2, "key_dim": 3}
IMAGES = random(2, 3, 4, 5), random(2, 2, 3, 5)
SEEN_2D = RNG.random((2, 3, 4, 2, 3)) < 0.7
GROUPS = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
CASES = [
    ("Attention", {}, [Q, V, K], [{}, CAUSAL, {"mask": [Q_MASK, V_MASK], **SCORES}]),
    ("Attention", {"use_scale": True}, [Q, K], [{"mask": [None, V_MASK]}]),
    ("Attention", {"use_scale": True, "score_mode": "concat"}, [Q, V, K],
     [{}, {"mask": [None, V_MASK], **CAUSAL}]),
    ("Attention", {"score_mode": "concat"}, [Q, V, K], [{"mask": [Q_MASK, None]}]),
    ("AdditiveAttention", {}, [Q, V, K], [{}, {"mask": [Q_MASK, V_MASK]}]),
    ("AdditiveAttention", {"use_scale": False}, [Q, V, K], [CAUSAL]),
    ("MultiHeadAttention", HEADS, (Q, V), [
        {}, CAUSAL, {"value_mask": V_MASK}, {"attention_mask": SEEN}, {**SCORES, **CAUSAL},
        {"attention_mask": SEEN, "value_mask": V_MASK, **CAUSAL, **SCORES},
        {"attention_mask": np.zeros((N, T, S), bool)},
        {"attention_mask": np.zeros((N, T, S), bool), **SCORES},
    ]),
    ("MultiHeadAttention", {**HEADS, "value_dim": 5}, (Q, V, K), [SCORES]),
    ("MultiHeadAttention", {**HEADS, "output_shape": (4, 2), "use_gate": True, "sliding_window": 2},
     (Q, V, K), [{}, CAUSAL]),
    ("MultiHeadAttention", {**HEADS, "use_bias": False, "attention_axes": (1, 2)}, IMAGES,
     [{}, SCORES, {"attention_mask": SEEN_2D, **SCORES}]),
    ("MultiHeadAttention", {**HEADS, "attention_axes": -2}, (IMAGES[0], random(2, 3, 6, 5)),
     [{}, SCORES]),
    ("GroupQueryAttention", GROUPS, (Q, random(N, S, D), K),
     [{}, CAUSAL, {"value_mask": V_MASK}, SCORES]),
    ("GroupQueryAttention", {**GROUPS, "use_gate": True, "sliding_window": 3}, (Q, K),
     [{"query_mask": Q_MASK}, {"query_mask": Q_MASK, **SCORES}]),
]  # fmt: skip
every_case = pytest.mark.parametrize(
    ("name", "options", "inputs", "calls"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)]
)


def arguments(inputs):
    return (inputs,) if isinstance(inputs, list) else inputs


def pair(name, options, inputs):
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    args = arguments(inputs)
    ours(*args, **SCORES), theirs(*args, **SCORES)
    weights = [random(*w.shape) for w in theirs.weights]
    ours.set_weights(weights), theirs.set_weights(weights)
    return ours, theirs, args


def parts(value):
    return [np.asarray(v) for v in (value if isinstance(value, (list, tuple)) else [value])]


@every_case
def test_values(name, options, inputs, calls):
    ours, theirs, args = pair(name, options, inputs)
    assert [(w.path.split("/")[1:], w.shape) for w in ours.weights] == [
        (w.path.split("/")[1:], tuple(w.shape)) for w in theirs.weights
    ]
    for call in calls:
        received, expected = parts(ours(*args, **call)), parts(theirs(*args, **call))
        assert len(received) == len(expected)
        for a, b in zip(received, expected):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    shapes = [x.shape for x in inputs]
    given = [shapes] if isinstance(inputs, list) else shapes
    assert ours.compute_output_shape(*given) == tuple(theirs.compute_output_shape(*given))


@every_case
def test_config(name, options, inputs, calls):
    ours, theirs, _ = pair(name, options, inputs)
    config, expected = ours.get_config(), theirs.get_config()
    assert set(config) == set(expected)
    for key, value in expected.items():
        if value is None or isinstance(value, (str, int, float, tuple, list)):
            same = key in ("name",) or config[key] == value
            assert same, key
    assert layers.deserialize(layers.serialize(ours)).get_config() == config


@every_case
def test_gradients(name, options, inputs, calls):
    """d Σ c·y / d (inputs, weights), in float64 by differences."""
    layer = getattr(layers, name)(dtype="float64", **options)
    given = [gpunn.Variable(x, dtype="float64") for x in inputs]
    args = arguments(given if isinstance(inputs, list) else tuple(given))
    call = {k: v for k, v in calls[-1].items() if k != "return_attention_scores"}
    c = RNG.standard_normal(layer(*args, **call).shape)
    for w in layer.weights:
        w.assign(RNG.standard_normal(w.shape))
    sources = [*given, *layer.trainable_weights]
    with gpunn.GradientTape() as tape:
        loss = gpunn.ops.sum(layer(*args, **call) * c)
    for source, gradient in zip(sources, tape.gradient(loss, sources)):
        flat = source.data.reshape(-1)
        for i in range(0, flat.size, max(1, flat.size // 4)):
            middle, values = flat[i], []
            for moved in (middle + 1e-6, middle - 1e-6):
                flat[i] = moved
                values.append(float(np.sum(layer(*args, **call).numpy() * c)))
            flat[i] = middle
            expected = (values[0] - values[1]) / 2e-6
            found = 0.0 if gradient is None else gradient.numpy().reshape(-1)[i]
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


class Transformer:
    """A small model of tokens in either package: embedding with padding, causal attention."""

    def __init__(self, module, **attention):
        base, made = module.layers.Layer, module.layers

        class Block(base):
            def __init__(self):
                super().__init__()
                self.attend = made.MultiHeadAttention(2, 3, **attention)
                self.supports_masking = True

            def build(self, input_shape):
                self.attend.build(input_shape, input_shape)

            def call(self, x):
                return x + self.attend(x, x, use_causal_mask=True)

        self.model = module.Sequential(
            [module.Input((T,), dtype="int32"), made.Embedding(9, 6, mask_zero=True), Block(),
             made.Dense(3)]
        )  # fmt: skip


X = RNG.integers(1, 9, (12, T)).astype("int32")
X[::2, 3:] = 0
Y = RNG.standard_normal((12, T, 3)).astype("float32")


def fitted(module, seed_weights, epochs, **options):
    net = Transformer(module).model
    net.build((None, T))
    if seed_weights is not None:
        net.set_weights(seed_weights)
    net.compile("adam", "mse", metrics=["mae"], weighted_metrics=["mse"], **options)
    before = net.get_weights()
    history = net.fit(X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0).history
    return before, net.get_weights(), history, net.evaluate(X, Y, verbose=0, return_dict=True)


def test_three_steps_and_masked_losses_and_metrics_equal_keras():
    before, after, history, results = fitted(gpunn, None, 1)
    _, expected, expected_history, expected_results = fitted(keras, before, 1, run_eagerly=True)
    for a, b in zip(after, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert set(history) == set(expected_history)
    np.testing.assert_allclose(history["loss"], expected_history["loss"], rtol=1e-5)
    # Keras on JAX loses the mask on the way from the loss to the metrics of fit, not of evaluate.
    np.testing.assert_allclose(history["mse"], history["loss"], rtol=1e-5)
    for key, value in expected_results.items():
        assert results[key] == pytest.approx(value, rel=1e-5)


def test_recorded_equals_eager():
    before, recorded, history, _ = fitted(gpunn, None, 4, jit_compile=True)
    _, eager, eager_history, _ = fitted(gpunn, before, 4, jit_compile=False)
    for a, b in zip(recorded, eager, strict=True):
        np.testing.assert_array_equal(a, b)
    assert history == eager_history


def test_on_the_simulated_gpu(simulated_gpu):
    before, cpu, history, _ = fitted(gpunn, None, 1)
    with gpunn.device("gpu:0"):
        _, gpu, gpu_history, _ = fitted(gpunn, before, 1)
    for a, b in zip(gpu, cpu, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gpu_history["loss"], history["loss"], rtol=1e-5)


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention", "MultiHeadAttention"])
def test_dropout_in_training_only(name):
    options = HEADS if name == "MultiHeadAttention" else {}
    inputs = (Q, K) if options else ([Q, K],)
    layer = getattr(layers, name)(dropout=0.5, **options, **({"seed": 3} if options else {}))
    y = layer(*inputs).numpy()
    np.testing.assert_array_equal(layer(*inputs).numpy(), y)
    dropped = layer(*inputs, training=True).numpy()
    assert not np.allclose(dropped, y)
    assert not np.allclose(layer(*inputs, training=True).numpy(), dropped)
    assert [v.path.split("/")[-1] for v in layer.non_trainable_variables] == [
        "seed_generator_state"
    ]


def test_masks_that_inputs_bring_along():
    def masked(x, mask):
        x = gpunn.ops.convert_to_tensor(x)
        x._keras_mask = gpunn.ops.convert_to_tensor(mask)
        return x

    for layer in (layers.MultiHeadAttention(2, 3), layers.GroupQueryAttention(3, 4, 2)):
        y = layer(masked(Q, Q_MASK), value=masked(V, V_MASK))
        np.testing.assert_array_equal(y._keras_mask.numpy(), Q_MASK)
        np.testing.assert_array_equal(layer(Q, V, value_mask=V_MASK)[1].numpy(), y[1].numpy())
        explicit = layer(Q, V, value_mask=V_MASK, query_mask=Q_MASK)
        np.testing.assert_array_equal(explicit.numpy(), y.numpy())
    y = layers.Attention()([masked(Q, Q_MASK), masked(K, V_MASK)])
    np.testing.assert_array_equal(y._keras_mask.numpy(), Q_MASK)
    assert (y.numpy()[~Q_MASK] == 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Attention(score_mode="dots"), "Unknown score_mode: 'dots'. Did you mean"),
        (lambda: layers.Attention()(Q), r"takes a list \[query, value\] or"),
        (lambda: layers.Attention()([Q]), "received 1"),
        (lambda: layers.Attention()([Q, K], mask=Q_MASK), "mask must be a list"),
        (lambda: layers.MultiHeadAttention(0, 3), "num_heads must be a positive integer"),
        (lambda: layers.MultiHeadAttention(2, 3.5), "key_dim must be a positive integer"),
        (lambda: layers.MultiHeadAttention(2, 3, sliding_window=0), "sliding_window must be a"),
        (lambda: layers.MultiHeadAttention(2, 3, flash_attention=True), "flash_attention=True is"),
        (lambda: layers.MultiHeadAttention(2, 3)(Q, V, K[:, :2]), "must have the same steps"),
        (lambda: layers.MultiHeadAttention(2, 3, attention_axes="x"), "attention_axes must be an"),
        (lambda: layers.MultiHeadAttention(2, 3)(*IMAGES, **CAUSAL), "takes attention_mask only"),
        (lambda: layers.GroupQueryAttention(3, 4, 3), "must be a multiple of num_key_value_heads"),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError, match=message):
        make()
