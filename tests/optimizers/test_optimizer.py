"""What all optimizers share: missing gradients, shared variables, learning rates, errors."""

import warnings

import numpy as np
import pytest

import gpunn
from gpunn import layers, optimizers
from gpunn.errors import ShapeError

from .cases import METHODS


def ones(v):
    return np.ones(v.shape, v.dtype)


def two():
    return gpunn.Variable([1.0, 2.0], name="a"), gpunn.Variable([[3.0]], name="b")


# --- gradients that are missing or wrong ---


@pytest.mark.parametrize("name", METHODS)
def test_a_missing_gradient_warns_once_and_leaves_the_variable(name):
    a, b = two()
    optimizer = getattr(optimizers, name)(0.1, weight_decay=0.1)
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables \['b'\]"):
        optimizer.apply_gradients([(ones(a), a), (None, b)])
    assert b.numpy() == 3 and (a.numpy() < [1, 2]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.apply_gradients([(ones(a), a), (None, b)])
    optimizer.apply_gradients([(ones(a), a), (ones(b), b)])
    assert b.numpy() < 3


@pytest.mark.parametrize("name", METHODS)
def test_no_gradient_at_all_raises_and_counts_nothing(name):
    a, b = two()
    optimizer = getattr(optimizers, name)(0.1)
    with pytest.raises(ValueError, match="No gradients provided for any variable"):
        optimizer.apply_gradients([(None, a), (None, b)])
    assert int(optimizer.iterations) == 0
    np.testing.assert_array_equal(a.numpy(), [1, 2])


def test_wrong_gradients():
    a, b = two()
    optimizer = optimizers.SGD(0.1)
    with pytest.raises(
        ShapeError, match=r"gradient of 'b' has shape \(2,\), the variable \(1, 1\)"
    ):
        optimizer.apply_gradients([(ones(a), a), (np.ones(2), b)])
    with pytest.raises(ValueError, match="received 1 gradients for 2 variables"):
        optimizer.apply([ones(a)], [a, b])
    np.testing.assert_array_equal(a.numpy(), [1, 2])
    assert int(optimizer.iterations) == 0


# --- which variables ---


def test_variables_of_another_model():
    a, b = two()
    optimizer = optimizers.Adam(0.1)
    optimizer.apply_gradients([(ones(a), a)])
    with pytest.raises(ValueError, match=r"does not know 'b'.*compile\(\) again"):
        optimizer.apply_gradients([(ones(b), b)])
    assert int(optimizer.iterations) == 1


def test_one_optimizer_for_two_models_built_on_both():
    m, n = (gpunn.Sequential([layers.Input((2,)), layers.Dense(1)]) for _ in range(2))
    optimizer = optimizers.SGD(0.5)
    optimizer.build(m.trainable_variables + n.trainable_variables)
    before = n.get_weights()
    optimizer.apply_gradients([(ones(v), v) for v in m.trainable_variables])
    np.testing.assert_array_equal(n.get_weights()[0], before[0])
    optimizer.apply_gradients([(ones(v), v) for v in n.trainable_variables])
    np.testing.assert_allclose(n.get_weights()[0], before[0] - 0.5, rtol=1e-6)


def test_two_optimizers_take_turns_on_the_same_variables():
    """Each has its own flat buffer; the values move with the variable."""
    a = gpunn.Variable([1.0, 2.0])
    b = gpunn.Variable([5.0])
    first, second = optimizers.SGD(0.1), optimizers.SGD(0.01)
    for _ in range(3):
        first.apply_gradients([(ones(a), a), (ones(b), b)])
        second.apply_gradients([(ones(a), a)])
    np.testing.assert_allclose(a.numpy(), [1 - 0.33, 2 - 0.33], rtol=1e-6)
    np.testing.assert_allclose(b.numpy(), [4.7], rtol=1e-6)


def test_assigned_values_are_those_the_next_update_starts_from():
    a, b = two()
    optimizer = optimizers.SGD(1.0)
    optimizer.apply_gradients([(ones(a), a), (ones(b), b)])
    a.assign([10, 20])
    optimizer.apply_gradients([(ones(a), a), (ones(b), b)])
    np.testing.assert_array_equal(a.numpy(), [9, 19])
    np.testing.assert_array_equal(b.numpy(), [[1]])


def test_a_part_of_the_variables_in_any_order():
    vs = [gpunn.Variable(np.zeros(n, "float32")) for n in (3, 40, 1, 7)]
    optimizer = optimizers.SGD(1.0)
    optimizer.apply_gradients([(ones(v), v) for v in vs])
    optimizer.apply_gradients([(ones(v), v) for v in (vs[3], vs[1])])
    assert [float(v.numpy()[0]) for v in vs] == [-1, -2, -1, -2]


def test_slots_start_and_stay_zero_between_the_variables():
    """The gaps that align the flat buffers never change."""
    vs = [gpunn.Variable(np.ones(n, "float32")) for n in (3, 5)]
    optimizer = optimizers.Adam(0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.apply_gradients([(ones(v), v) for v in vs])
    (group,) = optimizer._flat.groups
    gap = np.ones(group.size, bool)
    for start, end in group.bounds:
        gap[start:end] = False
    assert gap.any()
    for flat in (group.weights, group.gradients, *(s[0] for s in optimizer._slots.values())):
        assert not flat[gap].any()


def test_constraints_hold_after_each_update():
    w = gpunn.Variable(np.ones((3, 2), "float32"))
    w.constraint = gpunn.constraints.NonNeg()
    optimizers.SGD(5.0).apply_gradients([(np.array([[1, -1]] * 3, "float32"), w)])
    np.testing.assert_array_equal(w.numpy(), [[0, 6]] * 3)


# --- learning rate ---


def test_learning_rate_can_be_set_between_updates():
    a, _ = two()
    optimizer = optimizers.SGD(0.1)
    optimizer.apply_gradients([(ones(a), a)])
    optimizer.learning_rate = 1.0
    optimizer.apply_gradients([(ones(a), a)])
    np.testing.assert_allclose(a.numpy(), [-0.1, 0.9], rtol=1e-5)
    optimizer.learning_rate.assign(0.0)
    optimizer.apply_gradients([(ones(a), a)])
    np.testing.assert_allclose(a.numpy(), [-0.1, 0.9], rtol=1e-5)
    assert optimizer.get_config()["learning_rate"] == 0.0


def test_learning_rate_of_a_function_is_asked_at_each_update():
    rates = iter([1.0, 0.5, 0.25, 0.125])
    a, _ = two()
    optimizer = optimizers.SGD(lambda: next(rates))
    optimizer.apply_gradients([(ones(a), a)])
    np.testing.assert_allclose(a.numpy(), [0, 1])
    optimizer.apply_gradients([(ones(a), a)])
    np.testing.assert_allclose(a.numpy(), [-0.5, 0.5])


# --- by name, errors ---


@pytest.mark.parametrize("name", ["adam_w", *METHODS, *(name.lower() for name in METHODS)])
def test_get_by_name(name):
    assert type(optimizers.get(name)).__name__.lower() == name.lower().replace("_", "")


def test_get_by_class_config_and_instance():
    assert isinstance(optimizers.get(optimizers.Adam), optimizers.Adam)
    given = optimizers.SGD(0.3, momentum=0.5)
    assert optimizers.get(given) is given
    again = optimizers.deserialize(optimizers.serialize(given))
    assert again.get_config() == given.get_config()


def test_names_are_unique_snake_case():
    gpunn.utils.clear_session()
    assert [optimizers.AdamW().name, optimizers.AdamW().name] == ["adam_w", "adam_w_1"]
    assert optimizers.SGD(name="mine").iterations.path == "mine/iteration"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.get("adan"), "Did you mean 'adam'"),
        (lambda: optimizers.get(3), "Cannot interpret 3"),
        (lambda: optimizers.Adam(lr=0.1), "argument of Adam: 'lr'.*learning_rate"),
        (
            lambda: optimizers.Adam(0.1, beta1=0.8),
            "argument of Adam: 'beta1'. Did you mean 'beta_1'",
        ),
        (lambda: optimizers.Optimizer(0.1, nam="a"), "argument of Optimizer: 'nam'.*'name'"),
        (lambda: optimizers.SGD("fast"), "learning_rate must be a number, .*received 'fast'"),
        (lambda: optimizers.SGD(None), "learning_rate must be a number"),
        (lambda: optimizers.SGD(-1), "must not be negative, received -1.0"),
        (lambda: optimizers.SGD(float("nan")), "must not be negative, received nan"),
        (lambda: optimizers.SGD(momentum=1.5), r"momentum must lie in \[0, 1\], received 1.5"),
        (lambda: optimizers.Adam(beta_1=1), r"Adam: beta_1 must lie in \[0, 1\), received 1"),
        (lambda: optimizers.Nadam(beta_2=-1), r"Nadam: beta_2 must lie in \[0, 1\)"),
        (lambda: optimizers.Lion(beta_1=0), "Lion: beta_1 must be above 0"),
        (lambda: optimizers.Ftrl(beta=0.1, learning_rate_power=1), "power must not be positive"),
        (
            lambda: optimizers.Ftrl(l1_regularization_strength=-1),
            "Ftrl: l1_regularization_strength must be a number of at least 0, received -1",
        ),
        (lambda: optimizers.SGD(weight_decay=-1), "weight_decay must be a number of at least 0"),
        (
            lambda: optimizers.SGD(use_ema=True, ema_momentum=2),
            r"ema_momentum must lie in \[0, 1\]",
        ),
        (
            lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=1.5),
            "ema_overwrite_frequency must be a positive integer or None, received 1.5",
        ),
        (
            lambda: optimizers.SGD(gradient_accumulation_steps=1),
            "gradient_accumulation_steps must be an integer of at least 2, received 1",
        ),
        (lambda: optimizers.SGD(loss_scale_factor=0), "loss_scale_factor must be positive"),
        (lambda: optimizers.SGD().apply([1.0]), "which variables.*build"),
        (lambda: optimizers.Adam(clipnorm=0), "clipnorm must be positive"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), "At most one of clipnorm"),
        (lambda: optimizers.Adam(clipnorm=1, global_clipnorm=1), "At most one of clipnorm"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_not_there():
    assert optimizers.get(None) is None
    with pytest.raises(TypeError, match="too many positional arguments"):
        optimizers.Lion(*range(20))
    optimizers.SGD().apply([], [])  # nothing to do
    assert optimizers.Adam.__init__.__qualname__ == "Adam.__init__"


def test_exclusions_come_before_the_first_update():
    a, _ = two()
    optimizer = optimizers.SGD(0.1)
    optimizer.apply_gradients([(ones(a), a)])
    with pytest.raises(ValueError, match="before the first update"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


@pytest.mark.parametrize(
    "make",
    [
        lambda zero, one: optimizers.Adam(0.1, beta_1=zero),
        lambda zero, one: optimizers.RMSprop(0.1, rho=zero),
        lambda zero, one: optimizers.SGD(0.1, momentum=one, nesterov=True),
    ],
    ids=["adam", "rmsprop", "sgd"],
)
def test_whole_numbers_as_settings_of_large_variables(make):
    """Long buffers take another way than short ones."""
    found = []
    for zero, one in ((0, 1), (0.0, 1.0)):
        variable = gpunn.Variable(np.linspace(-1, 1, 20000, dtype="float32"))
        make(zero, one).apply([np.linspace(1, 2, 20000, dtype="float32")], [variable])
        found.append(variable.numpy())
    np.testing.assert_array_equal(*found)
    assert (found[0] < np.linspace(-1, 1, 20000)).all()
