"""Optimizers that users write as for Keras, in their own loops and in fit."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import warnings

import numpy as np
import pytest

import gpunn

from .cases import agree, run, variables

keras = pytest.importorskip("keras")

X = np.random.default_rng(1).standard_normal((24, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def optimizers_of(k):
    ops = k.ops

    class Momentum(k.optimizers.Optimizer):
        """With variables of references, a scalar, and ops."""

        def __init__(self, learning_rate=0.05, momentum=0.9, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.momentum = momentum

        def build(self, variables):
            if self.built:
                return
            super().build(variables)
            self.momentums = [
                self.add_variable_from_reference(reference_variable=v, name="momentum")
                for v in variables
            ]
            self.count = self.add_variable((), dtype="int", name="count")

        def update_step(self, gradient, variable, learning_rate):
            learning_rate = ops.cast(learning_rate, variable.dtype)
            m = self.momentums[self._get_variable_index(variable)]
            self.assign(m, ops.subtract(ops.multiply(m, self.momentum), gradient * learning_rate))
            self.assign_add(self.count, 1)
            self.assign_add(variable, m)

        def get_config(self):
            return {**super().get_config(), "momentum": self.momentum}

    class Scaled(k.optimizers.Optimizer):
        """With several lists of variables, and the number of the update."""

        def __init__(self, **kwargs):
            super().__init__(learning_rate=0.1, **kwargs)

        def build(self, variables):
            super().build(variables)
            self.m, self.v = self.add_optimizer_variables(
                variables, ["m", "v"], initializer=["zeros", "ones"]
            )

        def update_step(self, gradient, variable, learning_rate):
            i = self._get_variable_index(variable)
            t = ops.cast(self.iterations + 1, variable.dtype)
            self.assign(self.m[i], 0.5 * (self.m[i] + gradient))
            self.assign_add(self.v[i], ops.square(gradient))
            step = learning_rate * self.m[i] / (ops.sqrt(self.v[i]) * ops.sqrt(t))
            self.assign_sub(variable, step)

    class Slower(k.optimizers.Adam):
        """Another learning rate for some variables of a method that there is."""

        def update_step(self, gradient, variable, learning_rate):
            factor = 0.1 if variable.name == "bias" else 1.0
            super().update_step(gradient, variable, learning_rate * factor)

    class Centralized(k.optimizers.RMSprop):
        """Other gradients."""

        def apply(self, grads, trainable_variables=None):
            grads = [g - ops.mean(g, axis=0, keepdims=True) for g in grads]
            return super().apply(grads, trainable_variables)

    return {cls.__name__: cls for cls in (Momentum, Scaled, Slower, Centralized)}


NAMES = list(optimizers_of(gpunn))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in NAMES),
        ("Momentum", {"weight_decay": 0.1, "clipnorm": 1.0, "use_ema": True}),
        ("Slower", {"amsgrad": True}),
    ],
)
def test_as_keras(name, options):
    results = []
    for k in (gpunn, keras):
        optimizer, weights = optimizers_of(k)[name](**options), variables(k)
        run(k, optimizer, weights, 6)
        results.append([*weights, *optimizer.variables])
        names = [v.path.split("/")[-1] for v in optimizer.variables]
    agree(*results)
    assert names == [v.path.split("/")[-1] for v in optimizers_names(name, options)]


def optimizers_names(name, options):
    optimizer = optimizers_of(gpunn)[name](**options)
    optimizer.build(variables(gpunn))
    return optimizer.variables


@pytest.mark.parametrize("name", NAMES)
def test_in_fit(name):
    """With and without a recording, and with averages over steps that skip updates."""
    weights = []
    for options in ({"jit_compile": True}, {"jit_compile": False}, {"run_eagerly": True}):
        gpunn.utils.set_random_seed(3)
        model = gpunn.Sequential([gpunn.Input((4,)), gpunn.layers.Dense(1)])
        optimizer = optimizers_of(gpunn)[name](gradient_accumulation_steps=2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.compile(optimizer, "mse", **options)
            model.fit(X, Y, batch_size=4, epochs=2, verbose=0, shuffle=False)
        assert int(optimizer.iterations) == 6
        weights.append(model.get_weights())
    for other in weights[1:]:
        for a, b in zip(weights[0], other):
            np.testing.assert_array_equal(a, b)


def test_config_of_a_users_optimizer():
    Momentum = optimizers_of(gpunn)["Momentum"]
    optimizer = Momentum(0.3, momentum=0.5, clipvalue=1.0)
    again = Momentum.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    described = gpunn.optimizers.serialize(optimizer)
    found = gpunn.optimizers.deserialize(described, {"Momentum": Momentum})
    assert type(found) is Momentum and found.momentum == 0.5


def test_variables_that_are_set_as_attributes_are_state():
    class Counting(gpunn.optimizers.Optimizer):
        def build(self, variables):
            super().build(variables)
            self.total = gpunn.Variable(0.0)
            self.total = self.total  # the same one again

        def update_step(self, gradient, variable, learning_rate):
            self.total.assign_add(1.0)

    w, optimizer = gpunn.Variable([1.0]), Counting(0.1)
    optimizer.apply([np.ones(1)], [w])
    assert optimizer.variables[2] is optimizer.total and len(optimizer.variables) == 3
    assert float(optimizer.total) == 1


def test_errors():
    class Forgets(gpunn.optimizers.Optimizer):
        def __init__(self):
            self.factor = 1.0

    class Early(gpunn.optimizers.Optimizer):
        def __init__(self):
            self.total = gpunn.Variable(0.0)

    w = gpunn.Variable([1.0])
    for make in (lambda: Forgets().build([w]), lambda: Forgets().add_variable(()), Early):
        with pytest.raises(RuntimeError, match=r"__init__\(\) must call super\(\).__init__"):
            make()
    optimizer = gpunn.optimizers.Optimizer(0.1)
    with pytest.raises(NotImplementedError, match=r"Optimizer must override update_step\(\)"):
        optimizer.apply([np.ones(1)], [w])
    with pytest.raises(ValueError, match="2 names need as many initializers, received name="):
        optimizer.add_optimizer_variables([w], ["a", "b"], initializer=["zeros"])
    with pytest.raises(ValueError, match="layout must be None"):
        optimizer.add_variable((), layout="rows")
    with pytest.raises(ValueError, match="Unknown aggregation: 'men'. Did you mean 'mean'"):
        optimizer.add_variable((), aggregation="men")
    with pytest.raises(ValueError, match="built for other variables and does not know"):
        optimizer._get_variable_index(gpunn.Variable(1.0))
    for method in ("update", "update_rows"):
        with pytest.raises(NotImplementedError, match=rf"must override {method}\(\)"):
            getattr(gpunn.optimizers.method.Method(0.1), method)(
                *[None] * (5 - (method != "update"))
            )
