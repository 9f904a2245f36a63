"""Losses as objects: names, configs, look-up, losses of the user."""

import numpy as np
import pytest

import gpunn
from gpunn import losses, ops
from gpunn.losses import LossFunctionWrapper

CONFIGS = {
    losses.MeanSquaredError: {},
    losses.MeanAbsoluteError: {},
    losses.BinaryCrossentropy: {"from_logits": True, "label_smoothing": 0.1, "axis": 1},
    losses.CategoricalCrossentropy: {"from_logits": True, "label_smoothing": 0.1, "axis": 1},
    losses.SparseCategoricalCrossentropy: {"from_logits": True, "ignore_class": 3, "axis": 1},
}


@pytest.mark.parametrize(("cls", "options"), CONFIGS.items())
def test_config_round_trip(cls, options):
    loss = cls(reduction="sum", name="mine", **options)
    assert loss.get_config() == {"name": "mine", "reduction": "sum", **options}
    assert cls.from_config(loss.get_config()) == loss
    assert losses.deserialize(losses.serialize(loss)) == loss
    with_dtype = cls(dtype="float64", **options)
    assert cls.from_config(with_dtype.get_config()).dtype == "float64"


@pytest.mark.parametrize("cls", CONFIGS)
def test_default_names(cls):
    loss = cls()
    assert loss.name == losses.get(cls.__name__).name
    assert getattr(losses, loss.name) is losses.get(loss.name)
    assert loss.reduction == "sum_over_batch_size" and loss.dtype == "float32"


def test_get():
    assert losses.get(None) is None
    for name in ("mse", "MSE", "mean_squared_error"):
        assert losses.get(name) is losses.mean_squared_error
    assert losses.mse is losses.MSE is losses.mean_squared_error
    assert losses.mae is losses.MAE is losses.get("mae") is losses.mean_absolute_error
    assert losses.bce is losses.BCE is losses.get("bce") is losses.binary_crossentropy
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.MeanSquaredError), losses.MeanSquaredError)
    loss = losses.MeanSquaredError()
    assert losses.get(loss) is loss and losses.get(len) is len


def test_get_of_what_is_no_loss():
    with pytest.raises(
        ValueError, match="Unknown loss: 'mean_square_error'. Did you mean 'mean_squared"
    ):
        losses.get("mean_square_error")
    with pytest.raises(ValueError, match="Cannot interpret 3 as loss"):
        losses.get(3)


def test_serialize_functions():
    assert losses.serialize(losses.mse) == "mean_squared_error"
    assert losses.deserialize("mean_squared_error") is losses.mean_squared_error

    def mine(y_true, y_pred):
        return y_pred

    assert losses.deserialize("mine", custom_objects={"mine": mine}) is mine
    with pytest.raises(ValueError, match="Unknown loss: 'mine'"):
        losses.deserialize("mine")


def test_a_function_of_the_user():
    def cubic(y_true, y_pred, factor=1):
        assert y_true.dtype == y_pred.dtype == "float32"
        return factor * ops.mean(ops.abs(y_true - y_pred) ** 3, axis=-1)

    loss = LossFunctionWrapper(cubic, factor=2)
    assert loss.name == "cubic" and loss.get_config()["factor"] == 2
    assert loss(np.array([[1, 2]]), np.array([[3.0, 3.0]])).item() == pytest.approx(9)
    x = gpunn.Variable([[3.0, 3.0]])
    with gpunn.GradientTape() as tape:
        value = loss([[1, 2]], x)
    np.testing.assert_allclose(tape.gradient(value, x).numpy(), [[12.0, 3.0]], rtol=1e-6)


def test_wrapper_of_our_functions():
    loss = LossFunctionWrapper(losses.binary_crossentropy, from_logits=True, reduction="sum")
    again = LossFunctionWrapper.from_config(loss.get_config())
    assert again == loss and again.fn is losses.binary_crossentropy
    assert losses.deserialize(losses.serialize(loss)) == loss
    with pytest.raises(ValueError, match="Unknown loss function: 'nothing'"):
        LossFunctionWrapper.from_config({"fn": "nothing"})


def test_labels_stay_integers():
    """Above 2²⁴ float32 has no place for them."""
    assert losses.SparseCategoricalCrossentropy().takes_labels
    assert LossFunctionWrapper(losses.sparse_categorical_crossentropy).takes_labels
    assert not losses.MeanSquaredError().takes_labels


def test_a_subclass_of_the_user():
    class Doubled(losses.Loss):
        def call(self, y_true, y_pred):
            return 2 * ops.mean(y_pred - y_true, axis=-1)

    class Incomplete(losses.Loss):
        pass

    assert Doubled()([[1.0]], [[3.0]]).item() == 4
    first, second = Doubled(), Doubled()
    assert first.name != second.name and second.name.startswith("doubled")
    with pytest.raises(
        NotImplementedError, match=r"Incomplete needs a method call\(y_true, y_pred\)"
    ):
        Incomplete()([1.0], [2.0])


def test_dtype_of_a_policy():
    class Policy:
        compute_dtype = "float64"

    assert losses.MeanSquaredError(dtype=Policy()).dtype == "float64"
    with pytest.raises(ValueError, match="Unknown dtype: 'float33'. Did you mean 'float32'"):
        losses.MeanSquaredError(dtype="float33")
