"""Layers that merge several tensors, against Keras on the same inputs."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import re

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops
from gpunn.autodiff.symbolic import SymbolicTensor

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
ELEMENTWISE = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
CASES = [(name, {}, shapes) for name in ELEMENTWISE for shapes in (
    [(3, 4), (3, 4)], [(2, 3, 4), (2, 1, 4)], [(2, 3, 4), (2, 4)],
)]  # fmt: skip
CASES += [(name, {}, [(3, 2)] * 3) for name in ELEMENTWISE if name != "Subtract"]
CASES += [
    ("Add", {}, [(3, 2)]),
    ("Concatenate", {}, [(3, 2), (3, 4), (3, 1)]),
    ("Concatenate", {"axis": 1}, [(2, 3, 4), (2, 1, 4)]),
    ("Concatenate", {"axis": 0}, [(2, 3), (4, 3)]),
    ("Dot", {"axes": 1}, [(3, 4), (3, 4)]),
    ("Dot", {"axes": -1, "normalize": True}, [(3, 4), (3, 4)]),
    ("Dot", {"axes": (1, 2)}, [(2, 3, 5), (2, 4, 3)]),
    ("Dot", {"axes": (2, 1), "normalize": True}, [(2, 5, 3), (2, 3)]),
    ("Dot", {"axes": (1, 2)}, [(2, 3), (2, 5, 3)]),
    ("Dot", {"axes": (2, 3)}, [(2, 3, 4, 5), (2, 6, 2, 4)]),
]
IDS = [f"{name}-{options}-{shapes}" for name, options, shapes in CASES]
every_case = pytest.mark.parametrize(("name", "options", "shapes"), CASES, ids=IDS)


def inputs_of(shapes):
    return [RNG.standard_normal(s).astype("float32") for s in shapes]


@every_case
def test_value_and_shape(name, options, shapes):
    xs = inputs_of(shapes)
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    y, expected = ours(xs), np.asarray(theirs(xs))
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert y.dtype == "float32"
    given = [(None, *s[1:]) for s in shapes]
    assert ours.compute_output_shape(shapes) == y.shape
    assert ours.compute_output_shape(given) == tuple(theirs.compute_output_shape(given))


@every_case
def test_the_function_does_what_the_layer_does(name, options, shapes):
    xs = inputs_of(shapes)
    function = getattr(layers, name.lower())
    np.testing.assert_array_equal(
        function(xs, **options).numpy(), getattr(layers, name)(**options)(xs).numpy()
    )
    symbol = function([SymbolicTensor((None, *s[1:]), "float32") for s in shapes], **options)
    assert len(symbol.shape) == len(function(xs, **options).shape)


@every_case
def test_gradients_against_differences(name, options, shapes):
    layer = getattr(layers, name)(dtype="float64", **options)
    xs = [gpunn.Variable(RNG.standard_normal(s), dtype="float64") for s in shapes]
    c = RNG.standard_normal(layer(xs).shape)
    with gpunn.GradientTape() as tape:
        loss = ops.sum(layer(xs) * c)
    for x, gradient in zip(xs, tape.gradient(loss, xs)):
        flat = x.data.reshape(-1)
        for i in range(0, flat.size, max(1, flat.size // 5)):
            middle, values = flat[i], []
            for step in (1e-6, -1e-6):
                flat[i] = middle + step
                values.append(float(np.sum(layer(xs).numpy() * c)))
            flat[i] = middle
            expected = (values[0] - values[1]) / 2e-6
            assert gradient.numpy().reshape(-1)[i] == pytest.approx(expected, rel=1e-5, abs=1e-7)


@every_case
def test_config_round_trip(name, options, shapes):
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    config = ours.get_config()
    assert set(config) == set(theirs.get_config()) - {"quantization_config"}
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == config
    assert ours.supports_masking == theirs.supports_masking
    xs = inputs_of(shapes)
    np.testing.assert_array_equal(again(xs).numpy(), ours(xs).numpy())


MASKS = [
    (np.array([[1, 1, 0], [1, 0, 0]], bool), np.array([[1, 0, 0], [1, 1, 0]], bool)),
    (np.array([[1, 1, 0], [1, 0, 0]], bool), None),
    (None, None),
]


@pytest.mark.parametrize("masks", MASKS, ids=["both", "one", "none"])
@pytest.mark.parametrize(
    ("name", "options"),
    [(n, {}) for n in ELEMENTWISE]
    + [("Concatenate", {"axis": -1}), ("Concatenate", {"axis": 1}), ("Dot", {"axes": 2})],
)
def test_masks(name, options, masks):
    xs = inputs_of([(2, 3, 4), (2, 3, 4)])
    ours, theirs = [gpunn.ops.convert_to_tensor(x) for x in xs], []
    for mine, x, mask in zip(ours, xs, masks):
        theirs.append(keras.ops.convert_to_tensor(x))
        if mask is not None:
            mine._keras_mask = gpunn.ops.convert_to_tensor(mask)
            keras.src.backend.set_keras_mask(theirs[-1], keras.ops.convert_to_tensor(mask))
    y = getattr(layers, name)(**options)(ours)
    expected = getattr(keras.layers, name)(**options)(theirs)
    np.testing.assert_allclose(y.numpy(), np.asarray(expected), rtol=1e-5, atol=1e-6)
    found = keras.src.backend.get_keras_mask(expected)
    if found is None:
        assert y._keras_mask is None
    else:
        np.testing.assert_array_equal(y._keras_mask.numpy(), np.asarray(found))


def tensors(*shapes):
    return [np.zeros(s, "float32") for s in shapes]


ERRORS = [
    (lambda: layers.Add(name="a")(tensors((2, 3))[0]), "Add 'a' merges a list .* [x, y]"),
    (lambda: layers.Concatenate(name="a")(tensors((2, 3))[0]), "Concatenate 'a' merges a list"),
    (lambda: layers.Add(name="a")([]), "Add 'a' merges a list of tensors, received shape []"),
    (lambda: layers.Subtract(name="a")(tensors((2, 3))), "exactly 2 inputs, received 1"),
    (lambda: layers.Dot(1, name="a")(tensors((2, 3)) * 3), "exactly 2 inputs, received 3"),
    (lambda: layers.Add(name="a")(tensors((2, 3), (2, 4))), "Add 'a': shapes .* do not broadcast"),
    (lambda: layers.Add(name="a")(tensors((1, 3), (2, 3))), "the batch sizes [1, 2] differ"),
    (lambda: layers.Concatenate()(tensors((2, 3), (2, 3, 1))), "shapes must agree but along"),
    (lambda: layers.Concatenate(axis=1)(tensors((2, 3, 2), (2, 3, 1))), "shapes must agree"),
    (lambda: layers.Concatenate(axis=4)(tensors((2, 3), (2, 3))), "axis 4 does not exist"),
    (lambda: layers.Dot((1, 2))(tensors((2, 3, 4), (2, 3, 4))), "lengths 3 and 4 of the axes"),
    (lambda: layers.Dot(2)(tensors((2, 3), (2, 3))), "axis 2 is not one of 1 to 1"),
    (lambda: layers.Dot(0), "axis 0 is the batch"),
    (lambda: layers.Dot((1, 2, 3)), "axes must be an integer, or two of them"),
    (lambda: layers.Add().compute_output_shape((2, 3)), "received shape (2, 3)"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors(call, message):
    pattern = ".*".join(re.escape(part) for part in message.split(".*"))
    with pytest.raises(ValueError, match=pattern):
        call()


def test_a_later_call_with_wrong_shapes_is_noticed():
    layer = layers.Add()
    layer(tensors((2, 3), (2, 3)))
    with pytest.raises(ValueError, match="do not broadcast"):
        layer(tensors((2, 3), (2, 4)))


class Branches(gpunn.Model):
    """All merges in one model, to be trained eagerly and recorded."""

    def __init__(self):
        super().__init__()
        self.one, self.two = layers.Dense(6), layers.Dense(6, activation="tanh")
        self.out = layers.Dense(3)
        self.merges = [getattr(layers, n)() for n in ELEMENTWISE]
        self.dot, self.join = layers.Dot(1, normalize=True), layers.Concatenate()

    def call(self, x):
        pair = [self.one(x), self.two(x)]
        return self.out(self.join([m(pair) for m in self.merges] + [self.dot(pair)]))


def trained(jit_compile):
    gpunn.utils.set_random_seed(1)
    model = Branches()
    model.compile("sgd", "mse", jit_compile=jit_compile)
    rng = np.random.default_rng(2)
    for _ in range(6):
        model.train_on_batch(
            rng.normal(size=(8, 5)).astype("float32"), rng.normal(size=(8, 3)).astype("float32")
        )
    return model


def test_recorded_equals_eager():
    eager, recorded = trained(False), trained(True)
    steps = [s for r in recorded._step.recordings.values() for s in r.steps.values()]
    assert [s.program is not None for s in steps] == [True]
    for a, b in zip(eager.get_weights(), recorded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_as_keras():
    """The same weights after the same steps."""
    a, b, out = (keras.layers.Dense(6), keras.layers.Dense(6, activation="tanh"),
                 keras.layers.Dense(3))  # fmt: skip
    x = keras.Input((5,))
    pair = [a(x), b(x)]
    merged = [getattr(keras.layers, n)()(pair) for n in ELEMENTWISE]
    merged.append(keras.layers.Dot(1, normalize=True)(pair))
    theirs = keras.Model(x, out(keras.layers.Concatenate()(merged)))
    ours = Branches()
    rng = np.random.default_rng(3)
    batch = [(rng.normal(size=(8, 5)).astype("f"), rng.normal(size=(8, 3)).astype("f"))
             for _ in range(4)]  # fmt: skip
    ours(batch[0][0])
    for mine, other in ((ours.one, a), (ours.two, b), (ours.out, out)):
        mine.set_weights([np.asarray(w) for w in other.get_weights()])
    ours.compile(gpunn.optimizers.SGD(0.05), "mse")
    theirs.compile(keras.optimizers.SGD(0.05), "mse")
    for xs, ys in batch:
        ours.train_on_batch(xs, ys)
        theirs.train_on_batch(xs, ys)
    for mine, other in ((ours.one, a), (ours.two, b), (ours.out, out)):
        for w, v in zip(mine.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(w, v, rtol=1e-4, atol=1e-5)
