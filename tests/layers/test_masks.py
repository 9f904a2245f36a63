"""Masks: which layers pass them on, Masking, and what a mask does to losses and metrics."""

import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers

keras = pytest.importorskip("keras")

NEEDED = {
    "units": 3, "filters": 3, "kernel_size": 2, "pool_size": 2, "rate": 0.3, "dims": (2, 1), "n": 2,
    "target_shape": (4,), "activation": "relu", "stddev": 0.1, "output_size": 2, "height": 2,
    "width": 2, "scale": 2.0, "factor": 0.1, "input_dim": 4, "output_dim": 3, "axes": 1,
    "num_heads": 2, "key_dim": 2, "head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1,
    "height_factor": 0.1, "width_factor": 0.1, "num_bins": 4,
    "equation": "abc,cd->abd", "output_shape": (None, 4),
}  # fmt: skip
OPTIONS = {
    "CategoryEncoding": {"num_tokens": 4}, "Discretization": {"bin_boundaries": [0.0, 1.0]},
    "InputLayer": {"shape": (3,)}, "RandomPosterization": {"factor": 4},
}  # fmt: skip
WRAPPERS = {
    "RNN": lambda made: (made.LSTMCell(3),),
    "StackedRNNCells": lambda made: ([made.LSTMCell(3)],),
    "Bidirectional": lambda made: (made.LSTM(3),),
    "TimeDistributed": lambda made: (made.Dense(3),),
    "SpectralNormalization": lambda made: (made.Dense(3),),
    "Wrapper": lambda made: (made.Dense(3),),
    "Pipeline": lambda made: ([made.Dense(3)],),
    "Lambda": lambda made: (abs,),
}
LAYERS = sorted(
    name
    for name, found in vars(layers).items()
    if isinstance(found, type) and issubclass(found, layers.Layer) and hasattr(keras.layers, name)
)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 5, 3)).astype("float32")
MASK = RNG.random((8, 5)) < 0.6
MASK[0], MASK[1] = False, True
X[~MASK] = 0
Y = RNG.standard_normal((8, 5, 2)).astype("float32")


def made(module, name):
    kind = getattr(module, name)
    if name in WRAPPERS:
        return kind(*WRAPPERS[name](module))
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    needed = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return kind(**{**{p.name: NEEDED[p.name] for p in needed}, **OPTIONS.get(name, {})})


@pytest.mark.parametrize("name", LAYERS)
def test_layers_support_masks_as_keras(name):
    ours = made(layers, name)
    try:
        theirs = made(keras.layers, name)
    except ImportError as error:
        pytest.skip(str(error))  # of TensorFlow
    assert ours.supports_masking == theirs.supports_masking
    own = [inspect.getattr_static(type(layer), "compute_mask") for layer in (ours, theirs)]
    defaults = layers.Layer.compute_mask, keras.layers.Layer.compute_mask
    assert (own[0] is defaults[0]) == (own[1] is defaults[1])  # the mask changes, or it does not


def test_embedding_with_mask_zero_supports_masks():
    assert layers.Embedding(3, 2, mask_zero=True).supports_masking
    assert not layers.Embedding(3, 2).supports_masking


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_masking_as_keras(value):
    x = X.copy()
    x[~MASK] = value
    ours, theirs = layers.Masking(value), keras.layers.Masking(value)
    y, expected = ours(x), theirs(x)
    np.testing.assert_array_equal(y.numpy(), np.asarray(expected))
    np.testing.assert_array_equal(y._keras_mask.numpy(), MASK)
    np.testing.assert_array_equal(np.asarray(expected._keras_mask), MASK)
    assert layers.Masking.from_config(ours.get_config()).get_config() == ours.get_config()
    assert set(ours.get_config()) == set(theirs.get_config())
    assert ours.compute_output_shape((None, 5, 3)) == (None, 5, 3)


def test_masking_ends_with_a_warning_where_a_layer_takes_none():
    net = gpunn.Sequential([layers.Masking(), layers.Flatten()])
    with pytest.warns(UserWarning, match="does not support masks; the mask of its input ends here"):
        assert net(X)._keras_mask is None


def network(module):
    made = module.layers
    return module.Sequential(
        [module.Input((5, 3)), made.Masking(), made.Dense(4), made.Dropout(0.0),
         made.LayerNormalization(), made.Dense(2), made.Activation("tanh")]
    )  # fmt: skip


def trained(module, weights, loss, sample_weight, **options):
    net = network(module)
    net.build((None, 5, 3))
    if weights is not None:
        net.set_weights(weights)
    before = net.get_weights()
    kinds = {"metrics": ["mae"], "weighted_metrics": ["mse"]}
    net.compile(module.optimizers.SGD(0.1), loss, **kinds, **options)
    losses = net.fit(
        X, Y, sample_weight=sample_weight, batch_size=4, shuffle=False, verbose=0
    ).history["loss"]
    results = net.evaluate(
        X, Y, sample_weight=sample_weight, batch_size=4, verbose=0, return_dict=True
    )
    return before, net.get_weights(), losses, results


WEIGHTS = {
    "none": None,
    "samples": RNG.uniform(0, 2, (8, 1)).astype("float32"),
    "steps": RNG.uniform(0, 2, (8, 5)).astype("float32"),
}


@pytest.mark.parametrize(
    ("reduction", "weights"),
    [("sum_over_batch_size", name) for name in WEIGHTS]
    + [("sum", "steps"), ("mean_with_sample_weight", "steps")],
)
def test_fit_and_evaluate_with_a_mask_as_keras(reduction, weights):
    def loss(module):
        return module.losses.MeanSquaredError(reduction=reduction)

    given = WEIGHTS[weights]
    before, after, losses, results = trained(gpunn, None, loss(gpunn), given)
    _, expected, expected_losses, expected_results = trained(
        keras, before, loss(keras), given, run_eagerly=True
    )
    for a, b in zip(after, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    assert results == pytest.approx(expected_results, rel=1e-5)


def test_recorded_masks_are_those_of_each_batch():
    before = trained(gpunn, None, "mse", None)[0]
    x = np.tile(X, (3, 1, 1))
    x[8:16, :, :] = np.roll(X, 1, axis=1)
    y = np.tile(Y, (3, 1, 1))
    weights = []
    for jit in (True, False):
        net = network(gpunn)
        net.build((None, 5, 3))
        net.set_weights(before)
        net.compile("sgd", "mse", metrics=["mae"], jit_compile=jit)
        history = net.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
        weights.append((net.get_weights(), history))
    for a, b in zip(weights[0][0], weights[1][0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert weights[0][1] == weights[1][1]


def test_all_masked_is_a_loss_of_zero():
    net = network(gpunn)
    net.compile("sgd", "mse", metrics=["mae"])
    assert net.evaluate(np.zeros((4, 5, 3)), Y[:4], verbose=0) == [0.0, 0.0]


class Marked(gpunn.layers.Layer):
    """Says which steps are valid, as in Keras' guide to masks: without `supports_masking`."""

    def call(self, inputs):
        return gpunn.ops.one_hot(inputs, 4)

    def compute_mask(self, inputs, mask=None):
        return gpunn.ops.not_equal(inputs, 0)


class Halves(gpunn.layers.Layer):
    def call(self, inputs):
        return gpunn.ops.split(inputs, 2, axis=1)

    def compute_mask(self, inputs, mask=None):
        return gpunn.ops.split(mask, 2, axis=1)


def test_a_mask_that_a_users_layer_computes():
    ids = np.array([[1, 2, 0, 0], [3, 0, 1, 0]])
    marked = Marked()(ids)
    np.testing.assert_array_equal(marked._keras_mask.numpy(), ids != 0)
    for part, expected in zip(Halves()(marked), np.split(ids != 0, 2, axis=1), strict=True):
        np.testing.assert_array_equal(part._keras_mask.numpy(), expected)
    symbol = gpunn.Input((4,), dtype="int32")
    assert Marked()(symbol)._keras_mask.shape == (None, 4)
