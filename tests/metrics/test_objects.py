"""Metrics as objects: state, stateless use, configs, look-up, metrics of the user."""

import numpy as np
import pytest

import gpunn
from gpunn import losses, metrics, ops
from gpunn.autodiff.tape import GradientTape
from gpunn.metrics.resolve import resolve_accuracy, resolve_crossentropy
from gpunn.ops.accumulate import divide_no_nan

CONFIGS = {
    metrics.Mean: {},
    metrics.Sum: {},
    metrics.Accuracy: {},
    metrics.BinaryAccuracy: {"threshold": 0.25},
    metrics.CategoricalAccuracy: {},
    metrics.SparseCategoricalAccuracy: {},
    metrics.TopKCategoricalAccuracy: {"k": 3},
    metrics.SparseTopKCategoricalAccuracy: {"k": 3, "from_sorted_ids": True},
    metrics.MeanSquaredError: {},
    metrics.MeanAbsoluteError: {},
    metrics.RootMeanSquaredError: {},
    metrics.BinaryCrossentropy: {"from_logits": True, "label_smoothing": 0.1},
    metrics.CategoricalCrossentropy: {"from_logits": True, "label_smoothing": 0.1, "axis": 1},
    metrics.SparseCategoricalCrossentropy: {"from_logits": True, "ignore_class": 3, "axis": 1},
}


@pytest.mark.parametrize(("cls", "options"), CONFIGS.items())
def test_config_round_trip(cls, options):
    metric = cls(name="mine", dtype="float64", **options)
    assert metric.get_config() == {"name": "mine", "dtype": "float64", **options}
    assert cls.from_config(metric.get_config()) == metric
    assert metrics.deserialize(metrics.serialize(metric)) == metric


@pytest.mark.parametrize("cls", CONFIGS)
def test_names_dtypes_and_variables(cls):
    metric = cls()
    assert type(metrics.get(metric.name)) is cls is type(metrics.get(cls.__name__))
    assert metric.dtype == "float32" and repr(metric) == f"<{cls.__name__} name={metric.name}>"
    assert {v.path for v in metric.variables} <= {f"{metric.name}/total", f"{metric.name}/count"}
    assert all(v.shape == () and v.dtype == "float32" and not v.trainable for v in metric.variables)
    assert all(v.dtype == "float16" for v in cls(dtype="float16").variables)


def test_get():
    assert metrics.get(None) is None and metrics.get(len) is len
    aliases = {"mse": metrics.MeanSquaredError, "MSE": metrics.MeanSquaredError}
    aliases |= {"mae": metrics.MeanAbsoluteError, "bce": metrics.BinaryCrossentropy}
    for name, cls in aliases.items():
        assert type(metrics.get(name)) is cls
    assert isinstance(metrics.get(metrics.Mean), metrics.Mean)
    metric = metrics.Mean()
    assert metrics.get(metric) is metric


def test_get_of_what_is_no_metric():
    with pytest.raises(ValueError, match="Unknown metric: 'acuracy'. Did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(ValueError, match="Cannot interpret 3 as metric"):
        metrics.get(3)


def test_wrapper_of_functions():
    metric = metrics.MeanMetricWrapper(metrics.binary_accuracy, threshold=0.3)
    again = metrics.MeanMetricWrapper.from_config(metric.get_config())
    assert again == metric and again.fn is metrics.binary_accuracy
    assert metrics.deserialize(metrics.serialize(metric)) == metric
    assert metric.name.startswith("mean_metric_wrapper")
    with pytest.raises(ValueError, match="Unknown metric function: 'nothing'"):
        metrics.MeanMetricWrapper.from_config({"fn": "nothing"})

    def scaled(y_true, y_pred, factor):
        return factor * ops.mean(y_pred - y_true, axis=-1)

    mine = metrics.MeanMetricWrapper(scaled, name="mine", factor=3)
    y = ops.convert_to_tensor([[2.0], [4.0]])
    assert mine(ops.zeros((2, 1)), y, sample_weight=[1, 3]).item() == pytest.approx(3 * 14 / 4)
    assert metrics.deserialize({"class_name": "Scaled"}, {"Scaled": lambda: 1})() == 1


class Largest(metrics.Metric):
    """An example of a user's metric, with a metric and a variable of its own inside."""

    def __init__(self, name=None, dtype=None):
        super().__init__(dtype=dtype, name=name)
        self.value = self.add_weight(name="value", initializer="zeros")
        self.mean = metrics.Mean("inner")
        self.counts = gpunn.Variable(np.zeros(2, "int32"), trainable=False, name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.value.assign(ops.maximum(self.value, ops.max(y_pred)))
        self.mean.update_state(y_pred)
        self.counts.assign_add([1, 2])

    def result(self):
        return self.value


def test_a_metric_of_the_user():
    metric = Largest()
    assert metric.name == "largest" or metric.name.startswith("largest_")
    assert Largest().name != metric.name
    names = [v.name for v in metric.variables]
    assert names == ["value", "counts", "total", "count"]  # its own first, as in Keras
    y = ops.convert_to_tensor([1.0, 5.0, 3.0])
    assert metric(y, y).item() == 5 and metric.mean.result().item() == 3
    metric.reset_state()
    assert not any(np.asarray(v).any() for v in metric.variables)


def test_add_variable():
    metric = metrics.Metric(name="mine")
    ones = metric.add_variable((2, 3), initializer="ones", dtype="int32", name="n")
    assert ones.dtype == "int32" and ones.path == "mine/n" and ones.numpy().sum() == 6
    assert metric.add_weight().shape == ()
    assert (
        metric.add_weight(shape=(2,), initializer=lambda shape, dtype: np.full(shape, 7)).numpy()[0]
        == 7
    )
    with pytest.raises(ValueError, match="Unknown initializer: 'one_s'"):
        metric.add_weight(initializer="one_s")
    with pytest.raises(ValueError, match="unknown aggregation 'max'. Use 'sum'"):
        metric.add_variable((), "zeros", aggregation="max")


def test_what_a_subclass_must_do():
    class Forgetful(metrics.Metric):
        def __init__(self):
            self.total = self.add_weight()

    with pytest.raises(RuntimeError, match=r"Forgetful: call super\(\).__init__\(\) first"):
        Forgetful()
    with pytest.raises(NotImplementedError, match=r"Metric needs a method update_state"):
        metrics.Metric().update_state(1)
    with pytest.raises(NotImplementedError, match=r"Metric needs a method result"):
        metrics.Metric().result()


def test_stateless():
    metric = metrics.Mean()
    metric.update_state([10.0])
    start = metric.stateless_reset_state()
    assert [v.item() for v in start] == [0, 0]
    after = metric.stateless_update_state(start, [1.0, 2.0])
    after = metric.stateless_update_state(after, [6.0], sample_weight=[2.0])
    assert [v.item() for v in after] == [15, 4] and [v.item() for v in start] == [0, 0]
    assert metric.stateless_result(after).item() == 3.75
    assert metric.stateless_result([np.float32(3), 2]).item() == 1.5
    assert [v.item() for v in metric.variables] == [10, 1]


def test_stateless_keeps_the_state_after_an_error():
    metric = metrics.Mean()
    metric.update_state([10.0])
    with pytest.raises(ValueError):
        metric.stateless_update_state([0.0, 0.0], [1.0], sample_weight=[[1.0, 2.0]])
    assert metric.result().item() == 10


def test_stateless_result_does_not_share_the_state():
    metric = Largest()
    before = metric.stateless_reset_state()
    after = metric.stateless_update_state(before, ops.ones(3), ops.ones(3))
    assert metric.stateless_result(after).item() == 1
    assert metric.result().item() == 0


def test_stateless_with_the_wrong_number_of_variables():
    metric = metrics.Mean(name="mean_of_it")
    message = r"mean_of_it: metric_variables has 1 element\(s\), but the metric has 2 variable"
    with pytest.raises(ValueError, match=message):
        metric.stateless_update_state([0.0], [1.0])
    with pytest.raises(ValueError, match=message):
        metric.stateless_result([0.0])


def test_the_state_stays_in_its_array():
    """A recorded step holds on to it."""
    metric = metrics.SparseCategoricalAccuracy()
    arrays = [v.data for v in metric.variables]
    metric.update_state([1], [[0.2, 0.8]])
    metric.reset_state()
    metric.update_state([1, 0], [[0.2, 0.8], [0.1, 0.9]], [1.0, 3.0])
    assert all(v.data is array for v, array in zip(metric.variables, arrays))
    assert [float(a) for a in arrays] == [1, 4]
    total = metrics.Sum()
    first = total([1.0])
    total([2.0])
    assert first.item() == 1  # a result does not change with the state


def test_metrics_are_on_no_tape():
    x = gpunn.Variable([[1.0, 2.0]])
    with GradientTape() as tape:
        y = x * 2
        before = len(tape.records)
        for cls in (metrics.MeanSquaredError, metrics.RootMeanSquaredError):
            cls()([[0.0, 0.0]], y, [2.0])
        metrics.Mean()(y)
        assert len(tape.records) == before


def test_values_of_any_dtype():
    for values in (np.array([True, False]), np.array([1, 0]), np.float64([1, 0]), [1, 0]):
        assert metrics.Mean()(values).item() == 0.5
    assert metrics.Mean(dtype="float64")(np.float64([1 / 3])).item() == 1 / 3


def test_quotients_with_zero_below():
    x, y = gpunn.Variable([1.0, 2.0, 0.0]), gpunn.Variable([4.0, 0.0, 0.0])
    with GradientTape() as tape:
        z = divide_no_nan(x, y)
    dx, dy = tape.gradient(z, [x, y])
    np.testing.assert_allclose(z.numpy(), [0.25, 0, 0])
    np.testing.assert_allclose(dx.numpy(), [0.25, 0, 0])
    np.testing.assert_allclose(dy.numpy(), [-1 / 16, 0, 0])


def test_a_threshold_of_logits_and_one_that_is_no_number():
    assert metrics.BinaryAccuracy(threshold=0)([1, 0], [0.2, -3.0]).item() == 1
    with pytest.raises(ValueError, match="BinaryAccuracy: threshold must be a number .* None"):
        metrics.BinaryAccuracy(threshold=None)


@pytest.mark.parametrize(
    "cls", [metrics.TopKCategoricalAccuracy, metrics.SparseTopKCategoricalAccuracy]
)
@pytest.mark.parametrize("k", [0, -1, 2.5])
def test_k_out_of_range(cls, k):
    with pytest.raises(ValueError, match=f"{cls.__name__}: k must be a positive integer, received"):
        cls(k=k)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "kind"),
    [
        ((32,), (32, 1), "Binary"), ((32, 1), (32, 1), "Binary"), ((32,), (32,), "Binary"),
        ((None, 5), (None, 5, 1), "Binary"), ((32,), (32, 10), "SparseCategorical"),
        ((32, 1), (32, 10), "SparseCategorical"), ((None, 5), (None, 5, 10), "SparseCategorical"),
        ((32, 10), (32, 10), "Categorical"), ((None, 5, 10), (None, 5, 10), "Categorical"),
    ],
)  # fmt: skip
def test_words_whose_meaning_depends_on_the_shapes(y_true, y_pred, kind):
    assert resolve_accuracy(y_true, y_pred) is getattr(metrics, f"{kind}Accuracy")
    assert resolve_crossentropy(y_true, y_pred) is getattr(metrics, f"{kind}Crossentropy")


def test_the_functions_of_losses_are_here_too():
    assert metrics.mean_squared_error is losses.mean_squared_error
    assert metrics.sparse_categorical_crossentropy is losses.sparse_categorical_crossentropy


def test_a_metric_in_a_layer_counts_values_not_symbols():
    class Counting(gpunn.layers.Layer):
        def __init__(self):
            super().__init__()
            self.accuracy = gpunn.metrics.BinaryAccuracy(name="acc")

        def call(self, targets, inputs):
            self.accuracy.update_state(targets, inputs)
            self.add_loss(gpunn.ops.mean(gpunn.ops.square(inputs - targets)))
            return inputs

    targets, inputs = gpunn.Input((1,)), gpunn.Input((1,))
    model = gpunn.Model([targets, inputs], Counting()(targets, inputs))
    metric = model.layers[-1].accuracy
    assert float(metric.count) == 0
    model.compile("sgd")
    t, x = np.array([[1.0], [0.0], [1.0], [1.0]]), np.array([[0.9], [0.2], [0.1], [0.7]])
    assert model.evaluate([t, x], verbose=0, return_dict=True)["acc"] == 0.75
