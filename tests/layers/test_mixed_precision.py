"""Every layer under every dtype policy: dtypes, values and gradients against float64."""

import importlib.util
import sys

import numpy as np
import pytest

import gpunn
from gpunn import config, layers, ops
from gpunn.autodiff import dtypes
from gpunn.autodiff.tape import state
from gpunn.errors import DTypeError
from gpunn.layers.text_host import HostLayer
from gpunn.structure import leaves, map_structure

POLICIES = {  # compute dtype, variable dtype, unit roundoff
    "mixed_float16": ("float16", "float32", 2**-11),
    "float16": ("float16", "float16", 2**-11),
    "mixed_bfloat16": ("bfloat16", "float32", 2**-8),
    "float64": ("float64", "float64", 2**-40),
}
if importlib.util.find_spec("ml_dtypes") is None:
    del POLICIES["mixed_bfloat16"]
IMAGE, SERIES = (2, 8, 8, 3), (2, 5, 4)


def volume(n, size=4):
    return (2, *(size,) * n, 3)


def of_ranks(name, options, size=4):
    return [(name.replace("#", str(n)), options, volume(n, size)) for n in (1, 2, 3)]


RANGE = {"value_range": (0, 1)}
#: (layer, options, shapes of the inputs): floats; "image" is one from 0 to 1, "ids" are indices.
CASES = [
    ("Dense", {"units": 3, "activation": "softmax"}, (4, 5)),
    ("Dense", {"units": 3, "activation": "gelu", "kernel_regularizer": "l2"}, SERIES),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (None, 6), "bias_axes": "d"},
     SERIES),
    ("Flatten", {}, SERIES), ("Reshape", {"target_shape": (4, 5)}, SERIES),
    ("Permute", {"dims": (2, 1)}, SERIES), ("RepeatVector", {"n": 3}, (2, 4)),
    ("Activation", {"activation": "log_softmax"}, (4, 5)), ("Identity", {}, (4, 5)),
    ("Lambda", {"function": lambda x: x * 2}, (4, 5)),
    ("Dropout", {"rate": 0.4}, (4, 5)), ("GaussianNoise", {"stddev": 0.1}, (4, 5)),
    ("GaussianDropout", {"rate": 0.1}, (4, 5)), ("AlphaDropout", {"rate": 0.1}, (4, 5)),
    ("SpatialDropout1D", {"rate": 0.1}, SERIES), ("SpatialDropout2D", {"rate": 0.1}, IMAGE),
    ("SpatialDropout3D", {"rate": 0.1}, volume(3)),
    ("ActivityRegularization", {"l1": 0.1}, (4, 5)), ("ReLU", {"negative_slope": 0.1}, (4, 5)),
    ("LeakyReLU", {}, (4, 5)), ("PReLU", {"alpha_initializer": "ones"}, (4, 5)),
    ("ELU", {}, (4, 5)), ("Softmax", {}, (4, 5)), ("Masking", {}, SERIES),
    *of_ranks("Conv#D", {"filters": 3, "kernel_size": 2, "activation": "tanh"}),
    *of_ranks("Conv#DTranspose", {"filters": 3, "kernel_size": 2, "strides": 2}),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "groups": 3}, IMAGE),
    ("DepthwiseConv1D", {"kernel_size": 3}, SERIES),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, IMAGE),
    ("SeparableConv1D", {"filters": 3, "kernel_size": 3}, SERIES),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 3}, IMAGE),
    ("BatchNormalization", {}, IMAGE), ("BatchNormalization", {"renorm": True}, (6, 5)),
    ("LayerNormalization", {}, SERIES), ("GroupNormalization", {"groups": 2}, SERIES),
    ("RMSNormalization", {}, SERIES), ("UnitNormalization", {}, SERIES),
    ("Normalization", {"mean": [1, 2, 3.0], "variance": [4, 5, 6.0]}, IMAGE),
    *of_ranks("MaxPooling#D", {}), *of_ranks("AveragePooling#D", {"pool_size": 2}),
    *of_ranks("GlobalMaxPooling#D", {}), *of_ranks("GlobalAveragePooling#D", {}),
    *of_ranks("AdaptiveMaxPooling#D", {"output_size": 2}, 5),
    *of_ranks("AdaptiveAveragePooling#D", {"output_size": 2}, 5),
    *of_ranks("ZeroPadding#D", {}), *of_ranks("Cropping#D", {}), *of_ranks("UpSampling#D", {}),
    ("SimpleRNN", {"units": 4}, SERIES), ("LSTM", {"units": 4}, SERIES),
    ("LSTM", {"units": 4, "recurrent_dropout": 0.2, "return_sequences": True}, SERIES),
    ("GRU", {"units": 4}, SERIES), ("GRU", {"units": 4, "reset_after": False}, SERIES),
    ("ConvLSTM1D", {"filters": 2, "kernel_size": 2}, (2, 3, 4, 2)),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 2}, (2, 3, 4, 4, 2)),
    ("ConvLSTM3D", {"filters": 2, "kernel_size": 2}, (2, 2, 3, 3, 3, 1)),
    ("Rescaling", {"scale": 0.5, "offset": 1.0}, IMAGE),
    ("CenterCrop", {"height": 4, "width": 4}, IMAGE),
    ("Resizing", {"height": 5, "width": 7}, IMAGE),
    *[(name, {}, [(2, 4), (2, 4)])
      for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract", "Concatenate")],
    ("Dot", {"axes": 2, "normalize": True}, [(2, 3, 4), (2, 5, 4)]),
    ("Attention", {"use_scale": True}, [(2, 3, 4), SERIES]),
    ("AdditiveAttention", {}, [(2, 3, 4), SERIES]),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, ((2, 3, 4), SERIES)),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
     ((2, 3, 4), SERIES)),
    ("Embedding", {"input_dim": 7, "output_dim": 3, "mask_zero": True}, "ids"),
    ("ReversibleEmbedding", {"input_dim": 7, "output_dim": 3}, "ids"),
    ("STFTSpectrogram", {"frame_length": 8, "frame_step": 4, "mode": "real"}, (2, 40, 1)),
    ("MelSpectrogram", {"fft_length": 16, "num_mel_bins": 4}, (2, 60)),
    *[(name, options, "image") for name, options in {
        "RandomBrightness": {"factor": 0.2, **RANGE}, "RandomContrast": {"factor": 0.2, **RANGE},
        "RandomCrop": {"height": 8, "width": 8}, "RandomFlip": {},
        "RandomRotation": {"factor": 0.2},
        "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
        "RandomZoom": {"height_factor": 0.2}, "AutoContrast": RANGE, "Equalization": RANGE,
        "RandomColorJitter": {"brightness_factor": 0.2, "hue_factor": 0.2, **RANGE},
        "RandomErasing": RANGE, "RandomGaussianBlur": RANGE, "RandomGrayscale": {"factor": 1.0},
        "RandomHue": {"factor": 0.3, **RANGE}, "RandomInvert": {"factor": 1.0, **RANGE},
        "RandomPerspective": {"factor": 1.0}, "RandomPosterization": {"factor": 4, **RANGE},
        "RandomSaturation": {"factor": 0.3, **RANGE}, "RandomSharpness": {"factor": 0.3, **RANGE},
        "RandomShear": {"x_factor": 0.3}, "Solarization": {"threshold_factor": 0.5, **RANGE},
        "RandomColorDegeneration": {"factor": 0.5, **RANGE}, "RandomElasticTransform": RANGE,
        "RandAugment": RANGE, "AugMix": RANGE,
    }.items()],
]  # fmt: skip
#: What is made of other layers, for a policy.
COMPOSED = {
    "Bidirectional": (lambda p: layers.Bidirectional(layers.LSTM(3, dtype=p), dtype=p), SERIES),
    "TimeDistributed": (
        lambda p: layers.TimeDistributed(layers.Dense(3, dtype=p), dtype=p), SERIES
    ),
    "RNN": (lambda p: layers.RNN(layers.LSTMCell(3, dtype=p), dtype=p), SERIES),
    "StackedRNNCells": (
        lambda p: layers.RNN(
            [layers.GRUCell(3, dtype=p), layers.SimpleRNNCell(3, dtype=p)], dtype=p
        ),
        SERIES,
    ),
    "SpectralNormalization": (
        lambda p: layers.SpectralNormalization(layers.Dense(3, dtype=p), dtype=p), (2, 4)
    ),
}  # fmt: skip
JUMPS = {"AutoContrast", "Equalization", "RandomPosterization", "Solarization"}  # not continuous
OTHERS = {  # without a computation of their own, or tested below
    "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "MixUp", "GRUCell", "Input",
    "InputLayer", "InputSpec", "LSTMCell", "Layer", "Pipeline", "SimpleRNNCell", "Wrapper",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded_and_float32_again():
    gpunn.utils.set_random_seed(3)
    yield
    config.set_dtype_policy(None)


def inputs_of(shapes, rng):
    """Arrays: a list of them is one argument, a tuple of them several."""
    if shapes == "ids":
        return (rng.integers(1, 7, (2, 5)),)
    if shapes == "image":
        return (rng.uniform(0, 1, IMAGE).astype("float32"),)
    if isinstance(shapes[0], int):
        return (rng.standard_normal(shapes).astype("float32"),)
    arrays = [rng.standard_normal(s).astype("float32") for s in shapes]
    return (arrays,) if isinstance(shapes, list) else tuple(arrays)


def difference(received, expected):
    """‖received - expected‖ / ‖expected‖"""
    expected = np.asarray(expected, "float64")
    distance = np.linalg.norm(np.asarray(received).astype("float64") - expected)
    return distance / (np.linalg.norm(expected) + 1e-6)


def flat(gradients):
    """All of them as one vector."""
    return np.concatenate([[0.0], *[g.numpy().astype("float64").ravel() for g in gradients]])


def outputs_and_gradients(layer, args, training=False):
    """y and d Σ c·y / d (inputs, weights), c fixed and uneven; summed in float64."""
    args = map_structure(lambda a: gpunn.Variable(a) if a.dtype.kind == "f" else a, args)
    sources = [a for a in leaves(args) if isinstance(a, gpunn.Variable)]
    sources += layer.trainable_weights
    with gpunn.GradientTape() as tape:
        y = layer(*args, training=training)
        c = np.cos(np.arange(y.size)).reshape(y.shape)
        loss = ops.sum(ops.cast(y, "float64") * c)
    return y, sources, tape.gradient(loss, sources)


def symbol_like(array):
    return layers.Input(array.shape[1:], dtype=array.dtype)


def check(make, args, continuous=True):
    """The layer of each policy against that of float64 with the same weights."""
    exact = make("float64")
    exact(*args)
    expected, _, exact_gradients = outputs_and_gradients(exact, args)
    for policy, (compute, variable, roundoff) in POLICIES.items():
        layer = make(policy)
        symbol = layer(*map_structure(symbol_like, list(args)))
        y, sources, gradients = outputs_and_gradients(layer, args, training=True)
        assert {symbol.dtype, y.dtype, layer.compute_dtype} == {compute}
        assert {w.dtype for w in layer.weights} - {"int32", "int64"} <= {variable}
        assert layer.variable_dtype == variable
        for source, gradient in zip(sources, gradients, strict=True):
            assert gradient.dtype == source.dtype and np.isfinite(gradient.numpy()).all()
        layer.set_weights(exact.get_weights())
        y, _, gradients = outputs_and_gradients(layer, args)
        if continuous:
            assert difference(y, expected) < 16 * roundoff, policy
            assert difference(flat(gradients), flat(exact_gradients)) < 32 * roundoff, policy
        else:
            wrong = np.abs(y.numpy().astype("float64") - expected.numpy()) > 0.05
            assert wrong.mean() < 0.1, policy


@pytest.mark.parametrize(
    ("name", "options", "shapes"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)]
)
def test_every_layer(name, options, shapes):
    args = inputs_of(shapes, np.random.default_rng(3))
    check(lambda dtype: getattr(layers, name)(**options, dtype=dtype), args, name not in JUMPS)


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_layers(name):
    make, shape = COMPOSED[name]
    check(make, inputs_of(shape, np.random.default_rng(3)))


def test_no_layer_is_missing():
    tested = {getattr(layers, name) for name in {case[0] for case in CASES} | set(COMPOSED)}
    for name in set(layers.__all__) - OTHERS:
        cls = getattr(layers, name)
        if isinstance(cls, type) and not issubclass(cls, HostLayer):
            assert cls in tested, name


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ["CutMix", "MixUp"])
def test_mixed_images(name, policy):
    rng = np.random.default_rng(0)
    data = {"images": rng.uniform(0, 1, IMAGE), "labels": np.eye(2, 4)}
    found = getattr(layers, name)(dtype=policy, seed=1)(data, training=True)
    assert found["images"].dtype == POLICIES[policy][0]
    sums = found["labels"].numpy().astype("float64").sum(1)
    np.testing.assert_allclose(sums, 1, atol=4 * POLICIES[policy][2])


@pytest.mark.parametrize("policy", POLICIES)
def test_contrast_limited_equalization(policy):
    images = np.random.default_rng(0).uniform(0, 1, IMAGE).astype("float32")
    make = layers.ContrastLimitedAdaptiveHistogramEqualization
    found = make(**RANGE, dtype=policy)(images)
    assert found.dtype == POLICIES[policy][0]
    wrong = np.abs(found.numpy().astype("float64") - make(**RANGE)(images).numpy()) > 0.05
    assert wrong.mean() < 0.1


# --- what must not be computed in 16 bits ---


@pytest.mark.parametrize("name", ["BatchNormalization", "LayerNormalization", "RMSNormalization"])
def test_statistics_beyond_the_range_of_float16(name):
    x = np.random.default_rng(0).normal(0, 2000, (64, 8)).astype("float16")
    layer = getattr(layers, name)(dtype="mixed_float16")
    y = layer(x, training=True).numpy().astype("float64")
    wide, axis = x.astype("float64"), 0 if name == "BatchNormalization" else 1
    mean = 0 if name == "RMSNormalization" else wide.mean(axis, keepdims=True)
    square = ((wide - mean) ** 2).mean(axis, keepdims=True)
    np.testing.assert_allclose(y, (wide - mean) / np.sqrt(square + layer.epsilon), atol=2e-3)
    if name == "BatchNormalization":
        np.testing.assert_allclose(
            layer.moving_variance.numpy(), 0.99 + 0.01 * square[0], rtol=1e-5
        )
        inference = (wide - layer.moving_mean.numpy()) / np.sqrt(
            layer.moving_variance.numpy() + layer.epsilon
        )
        np.testing.assert_allclose(layer(x).numpy(), inference, rtol=2e-3, atol=2e-3)


def test_moving_averages_beyond_the_range_of_float16():
    layer = layers.BatchNormalization(epsilon=0, dtype="mixed_float16")
    layer.build((None, 1))
    layer.moving_mean.assign([1000.25])
    layer.moving_variance.assign([1e6])
    np.testing.assert_allclose(layer(np.array([[2000.0]])), [[0.99975]], rtol=1e-3)


def test_moving_averages_take_steps_smaller_than_those_of_float16():
    layer = layers.BatchNormalization(momentum=0.9999, dtype="mixed_float16")
    for _ in range(3):
        layer(np.ones((4, 1), "float32"), training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 1 - 0.9999**3, rtol=1e-3)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9999**3, rtol=1e-7)


def test_sums_of_exponentials_beyond_the_range_of_float16():
    x = np.zeros((2, 100_000), "float16")
    np.testing.assert_allclose(ops.softmax(x).numpy(), np.float16(1e-5))
    np.testing.assert_allclose(ops.log_softmax(x).numpy(), np.float16(-np.log(1e5)))
    np.testing.assert_allclose(ops.logsumexp(x, axis=-1).numpy(), np.float16(np.log(1e5)))
    with gpunn.GradientTape() as tape:
        v = gpunn.Variable(x)
        y = ops.logsumexp(v)
    assert y.dtype == "float16" and tape.gradient(y, v).dtype == "float16"


def test_lengths_of_vectors_beyond_the_range_of_float16():
    x = np.array([[300, 400], [0, 0]], "float16")
    np.testing.assert_allclose(ops.normalize(x).numpy(), [[0.6, 0.8], [0, 0]], rtol=1e-3)


def test_means_of_16_bits():
    x = np.full((1, 40, 40, 1), 100, "float16")
    for layer in (layers.GlobalAveragePooling2D, layers.AveragePooling2D):
        y = layer(
            **({"pool_size": 40} if layer is layers.AveragePooling2D else {}), dtype="float16"
        )
        assert float(y(x).numpy().ravel()[0]) == 100


def test_raw_data_is_normalized_in_float32():
    x = np.array([[1e6], [3e6]], "float32")  # infinite in float16
    layer = layers.Normalization(dtype="mixed_float16")
    layer.adapt(x)
    y = layer(x)
    assert y.dtype == "float16" and y.numpy().tolist() == [[-1], [1]]
    assert layer.variance.dtype == "float32" and layer.variance.numpy() == 1e12


def test_embeddings_are_read_in_float32_and_indices_are_not_rounded():
    layer = layers.Embedding(4000, 2, dtype="mixed_float16")
    y = layer(np.array([[3001.0]], "float32"))  # 3000 in float16
    assert y.dtype == "float16"
    np.testing.assert_array_equal(y[0, 0], layer.embeddings.numpy()[3001].astype("float16"))
    with gpunn.GradientTape() as tape:
        loss = ops.sum(layer(np.array([3, 5, 3])))
    gradient = tape.gradient(loss, layer.embeddings)
    assert gradient.dtype == "float32"
    np.testing.assert_array_equal(gradient.numpy()[[3, 4, 5]], [[2, 2], [0, 0], [1, 1]])
    with gpunn.GradientTape() as tape:
        loss = ops.sum(layer(np.full(2049, 3)))  # 2048 in float16
    np.testing.assert_array_equal(tape.gradient(loss, layer.embeddings).numpy()[3], [2049, 2049])


def test_spectral_normalization_divides_the_float32_kernel():
    inner = layers.Dense(3, use_bias=False, dtype="mixed_float16")
    layer = layers.SpectralNormalization(inner, power_iterations=60, dtype="mixed_float16")
    x = np.ones((2, 4), "float32")
    layer(x)
    before = inner.kernel.numpy()
    layer(x, training=True)
    sigma = np.linalg.svd(before.astype("float64"))[1][0]
    np.testing.assert_allclose(inner.kernel.numpy(), before / sigma, rtol=1e-5)


def test_attention_projects_in_16_bits():
    layer = layers.MultiHeadAttention(2, 3, dtype="mixed_float16")
    x = np.ones((1, 2, 4), "float32")
    layer(x, x)
    inner = [part for part in layer._flatten_layers() if part is not layer]
    assert len(inner) >= 6 and {part.compute_dtype for part in inner} == {"float16"}


def test_masks_in_16_bits_hide_what_they_should():
    x = np.random.default_rng(0).standard_normal((2, 4, 3)).astype("float32")
    mask = np.array([[True, True, False, False], [True, False, False, False]])
    changed = np.where(mask[..., None], x, 50)
    for dtype in ("mixed_float16", "float64"):
        layer = layers.Attention(dtype=dtype)
        a, b = (layer([x, v], mask=[None, mask]).numpy() for v in (x, changed))
        np.testing.assert_array_equal(a, b)
        layer = layers.MultiHeadAttention(2, 3, dtype=dtype)
        a, b = (layer(x, v, value_mask=mask, key=v).numpy() for v in (x, changed))
        np.testing.assert_array_equal(a, b)


# --- variables in layers ---


class Watching(layers.Layer):
    """Notes what it sees of its weights, and where."""

    def build(self, input_shape):
        self.kernel = self.add_weight((1,), "ones", name="kernel")
        self.plain = self.add_weight((1,), "ones", autocast=False, name="plain")
        self.total = self.add_weight((), "zeros", trainable=False, name="total")
        self.count = self.add_weight((), "zeros", "int32", trainable=False, name="count")
        self.in_build = self.kernel.dtype, (self.kernel * 1).dtype

    def call(self, x):
        self.seen = [
            (w.dtype, w.value.dtype, (w + 0).dtype, ops.convert_to_tensor(w).dtype)
            for w in (self.kernel, self.plain, self.count)
        ]
        self.input_seen = x.dtype
        self.total.assign_add(1.0 + 2**-12)  # 1 in float16
        return x * self.kernel


def test_what_a_layer_sees_of_its_variables():
    layer = Watching(dtype="mixed_float16")
    layer(np.ones((2, 1), "float32"))
    assert layer.in_build == ("float32", "float32")
    assert layer.seen == [("float16",) * 4, ("float32",) * 4, ("int32",) * 4]
    assert layer.input_seen == "float16"
    assert layer.total.numpy() == 1 + 2**-12
    assert layer.kernel.dtype == layer.kernel.value.dtype == "float32"
    assert state.read is None and state.autocast is None


def test_a_layer_without_autocast_sees_everything_as_it_is():
    layer = Watching(dtype="mixed_float16", autocast=False)
    y = layer(np.ones((2, 1), "float32"))
    assert layer.seen[0] == ("float32",) * 4 and layer.input_seen == y.dtype == "float32"


class Outer(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = Watching(dtype="float32")
        self.body = Watching(dtype="mixed_float16")

    def call(self, x):
        return self.head(self.body(x))


def test_a_float32_layer_inside_a_mixed_one():
    layer = Outer(dtype="mixed_float16")
    y = layer(np.ones((2, 1), "float32"))
    assert layer.body.seen[0] == ("float16",) * 4
    assert layer.head.seen[0] == ("float32",) * 4
    assert layer.head.in_build == layer.body.in_build == ("float32", "float32")
    assert layer.head.input_seen == y.dtype == "float32"


def test_what_is_cast_in_a_layer_stays_so_outside():
    class Position(layers.Layer):
        def build(self, input_shape):
            self.table = self.add_weight(input_shape[1:], "ones", name="table")

        def call(self, x):
            return ops.cast(self.table, x.dtype)

    assert Position(dtype="mixed_float16")(np.ones((2, 3), "float32")).dtype == "float16"


def test_an_error_does_not_leave_the_cast_behind():
    layer = layers.Lambda(lambda x: x.nonsense, dtype="mixed_float16")
    with pytest.raises(AttributeError):
        layer(np.ones((1, 1), "float32"))
    assert state.read is None and state.autocast is None


def test_stateless_call_of_a_mixed_layer():
    layer = layers.Dense(2, dtype="mixed_float16")
    x = np.ones((1, 3), "float32")
    layer(x)
    values = [gpunn.Variable(np.full(w.shape, 0.1, "float32")) for w in layer.weights]
    with gpunn.GradientTape() as tape:
        y, _ = layer.stateless_call(values, [], x)
    assert y.dtype == "float16" and tape.gradient(y, values)[0].dtype == "float32"
    np.testing.assert_allclose(y.numpy(), 0.4, rtol=1e-3)


def test_convolution_and_pooling_of_two_policies_stay_apart():
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 2)).astype("float32")
    conv = layers.Conv2D(3, 3, dtype="mixed_float16")
    model = gpunn.Sequential([layers.Input((6, 6, 2)), conv, layers.MaxPooling2D(dtype="float32")])
    y = model.predict(x, verbose=0)
    assert y.dtype == "float32" and model.outputs[0].dtype == "float32"
    np.testing.assert_array_equal(y, layers.MaxPooling2D()(ops.cast(conv(x), "float32")))


def test_another_policy_later():
    layer = layers.Dense(2)
    x = np.ones((1, 3), "float32")
    assert layer(x).dtype == "float32"
    layer.dtype_policy = "mixed_float16"
    assert layer(x).dtype == "float16" and layer.kernel.dtype == "float32"


# --- policies ---


def test_global_policy_and_configs():
    config.set_dtype_policy("mixed_float16")
    layer = layers.Dense(2)
    assert layer.dtype_policy == config.dtype_policy() == gpunn.DTypePolicy()
    assert layer.compute_dtype == layer.input_dtype == "float16" and layer.dtype == "float32"
    described = layers.serialize(layer)
    config.set_dtype_policy("float32")
    assert layers.deserialize(described).dtype_policy.name == "mixed_float16"
    assert layers.Dense(2).compute_dtype == "float32"
    config.set_dtype_policy(gpunn.DTypePolicy("float64"))
    assert layers.Dense(2).dtype_policy.name == "float64"
    config.set_dtype_policy(None)
    config.set_floatx("float16")
    assert config.dtype_policy().name == "float16"


@pytest.mark.parametrize("name", [*POLICIES, "bfloat16", "float32", "uint8"])
def test_policies_round_trip(name):
    found = gpunn.DTypePolicy(name)
    described = gpunn.dtype_policies.serialize(found)
    of_keras = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name},
                "registered_name": None}  # fmt: skip
    for again in (described, of_keras, name, found):
        assert gpunn.dtype_policies.get(again) == found
    mixed = name.startswith("mixed_")
    assert found.compute_dtype == name.removeprefix("mixed_")
    assert found.variable_dtype == ("float32" if mixed else name)
    assert hash(found) == hash(gpunn.DTypePolicy(name)) and repr(found) == f'<DTypePolicy "{name}">'


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gpunn.DTypePolicy("mixed_float15"), ValueError, "Did you mean 'mixed_float16'"),
        (lambda: gpunn.DTypePolicy(3), TypeError, "by a name such as 'mixed_float16', received 3"),
        (lambda: config.set_dtype_policy(7), ValueError, "a name .* or a DTypePolicy, received 7"),
        (
            lambda: layers.Dense(2, dtype="int32")(np.ones((1, 3))), DTypeError,
            "makes real numbers, not int32",
        ),
        (lambda: ops.cast([1.0], "float17"), ValueError, "Unknown dtype: 'float17'"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_bfloat16_without_ml_dtypes(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    dtypes._numpy_dtype.cache_clear()
    with pytest.raises(DTypeError, match=r"pip install ml_dtypes\), or use float16"):
        layers.Dense(2, dtype="mixed_bfloat16")


def test_layers_of_integers():
    x = np.random.default_rng(0).integers(0, 256, IMAGE).astype("uint8")
    for layer in (layers.RandomFlip, layers.RandomGaussianBlur, layers.AutoContrast):
        assert layer(dtype="uint8")(x, training=True).dtype == "uint8"
    found = layers.RandomBrightness((0.2, 0.2), dtype="uint8")(x, training=True).numpy()
    np.testing.assert_array_equal(found, np.minimum(x.astype(int) + 51, 255))
    np.testing.assert_array_equal(layers.Rescaling(0.5, dtype="uint8")(x), x // 2)


def test_layers_of_tokens():
    tokens = np.array([[1, 2]])
    for dtype, out in (("mixed_float16", "float32"), ("float16", "float16"), ("int32", "int32")):
        layer = layers.CategoryEncoding(4, dtype=dtype)
        assert layer(tokens).dtype == out
        assert type(layer).from_config(layer.get_config())(tokens).dtype == out
