"""What optimizers and schedules say about arguments that they cannot take."""

import numpy as np
import pytest

from gpunn import Variable, ops
from gpunn.optimizers import SGD, Adam, RMSprop, schedules

V = [1.0, 2.0]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Adam("0.1"), "learning_rate must be a number, .* received '0.1'"),
        (lambda: Adam(0.1, epsilon=None), "Adam: epsilon must be a number, received None"),
        (lambda: Adam(0.1, amsgrad="no"), "Adam: amsgrad must be True or False, received 'no'"),
        (lambda: SGD(0.1, nesterov=1), "SGD: nesterov must be True or False, received 1"),
        (lambda: RMSprop(rho="a"), "RMSprop: rho must be a number, received 'a'"),
        (lambda: schedules.ExponentialDecay(0.1, "a", 0.9), "decay_steps must be positive, .*'a'"),
        (lambda: schedules.CosineDecay(0.1, None), "decay_steps must be positive, received None"),
    ],
)
def test_settings(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_a_learning_rate_of_numpy_is_a_number():
    assert float(Adam(np.float64(0.5)).learning_rate) == 0.5
    assert float(Adam(np.array(0.5)).learning_rate) == 0.5


@pytest.mark.parametrize(
    "pairs",
    [None, 3, [ops.ones(2)], [(Variable(V), ops.ones(2))], [(ops.ones(2),)], [(None, None)]],
    ids=["None", "number", "gradients", "swapped", "singles", "no variable"],
)
def test_apply_gradients_takes_pairs(pairs):
    optimizer = SGD(0.1)
    with pytest.raises(TypeError, match=r"apply_gradients takes pairs .*zip\(gradients, variables"):
        optimizer.apply_gradients(pairs)
    assert not optimizer.built and int(optimizer.iterations) == 0


def test_apply_gradients_takes_any_iterable_of_pairs():
    v = Variable(V)
    optimizer = SGD(0.5)
    optimizer.apply_gradients(pair for pair in [(ops.ones(2), v)])
    optimizer.apply_gradients([[ops.ones(2), v]])
    np.testing.assert_allclose(v.numpy(), [0.0, 1.0])
