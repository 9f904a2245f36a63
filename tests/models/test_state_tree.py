"""get_state_tree and set_state_tree: nested dicts by the paths of Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers

keras = pytest.importorskip("keras")

X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")


def model(home, **options):
    made = home.Sequential(
        [
            home.Input((3,)),
            home.layers.Dense(2, name="d"),
            home.layers.BatchNormalization(name="b"),
        ],
        name="m",
    )
    made.compile(home.optimizers.Adam(name="adam"), "mse", metrics=["mae"], **options)
    made.fit(X, X[:, :2], batch_size=8, epochs=2, shuffle=False, verbose=0)
    return made


def shapes(tree):
    if isinstance(tree, dict):
        return {name: shapes(part) for name, part in tree.items()}
    return tuple(tree.shape)


def test_as_keras_and_back():
    ours, theirs = model(gpunn), model(keras)
    tree = ours.get_state_tree("numpy_array")
    assert shapes(tree) == shapes(theirs.get_state_tree("numpy_array"))
    theirs.set_state_tree(tree)  # files aside, a model moves from one to the other
    np.testing.assert_allclose(
        ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-4, atol=1e-5
    )
    twin = model(gpunn)
    tensors = ours.get_state_tree()
    twin.set_state_tree(tensors)
    for one, other in zip(
        [*ours.variables, *ours.optimizer.variables, *ours.metrics_variables],
        [*twin.variables, *twin.optimizer.variables, *twin.metrics_variables],
        strict=True,
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    for m in (ours, twin):
        m.fit(X, X[:, :2], batch_size=8, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(*(m.get_weights()[0] for m in (ours, twin)))
    kernel = tensors["trainable_variables"]["m"]["d"]["kernel"]
    np.testing.assert_array_equal(kernel, tree["trainable_variables"]["m"]["d"]["kernel"])  # a copy


def test_before_compile():
    made = gpunn.Sequential([gpunn.Input((3,)), layers.Dense(2, name="d")], name="m")
    tree = made.get_state_tree()
    assert shapes(tree) == {
        "trainable_variables": {"m": {"d": {"kernel": (3, 2), "bias": (2,)}}},
        "non_trainable_variables": {},
        "optimizer_variables": {},
        "metrics_variables": {},
    }


def test_errors_come_before_changes():
    made = model(gpunn)
    before = made.get_weights()
    good = {"m": {"d": {"kernel": np.zeros((3, 2))}}}
    wrong = [
        ({"weights": {}}, "Unknown part of a state tree: 'weights'"),
        ({"non_trainable_variables": {"m": {"d": np.zeros(1)}}}, "Unknown path in non_trainable"),
        ({"optimizer_variables": {"adam": {"iteration": np.zeros(3)}}}, r"shape \(\).*\(3,\)"),
    ]
    for tree, message in wrong:
        with pytest.raises(ValueError, match=message):
            made.set_state_tree({"trainable_variables": good, **tree})
    np.testing.assert_array_equal(made.get_weights()[0], before[0])
    with pytest.raises(ValueError, match="Unknown value_format: 'numpy'. Did you mean"):
        made.get_state_tree("numpy")
    x = gpunn.Input((3,))
    first, second = layers.Dense(3), layers.Dense(3)
    both = gpunn.Model(x, second(first(x)))
    second.kernel.path = first.kernel.path
    with pytest.raises(ValueError, match="two variables have the path"):
        both.get_state_tree()
