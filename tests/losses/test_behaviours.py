"""Behaviours 1 to 6 of shared/KERAS_BEHAVIOURS.md, each for every loss of the package."""

import inspect

import numpy as np
import pytest

from gpunn import losses, metrics, ops
from gpunn.losses.functions import FUNCTIONS
from gpunn.losses.reduction import REDUCTIONS
from gpunn.naming import to_snake_case
from tests.losses.catalogue import CASES, LABELS, LOSSES, NAMES, OVERLAP, data, function

every_loss = pytest.mark.parametrize("name", NAMES)
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.5], "float32")


def by_rows(name, reduction="sum_over_batch_size", **options):
    """The loss with one value for each of the rows."""
    rows = {"axis": -1} if name in OVERLAP else {}
    return getattr(losses, name)(reduction=reduction, **rows, **options)


def masked(x, mask):
    x = ops.convert_to_tensor(x)
    x._keras_mask = ops.convert_to_tensor(mask)
    return x


def test_no_loss_is_missing_here():
    bases = {"Loss", "LossFunctionWrapper", "StandardLoss"}
    classes = {
        name
        for name, value in vars(losses).items()
        if inspect.isclass(value) and issubclass(value, losses.Loss) and name not in bases
    }
    assert classes == set(NAMES)
    assert {LOSSES[name][0] for name in NAMES} == {f.__name__ for f in FUNCTIONS.values()}


@every_loss
def test_behaviour_01_reductions(name):
    """Σ v w by the number of elements, or by Σ w; other words than Keras' raise."""
    y_true, y_pred = data(name)
    v = by_rows(name, None)(y_true, y_pred).numpy().astype("float64")
    assert v.shape == (4,)
    w = WEIGHTS.astype("float64")
    expected = {
        "sum_over_batch_size": (np.sum(v * w) / 4, np.sum(v) / 4),
        "mean": (np.sum(v * w) / 4, np.sum(v) / 4),
        "mean_with_sample_weight": (np.sum(v * w) / np.sum(w), np.sum(v) / 4),
        "sum": (np.sum(v * w), np.sum(v)),
        "none": (v * w, v),
        None: (v * w, v),
    }
    assert set(expected) == set(REDUCTIONS)
    for reduction, (weighted, plain) in expected.items():
        loss = by_rows(name, reduction)
        np.testing.assert_allclose(loss(y_true, y_pred, WEIGHTS).numpy(), weighted, rtol=1e-5)
        np.testing.assert_allclose(loss(y_true, y_pred).numpy(), plain, rtol=1e-5)
    with pytest.raises(ValueError, match="Unknown reduction: 'sum_over_batch'. Did you mean"):
        by_rows(name, "sum_over_batch")


@every_loss
def test_behaviour_02_masks(name):
    """Only what is valid counts below; where nothing does, the loss is 0."""
    y_true, y_pred = data(name)
    v, valid = by_rows(name, None)(y_true, y_pred).numpy(), np.array([True, False, True, True])
    v, w = v.astype("float64"), WEIGHTS.astype("float64")
    x = masked(y_pred, valid)
    found = by_rows(name)(y_true, x).item()
    assert found == pytest.approx(v[valid].sum() / 3, rel=1e-5)
    found = by_rows(name)(y_true, x, WEIGHTS).item()
    assert found == pytest.approx((v * w)[valid].sum() / 3, rel=1e-5)
    found = by_rows(name, "mean_with_sample_weight")(y_true, x, WEIGHTS).item()
    assert found == pytest.approx((v * w)[valid].sum() / w[valid].sum(), rel=1e-5)
    nothing = masked(y_pred, np.zeros(4, bool))
    for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum"):
        assert by_rows(name, reduction)(y_true, nothing).item() == 0
        assert getattr(losses, name)(reduction=reduction)(y_true, nothing).item() == 0
        assert by_rows(name, reduction)(y_true, y_pred, np.zeros(4)).item() == 0


@every_loss
@pytest.mark.filterwarnings("ignore:categorical_crossentropy")
def test_behaviour_03_a_trailing_axis_of_1(name):
    """In the bare functions, and of weights and masks."""
    if name in LABELS:
        y_true, y_pred = data(name)
        pairs = [(y_true, y_pred), (y_true[:, None], y_pred)][: 1 if name == "CTC" else 2]
    else:
        y_true, y_pred = data(name, (4, 1))
        pairs = [(y_true, y_pred), (y_true, y_pred[:, 0]), (y_true[:, 0], y_pred)]
    options = {"q": 0.7} if "Generalized" in name else {}
    found = [function(name)(t, x, **options).numpy() for t, x in pairs]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    valid = np.array([True, False, True, True])
    results = [
        by_rows(name)(t, masked(x, m), w).item()
        for t, x in pairs
        for m in (valid, valid[:, None])
        for w in (WEIGHTS, WEIGHTS[:, None])
    ]
    np.testing.assert_allclose(results, results[0], rtol=1e-6)


class Policy:
    """What counts of a DTypePolicy."""

    compute_dtype = "float64"


@every_loss
def test_behaviour_04_results_are_floatx(name):
    """Of ints and of float64; other dtypes by name or by policy."""
    y_true, y_pred = data(name)
    wide = np.float64(y_pred)
    for t, x in (
        (y_true, wide),
        (np.int64(y_true), np.ones(y_pred.shape, "int64")),
        (y_true, y_pred),
    ):
        assert getattr(losses, name)()(t, x).dtype == "float32"
        assert getattr(losses, name)(reduction=None)(t, x).dtype == "float32"
    by_name = getattr(losses, name)(dtype="float64")(y_true, wide)
    by_policy = getattr(losses, name)(dtype=Policy())(y_true, wide)
    assert by_name.dtype == by_policy.dtype == "float64" and by_name.item() == by_policy.item()
    assert by_name.item() == pytest.approx(getattr(losses, name)()(y_true, y_pred).item(), rel=1e-4)
    assert getattr(losses, name)(dtype="float16")(y_true, y_pred).dtype == "float16"


@pytest.mark.parametrize(("name", "options"), CASES)
def test_behaviour_05_configs(name, options):
    """Round trips are identical, tuples included."""
    cls = getattr(losses, name)
    defaults = {
        key: p.default
        for key, p in inspect.signature(cls).parameters.items()
        if key not in ("dtype", "name", "reduction")
    }
    loss = cls(reduction="sum", name="mine", **options)
    config = loss.get_config()
    assert config == {"name": "mine", "reduction": "sum", **defaults, **options}
    assert cls.from_config(config) == loss and cls.from_config(config).get_config() == config
    assert losses.deserialize(losses.serialize(loss)) == loss
    for key, value in options.items():
        assert type(config[key]) is type(value)
    wide = cls(dtype="float64", **options)
    assert wide.get_config()["dtype"] == "float64" == cls.from_config(wide.get_config()).dtype
    assert "dtype" not in config


def test_behaviour_05_what_the_list_says():
    assert set(losses.MeanSquaredError().get_config()) == {"name", "reduction"}
    assert set(losses.BinaryCrossentropy().get_config()) == {
        "name", "reduction", "from_logits", "label_smoothing", "axis",
    }  # fmt: skip


@every_loss
def test_behaviour_06_look_up(name):
    """Snake case is the function, a class name an instance; None stays None."""
    cls = getattr(losses, name)
    assert type(losses.get(name)) is cls and type(losses.get(cls)) is cls
    if name == "CategoricalGeneralizedCrossEntropy":  # its function has no default for q
        assert type(losses.get(LOSSES[name][0])) is cls
    else:
        assert losses.get(LOSSES[name][0]) is function(name)
    loss = cls()
    assert losses.get(loss) is loss
    assert losses.get({"class_name": name, "config": loss.get_config()}) == loss
    for wrong in (name[:-1], LOSSES[name][0] + "s"):
        with pytest.raises(ValueError, match="Unknown loss: .*Did you mean"):
            losses.get(wrong)


def test_behaviour_06_aliases():
    assert losses.get(None) is metrics.get(None) is None
    aliases = {
        "mse": "mean_squared_error", "mae": "mean_absolute_error", "bce": "binary_crossentropy",
        "mape": "mean_absolute_percentage_error", "msle": "mean_squared_logarithmic_error",
        "kld": "kl_divergence",
    }  # fmt: skip
    for alias, full in aliases.items():
        fn = getattr(losses, full)
        assert losses.get(alias) is losses.get(alias.upper()) is fn
        assert getattr(losses, alias) is getattr(losses, alias.upper()) is fn
    assert losses.get("logcosh") is losses.logcosh is losses.log_cosh
    for alias in ("mse", "mae", "mape", "msle", "bce"):
        assert type(metrics.get(alias)).__name__ == type(metrics.get(aliases[alias])).__name__
        assert to_snake_case(type(metrics.get(alias)).__name__) == aliases[alias]
    with pytest.raises(ValueError, match="Unknown metric: 'mpae'"):
        metrics.get("mpae")
