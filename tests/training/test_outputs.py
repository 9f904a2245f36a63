"""Several outputs, and steps of the user's own: the logs of fit and evaluate as Keras has them."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pandas
import pytest

import gpunn
from gpunn import layers, ops
from gpunn.utils import PyDataset

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(3)
X = RNG.standard_normal((16, 4)).astype("float32")
A = RNG.standard_normal((16, 2)).astype("float32")
B = RNG.integers(0, 3, 16)
V, W = RNG.uniform(0.2, 2, (2, 16)).astype("float32")
SCC = "sparse_categorical_crossentropy"


def weighted(model):
    """The model with the same weights each time."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(-0.5, 0.5, w.shape) for w in model.get_weights()])
    return model


def two_outputs(k, form="list"):
    x = k.Input((4,), name="x")
    a = k.layers.Dense(2, name="a")(x)
    b = k.layers.Dense(3, "softmax", name="b")(x)
    return weighted(k.Model(x, {"list": [a, b], "tuple": (a, b), "dict": {"b": b, "a": a}}[form]))


def subclassed(k, form="list"):
    class Two(k.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = k.layers.Dense(2), k.layers.Dense(3, activation="softmax")

        def call(self, x):
            a, b = self.a(x), self.b(x)
            return [a, b] if form == "list" else {"a": a, "b": b}

    model = Two()
    model(X[:8])
    return weighted(model)


def results(k, make=two_outputs, form="list", y=None, sample_weight=None, val=False, **options):
    """The logs of fit, evaluate and one batch."""
    model = make(k, form)
    y = y or ({"a": A, "b": B} if form == "dict" else [A, B])
    options = {"loss": ["mse", SCC], **options}
    if k is keras and options.get("steps_per_execution", 1) == 1:
        options["run_eagerly"] = True  # no compile time
    model.compile(k.optimizers.SGD(0.1), **options)
    fit = {"validation_data": (X, y)} if val else {}
    history = model.fit(
        X, y, batch_size=8, shuffle=False, verbose=0, sample_weight=sample_weight, **fit
    )
    test = {"batch_size": 8, "verbose": 0, "sample_weight": sample_weight}
    found = {name: values[0] for name, values in history.history.items()}
    evaluated = model.evaluate(X, y, return_dict=True, **test)
    found |= {f"evaluate_{name}": value for name, value in evaluated.items()}
    return found, model.evaluate(X, y, **test)


def agree(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


CASES = {
    "losses": {},
    "one loss for all": {"loss": "mse", "y": [A, np.eye(3)[B]]},
    "a dict of losses": {"loss": {"b": SCC, "a": "mse"}, "y": {"a": A, "b": B}},
    "no loss for one": {"loss": ["mse", None], "metrics": [None, "accuracy"]},
    "None in a dict": {"loss": {"a": "mse", "b": None}},
    "loss weights": {"loss_weights": [0.3, 2.0]},
    "a dict of loss weights": {"loss_weights": {"b": 2.0, "a": 0.5}, "val": True},
    "metrics": {"metrics": ["mae", "accuracy"]},
    "lists of metrics": {"metrics": [["mae", "mse", "mae"], ["accuracy"]]},
    "a dict of metrics": {"metrics": {"b": ["accuracy"], "a": "mae"}},
    "weights of samples": {
        "metrics": [["mae"], ["accuracy"]], "weighted_metrics": [["mae"], ["accuracy"]],
        "sample_weight": [V, W],
    },
    "weighted metrics alone": {"weighted_metrics": {"a": ["mae"]}, "sample_weight": [V, None]},
    "one weight for all": {"weighted_metrics": [["mae"], []], "sample_weight": V},
    "a tuple of outputs": {"form": "tuple", "y": (A, B)},
    "a dict of outputs": {
        "form": "dict", "loss": {"a": "mse", "b": SCC}, "metrics": {"a": "mae"},
        "loss_weights": {"a": 0.1, "b": 3.0}, "sample_weight": {"a": V, "b": W},
    },
    "a subclass": {"make": subclassed, "metrics": [["mae"], ["accuracy"]]},
    "a subclass with a dict": {
        "make": subclassed, "form": "dict", "loss": {"a": "mse"}, "metrics": {"b": "accuracy"},
    },
    "several steps at once": {"steps_per_execution": 2, "metrics": [["mae"], []]},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # there is no loss for one output
@pytest.mark.parametrize("name", CASES)
def test_as_keras(name):
    found, ordered = results(gpunn, **CASES[name])
    expected, theirs = results(keras, **CASES[name])
    agree(found, expected)
    np.testing.assert_allclose(ordered, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": {"a": "mse", "c": SCC}}, "loss has the key 'c', but the outputs are"),
        ({"metrics": {"c": "mae"}}, "metrics has the key 'c', but the outputs are .'a', 'b'."),
        ({"loss_weights": {"c": 1.0}}, "loss_weights has the key 'c'"),
        ({"loss_weights": [1.0]}, "2 outputs .a, b., received 1 for loss_weights"),
        ({"loss_weights": ["x", 1.0]}, "loss_weights must be numbers, received 'x'"),
        ({"loss": ["mse"]}, "2 outputs .a, b., received 1 for loss"),
        ({"metrics": ["mae", "mse", "mae"]}, "received 3 for metrics"),
        ({"y": [A]}, "received 1 for y"),
        ({"sample_weight": [V]}, "received 1 for sample_weight"),
        ({"loss": {"a": "mse"}}, "The loss dict has the keys .'a'., the outputs are"),
        ({"loss": [None, None]}, "All losses are None"),
        ({"make": subclassed, "loss": {"a": "mse"}}, "the model's outputs have no names"),
    ],
)
def test_what_does_not_fit_the_outputs(options, message):
    with pytest.raises(ValueError, match=message):
        results(gpunn, **options)


def test_class_weight_needs_one_array_of_labels():
    model = two_outputs(gpunn)
    model.compile("sgd", ["mse", SCC])
    with pytest.raises(ValueError, match="class_weight needs one array of labels"):
        model.fit(X, [A, B], class_weight={0: 1.0}, verbose=0)


def test_recorded_steps_are_the_eager_steps():
    logs = []
    for jit_compile in (True, False):
        model = two_outputs(gpunn)
        model.compile(
            "adam", ["mse", SCC], loss_weights=[0.5, 2.0], metrics=[["mae"], ["accuracy"]],
            weighted_metrics=[[], ["accuracy"]], jit_compile=jit_compile,
        )  # fmt: skip
        fit = {"sample_weight": [V, W], "batch_size": 5, "epochs": 3, "shuffle": False}
        logs.append(model.fit(X, [A, B], verbose=0, **fit).history)
    assert logs[0] == logs[1]


# --- inputs of other kinds ---


class Batches(PyDataset):
    def __init__(self, module=gpunn, **kwargs):
        super().__init__(**kwargs)
        self.module = module

    def __len__(self):
        return 2

    def __getitem__(self, i):
        rows = slice(8 * i, 8 * i + 8)
        return {"x": X[rows]}, (A[rows], B[rows]), (V[rows], W[rows])


def fitted(data, **options):
    model = two_outputs(gpunn)
    model.compile("sgd", ["mse", SCC], weighted_metrics=[["mae"], ["accuracy"]])
    return model.fit(data, verbose=0, shuffle=False, **options).history, model.get_weights()


def same(found, expected):
    assert found[0] == expected[0]
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def expected():
    return fitted({"x": X}, y=[A, B], sample_weight=[V, W], batch_size=8)


@pytest.mark.parametrize("workers", [1, 3])
def test_datasets_with_workers(workers, expected):
    same(fitted(Batches(workers=workers, max_queue_size=2)), expected)


def test_generators_of_structures(expected):
    def batches():
        while True:
            for rows in (slice(0, 8), slice(8, 16)):
                yield [X[rows]], {"a": A[rows], "b": B[rows]}, {"a": V[rows], "b": W[rows]}

    same(fitted(batches(), steps_per_epoch=2), expected)


def test_pandas(expected):
    weights = [pandas.Series(V), pandas.Series(W)]
    targets = [pandas.DataFrame(A), pandas.Series(B)]
    data = {"y": targets, "sample_weight": weights, "batch_size": 8}
    same(fitted(pandas.DataFrame(X), **data), expected)


def test_torch_loaders_and_tensors():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(A))
    model = dense()
    model.compile("sgd", "mse")
    found = model.fit(torch.utils.data.DataLoader(data, batch_size=8), verbose=0).history
    again = dense()
    again.compile("sgd", "mse")
    fit = {"batch_size": 8, "shuffle": False, "verbose": 0}
    assert again.fit(torch.tensor(X), torch.tensor(A), **fit).history == found


def test_batches_that_are_not_tuples():
    """A list is one input, or several; only a tuple has targets."""
    model = two_outputs(gpunn)
    found = model.predict(([X[i : i + 8]] for i in (0, 8)), verbose=0)
    np.testing.assert_allclose(found[0], model.predict(X, verbose=0)[0], rtol=1e-6)


# --- steps, losses and metrics of the user's own ---


def own_loss(k):
    class Own(k.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            base = super().compute_loss(x, y, y_pred, sample_weight)
            return base + k.ops.mean(k.ops.abs(y - y_pred)) * 2

    return Own


def own_metrics(k):
    class Own(k.Sequential):
        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            found = super().compute_metrics(x, y, y_pred, sample_weight)
            return {**found, "seven": k.ops.mean(y_pred) * 0 + 7}

    return Own


def added_loss(k):
    class Penalty(k.layers.Layer):
        def call(self, x):
            self.add_loss(0.1 * k.ops.mean(k.ops.square(x)))
            return x

    return lambda given: k.Sequential([*given, Penalty()])


@pytest.mark.parametrize("cls", [own_loss, own_metrics, added_loss])
def test_own_methods_as_keras(cls):
    logs = []
    for k in (gpunn, keras):
        model = weighted(cls(k)([k.Input((4,)), k.layers.Dense(2)]))
        model.compile(k.optimizers.SGD(0.1), "mse", metrics=["mae"], run_eagerly=k is keras)
        fit = model.fit(X, A, batch_size=8, shuffle=False, verbose=0).history
        logs.append({name: values[0] for name, values in fit.items()})
        found = model.evaluate(X, A, batch_size=8, verbose=0, return_dict=True)
        logs[-1] |= {f"evaluate_{name}": value for name, value in found.items()}
    agree(*logs)


def dense(cls=gpunn.Sequential):
    return weighted(cls([gpunn.Input((4,)), layers.Dense(2)]))


def outputs_of(model):
    return X @ model.layers[-1].kernel.numpy() + model.layers[-1].bias.numpy()


def test_own_steps_for_testing_and_predicting():
    class Own(gpunn.Sequential):
        def test_step(self, data):
            x, y = data
            return {"bias": ops.mean(self(x, training=False) - y)}

        def predict_step(self, data):
            x = data[0] if isinstance(data, tuple) else data
            return self(x, training=False) * 0 + 3

    model = dense(Own)
    model.compile("sgd", "mse")
    bias = (outputs_of(model) - A).mean()
    assert model.evaluate(X, A, verbose=0, return_dict=True) == {"bias": pytest.approx(bias)}
    assert model.evaluate(X, A, verbose=0) == pytest.approx(bias)
    np.testing.assert_array_equal(model.predict(X, verbose=0), np.full((16, 2), 3.0))


def test_a_metric_that_a_model_has_as_attribute():
    class Own(gpunn.Sequential):
        def __init__(self, given):
            super().__init__(given)
            self.seen = gpunn.metrics.Mean(name="seen")

        def call(self, x, training=None, mask=None):
            y = super().call(x)
            self.seen.update_state(y)
            return y

    model = dense(Own)
    model.compile("sgd", "mse", metrics=["mae"])
    found = model.evaluate(X, A, verbose=0, return_dict=True)
    expected = outputs_of(model)
    assert list(found) == ["loss", "mae", "seen"] == model.metrics_names
    assert found["seen"] == pytest.approx(expected.mean(), rel=1e-5)
    assert found["mae"] == pytest.approx(np.abs(expected - A).mean(), rel=1e-5)


class Adversaries(gpunn.Model):
    """A GAN: two models with an optimizer each, alternating in one step."""

    def __init__(self):
        super().__init__()
        self.generator = gpunn.Sequential([layers.Input((2,)), layers.Dense(4)])
        self.critic = gpunn.Sequential([layers.Input((4,)), layers.Dense(1)])
        self.g_loss, self.d_loss = (gpunn.metrics.Mean(name=n) for n in ("g_loss", "d_loss"))

    def compile(self, g_optimizer, d_optimizer, loss, **options):
        super().compile(**options)
        self.g_optimizer, self.d_optimizer, self.loss_of = g_optimizer, d_optimizer, loss

    def call(self, noise):
        return self.generator(noise)

    def train_step(self, data):
        real = data[0] if isinstance(data, tuple) else data
        n = ops.shape(real)[0]
        noise = ops.ones((n, 2))
        labels = ops.concatenate([ops.zeros((n, 1)), ops.ones((n, 1))])
        both = ops.concatenate([self.generator(noise), real])
        with gpunn.GradientTape() as tape:
            d_loss = self.loss_of(labels, self.critic(both))
        weights = self.critic.trainable_variables
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights))
        with gpunn.GradientTape() as tape:
            g_loss = self.loss_of(ops.ones((n, 1)), self.critic(self.generator(noise)))
        weights = self.generator.trainable_variables
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights))
        self.g_loss.update_state(g_loss)
        self.d_loss.update_state(d_loss)
        return {"d_loss": self.d_loss.result(), "g_loss": self.g_loss.result()}


@pytest.mark.parametrize("jit_compile", [True, False])
def test_two_optimizers(jit_compile):
    """Only the weights of one model move in each half of a step; recorded or not."""
    gpunn.utils.set_random_seed(4)
    model = Adversaries()
    loss = gpunn.losses.BinaryCrossentropy(from_logits=True)
    sgd = gpunn.optimizers.SGD
    model.compile(sgd(0.0), sgd(0.1), loss, jit_compile=jit_compile)
    generator, critic = model.generator.get_weights(), model.critic.get_weights()
    history = model.fit(X, epochs=5, batch_size=8, shuffle=False, verbose=0).history
    assert set(history) == {"d_loss", "g_loss"} and history["d_loss"][-1] < history["d_loss"][0]
    np.testing.assert_array_equal(model.generator.get_weights()[0], generator[0])
    assert not np.array_equal(model.critic.get_weights()[0], critic[0])
    if jit_compile:
        eager = Adversaries()
        eager.compile(sgd(0.0), sgd(0.1), loss, jit_compile=False)
        eager.generator.set_weights(generator)
        eager.critic.set_weights(critic)
        again = eager.fit(X, epochs=5, batch_size=8, shuffle=False, verbose=0).history
        assert again == history


class Sampling(layers.Layer):
    """z = μ + σ ε, and the Kullback-Leibler divergence from N(0, 1) as a loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = gpunn.random.SeedGenerator(7)

    def call(self, inputs):
        mean, log_var = inputs
        noise = gpunn.random.normal(ops.shape(mean), seed=self.seeds)
        divergence = -0.5 * ops.sum(1 + log_var - mean**2 - ops.exp(log_var), axis=-1)
        self.add_loss(ops.mean(divergence))
        return mean + ops.exp(0.5 * log_var) * noise


@pytest.mark.parametrize("jit_compile", [True, False])
def test_an_autoencoder_that_samples(jit_compile):
    gpunn.utils.set_random_seed(5)
    x = layers.Input((4,))
    mean, log_var = layers.Dense(2)(x), layers.Dense(2)(x)
    model = gpunn.Model(x, layers.Dense(4)(Sampling()([mean, log_var])))
    model.compile("adam", "mse", jit_compile=jit_compile)
    history = model.fit(X, X, epochs=20, batch_size=8, shuffle=False, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    mu, log_sigma = (X @ layer.kernel.numpy() + layer.bias.numpy() for layer in model.layers[1:3])
    divergence = -0.5 * (1 + log_sigma - mu**2 - np.exp(log_sigma)).sum(-1).mean()
    with gpunn.no_grad():
        model(X)
    np.testing.assert_allclose(float(model.losses[0]), divergence, rtol=1e-4)


def test_compile_configs():
    model = two_outputs(gpunn)
    assert model.get_compile_config() == {}
    options = {
        "loss_weights": [0.5, 2.0],
        "metrics": [["mae"], [gpunn.metrics.SparseCategoricalAccuracy()]],
    }
    model.compile(
        gpunn.optimizers.SGD(0.25, momentum=0.5),
        ["mse", gpunn.losses.SparseCategoricalCrossentropy()],
        **options,
    )
    twin = two_outputs(gpunn)
    twin.compile_from_config(model.get_compile_config())
    assert type(twin.optimizer) is gpunn.optimizers.SGD and twin.optimizer.momentum == 0.5
    logs = [m.fit(X, [A, B], batch_size=8, shuffle=False, verbose=0).history for m in (model, twin)]
    assert logs[0] == logs[1]


def test_logs_are_sorted_by_name_lists_are_not():
    x = np.ones((4, 3), "float32")
    y = {"z": np.full((4, 1), 2.0), "b": np.full((4, 2), 5.0)}
    inputs = gpunn.Input((3,))
    outputs = {name: gpunn.layers.Dense(n, name=name)(inputs) for name, n in (("z", 1), ("b", 2))}
    model = gpunn.Model(inputs, outputs)
    for order in ("zb", "bz"):  # of the losses of a dict of outputs, as in Keras
        model.compile("sgd", dict.fromkeys(order, "mse"))
        named = model.evaluate(x, y, verbose=0, return_dict=True)
        assert list(named) == ["b_loss", "loss", "z_loss"]
        labels = ["loss", *(f"{name}_loss" for name in order)]
        assert model.evaluate(x, y, verbose=0) == [named[label] for label in labels]
        assert model.metrics_names == labels
    history = model.fit(x, y, verbose=0, validation_data=(x, y)).history
    assert list(history) == [*sorted(named), *(f"val_{name}" for name in sorted(named))]
