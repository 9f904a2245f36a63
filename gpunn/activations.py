"""Activation functions y = f(x), under the names and with the defaults of `keras.activations`.

Elementwise but for softmax, log_softmax, sparsemax and glu, which work along an axis. The output
has the shape of x (glu: half of it along the axis) and its dtype; integers are computed in floatx.

>>> gpunn.activations.relu([-1.0, 0.0, 2.0])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpunn import objects as _objects
from gpunn import ops
from gpunn.ops.blocks import glu

# --- piecewise linear ---


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """y = max(x, 0); in general max_value where x ≥ max_value, x where threshold < x < max_value,
    negative_slope · (x - threshold) below.

    >>> gpunn.activations.relu([-2.0, 1.0, 9.0], negative_slope=0.1, max_value=6.0)
    """
    if max_value is not None and max_value < 0:
        raise ValueError(f"relu: max_value must not be negative, received {max_value!r}.")
    if threshold == 0 and negative_slope == 0:
        y = ops.relu(x)
    elif threshold == 0 and max_value is None:
        return ops.leaky_relu(x, negative_slope=float(negative_slope))
    else:
        y = ops.threshold(x, threshold=float(threshold), default_value=0.0)
    if max_value is not None:
        y = ops.minimum(y, float(max_value))
    if negative_slope == 0:
        return y
    below = ops.minimum(ops.subtract(x, float(threshold)), 0.0)
    return ops.add(y, ops.multiply(below, float(negative_slope)))


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """y = x if x > 0, else negative_slope · x"""
    return ops.leaky_relu(x, negative_slope=float(negative_slope))


def relu6(x: Any) -> Any:
    """y = min(max(x, 0), 6)"""
    return ops.relu6(x)


def hard_sigmoid(x: Any) -> Any:
    """y = min(max(x/6 + 1/2, 0), 1)"""
    return ops.hard_sigmoid(x)


def hard_silu(x: Any) -> Any:
    """y = x · hard_sigmoid(x), also called hard swish.  arXiv:1905.02244"""
    return ops.hard_silu(x)


def hard_tanh(x: Any) -> Any:
    """y = min(max(x, -1), 1)"""
    return ops.hard_tanh(x)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """y = x where |x| > threshold, else 0"""
    return ops.hard_shrink(x, threshold=float(threshold))


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """y = sign(x) · max(|x| - threshold, 0)"""
    return ops.soft_shrink(x, threshold=float(threshold))


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """y = x where x > threshold, else default_value"""
    return ops.threshold(x, threshold=float(threshold), default_value=float(default_value))


def sparse_sigmoid(x: Any) -> Any:
    """y = min(max((x + 1)/2, 0), 1).  arXiv:1901.02324"""
    return ops.sparse_sigmoid(x)


def linear(x: Any) -> Any:
    """y = x"""
    return x


# --- smooth ---


def sigmoid(x: Any) -> Any:
    """y = 1 / (1 + e^-x)"""
    return ops.sigmoid(x)


def tanh(x: Any) -> Any:
    """y = tanh(x)"""
    return ops.tanh(x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """y = x if x > 0, else alpha · (e^x - 1).  arXiv:1511.07289"""
    return ops.elu(x, alpha=float(alpha))


def celu(x: Any, alpha: float = 1.0) -> Any:
    """y = max(x, 0) + min(0, alpha · (e^(x/alpha) - 1)).  arXiv:1704.07483"""
    return ops.celu(x, alpha=float(alpha))


def selu(x: Any) -> Any:
    """y = 1.0507 · elu(x, 1.6733), to go with LecunNormal and AlphaDropout.  arXiv:1706.02515"""
    return ops.selu(x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """y = x Φ(x) = x/2 · (1 + erf(x/√2)); `approximate` takes its tanh form.  arXiv:1606.08415"""
    return ops.gelu(x, approximate=approximate)


def silu(x: Any) -> Any:
    """y = x · sigmoid(x), also called swish.  arXiv:1702.03118"""
    return ops.silu(x)


def softplus(x: Any) -> Any:
    """y = log(1 + e^x)"""
    return ops.softplus(x)


def softsign(x: Any) -> Any:
    """y = x / (1 + |x|)"""
    return ops.softsign(x)


def tanh_shrink(x: Any) -> Any:
    """y = x - tanh(x)"""
    return ops.tanh_shrink(x)


def exponential(x: Any) -> Any:
    """y = e^x"""
    return ops.exp(x)


def mish(x: Any) -> Any:
    """y = x · tanh(softplus(x)).  arXiv:1908.08681"""
    return ops.mish(x)


def log_sigmoid(x: Any) -> Any:
    """y = log(sigmoid(x)) = -softplus(-x)"""
    return ops.log_sigmoid(x)


def sparse_plus(x: Any) -> Any:
    """y = 0 below -1, x above 1, (x + 1)²/4 between"""
    return ops.sparse_plus(x)


def squareplus(x: Any, b: float = 4) -> Any:
    """y = (x + √(x² + b)) / 2.  arXiv:2112.11687"""
    return ops.squareplus(x, b=float(b))


# --- along an axis ---

Axis = int | Sequence[int]


def softmax(x: Any, axis: Axis = -1) -> Any:
    """y_i = e^(x_i) / Σ_j e^(x_j) along one axis or several

    >>> gpunn.activations.softmax([[1.0, 2.0, 3.0]])
    """
    if isinstance(axis, int):
        return ops.softmax(x, axis=axis)
    return ops.exp(log_softmax(x, axis))


def log_softmax(x: Any, axis: Axis = -1) -> Any:
    """y_i = x_i - log Σ_j e^(x_j) along one axis or several"""
    if isinstance(axis, int):
        return ops.log_softmax(x, axis=axis)
    return ops.subtract(x, ops.logsumexp(x, axis=tuple(axis), keepdims=True))


def sparsemax(x: Any, axis: int = -1) -> Any:
    """y_i = max(x_i - τ, 0) with τ such that Σ_i y_i = 1 along the axis.  arXiv:1602.02068"""
    return ops.sparsemax(x, axis=axis)


# --- by name ---

hard_swish, swish = hard_silu, silu

_TABLE: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh,
        leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu,
        soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax,
        squareplus, tanh, tanh_shrink, threshold,
    )
} | {"hard_swish": hard_silu, "swish": silu}  # fmt: skip


def get(identifier: Any) -> Callable[..., Any]:
    """The function of a name, or the callable itself; None is `linear`.

    >>> gpunn.activations.get("relu") is gpunn.activations.relu
    True
    """
    return linear if identifier is None else _objects.lookup("activation", identifier, _TABLE)


def serialize(activation: Callable[..., Any]) -> Any:
    """The name of a function, or the config of a configurable object.

    A function of your own is found again by `custom_objects`; one that has no name, or a name that
    means another function here, raises a ``ValueError``.
    """
    description = _objects.serialize(activation)
    registered = isinstance(description, str) and _objects.get_registered_object(description)
    if registered is activation:
        return description
    if isinstance(description, str) and (
        not description.isidentifier() or _TABLE.get(description, activation) is not activation
    ):
        raise ValueError(
            f"The activation {description!r} cannot be found again by this name. Define it with "
            f"def and a name of its own, and load it with custom_objects={{name: function}}."
        )
    return description


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The activation of a name or config; `custom_objects` adds names of your own."""
    return _objects.lookup("activation", config, {**_TABLE, **(custom_objects or {})})
