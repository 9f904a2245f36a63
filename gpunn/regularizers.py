"""Regularizers: penalties on weights or outputs that join the loss, as in `keras.regularizers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn import config as _config
from gpunn import objects as _objects
from gpunn import ops
from gpunn.errors import ShapeError, unknown_name


class Regularizer(_objects.Configurable):
    """Gives a weight or output a penalty: ``regularizer(x) -> scalar``. Override `__call__`.

    >>> class Fourth(gpunn.regularizers.Regularizer):
    ...     def __call__(self, x):
    ...         return 0.01 * gpunn.ops.sum(x**4)
    """

    def __call__(self, x: Any) -> Any:
        """The penalty of x: a number, as a tensor of shape ()."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say what its penalty is. Override __call__(self, x)."
        )


def _factor(name: str, value: Any) -> float:
    """A finite, non-negative float."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not 0 <= value < float("inf")
    ):
        raise ValueError(f"{name} must be a finite, non-negative number, received {value!r}.")
    return float(value)


class L1L2(Regularizer):
    """l1 · Σ|x| + l2 · Σx²

    >>> layer = gpunn.layers.Dense(4, kernel_regularizer=gpunn.regularizers.L1L2(l1=1e-5, l2=1e-4))
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        self.l1 = _factor("l1", 0.0 if l1 is None else l1)
        self.l2 = _factor("l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Any) -> Any:
        return ops.add(
            ops.multiply(ops.sum(ops.absolute(x)), self.l1),
            ops.multiply(ops.sum(ops.square(x)), self.l2),
        )

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """l1 · Σ|x|"""

    def __init__(self, l1: float | None = 0.01):
        self.l1 = _factor("l1", 0.01 if l1 is None else l1)

    def __call__(self, x: Any) -> Any:
        return ops.multiply(ops.sum(ops.absolute(x)), self.l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(Regularizer):
    """l2 · Σx²"""

    def __init__(self, l2: float | None = 0.01):
        self.l2 = _factor("l2", 0.01 if l2 is None else l2)

    def __call__(self, x: Any) -> Any:
        return ops.multiply(ops.sum(ops.square(x)), self.l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """factor · Σ_{i<j} |u_i · u_j| / (n (n - 1) / 2), u_i = x_i / ‖x_i‖: the mean over all pairs.

    x_i are the n rows of the matrix x, or its columns (`mode`). A single one has no pair, so its
    penalty is 0.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        if mode not in ("rows", "columns"):
            raise unknown_name("mode", mode, ("rows", "columns"))
        self.factor, self.mode = _factor("factor", factor), mode

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise ShapeError(
                f"OrthogonalRegularizer: x must be a matrix (x {tuple(x.shape)}). "
                f"Reshape it to two axes."
            )
        U = ops.normalize(x if self.mode == "rows" else ops.transpose(x), epsilon=_config.epsilon())
        n = U.shape[0]
        # |u_i · u_i| = ‖u_i‖²: taking the diagonal away needs no mask.
        off_diagonal = ops.subtract(
            ops.sum(ops.absolute(ops.matmul(U, ops.transpose(U)))), ops.sum(ops.square(U))
        )
        return ops.multiply(off_diagonal, self.factor / max(1, n * (n - 1)))

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_TABLE = _objects.by_names(L1, L2, L1L2, OrthogonalRegularizer, l1_l2=L1L2)


def get(identifier: Any) -> Any:
    """The regularizer that a name, config, class or callable `x -> scalar` stands for.

    None stays None.

    >>> gpunn.regularizers.get("l2")
    """
    return _objects.lookup("regularizer", identifier, _TABLE)


def serialize(regularizer: Any) -> Any:
    """A plain description of a regularizer, which `deserialize` takes."""
    return _objects.serialize(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer of a config or name; `custom_objects` adds names of your own."""
    return _objects.lookup("regularizer", config, {**_TABLE, **(custom_objects or {})})
