"""Loss: from targets and predictions to one number; the base of all losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpunn import ops
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import INT32, as_tensor, convert, is_tensor, same_rank
from gpunn.losses.functions import FUNCTIONS, OF_CLASSES, OF_INTEGERS
from gpunn.losses.reduction import BOOL, check_reduction, reduce_losses
from gpunn.naming import to_snake_case, unique_name
from gpunn.objects import Configurable, lookup, serialize

AVERAGES = ("sum_over_batch_size", "mean", "mean_with_sample_weight")  # one mean, without weights


class Loss(Configurable):
    """Base of losses: a subclass says in `call` what each sample loses.

    `reduction`: see `gpunn.losses.reduction.reduce_losses`. `dtype` (a name or a policy; floatx by
    default) is that of the computation and of the result.

    >>> class Cubic(gpunn.losses.Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ops.mean(ops.abs(y_true - y_pred) ** 3, axis=-1)
    """

    takes_integers = False  # True: targets are integers, and stay int32
    takes_labels = False  # True: they are classes of y_pred, which can be checked before training

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ):
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self.reduction = check_reduction(reduction)
        self._has_dtype = dtype is not None
        self._dtype = as_dtype(getattr(dtype, "compute_dtype", dtype))

    @property
    def dtype(self) -> str:
        """The dtype of the computation and of the result."""
        return self._dtype.name

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced loss. The mask that a model put on `y_pred` counts as weights of 0 and 1."""
        mask = getattr(y_pred, "_keras_mask", None)
        x = convert(y_pred, self._dtype)
        t = convert(y_true, INT32 if self.takes_integers else self._dtype, x)
        losses = as_tensor(self.call(t, x), self._dtype)
        if losses._keras_mask is not None:
            mask = _both(mask, losses._keras_mask)
        plain = sample_weight is None and mask is None and 0 not in losses.shape
        if plain and self.reduction in AVERAGES:
            return ops.mean(losses)
        return reduce_losses(losses, sample_weight, mask, self.reduction)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """The loss of each sample or element: what is left after the last axis is gone."""
        raise NotImplementedError(f"{type(self).__name__} needs a method call(y_true, y_pred).")

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"name": self.name, "reduction": self.reduction}
        return {**config, "dtype": self.dtype} if self._has_dtype else config


def _both(mask: Any, other: Any) -> Any:
    """Where both masks hold; None holds everywhere."""
    if mask is None:
        return other
    mask = as_tensor(mask, BOOL, like=other)
    if mask.ndim == other.ndim + 1:
        mask = ops.squeeze(mask, -1)
    return ops.logical_and(mask, other)


class LossFunctionWrapper(Loss):
    """The `Loss` of a function `fn(y_true, y_pred, **kwargs)` that gives one loss a sample.

    Targets `(batch,)` of predictions `(batch, 1)` reach the function as `(batch, 1)`.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self.options = kwargs
        self.takes_integers, self.takes_labels = fn in OF_INTEGERS, fn in OF_CLASSES

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        if is_tensor(y_true) and is_tensor(y_pred):
            y_true, y_pred = same_rank(y_true, y_pred)
        values = self.fn(y_true, y_pred, **self.options)
        if not is_tensor(values):
            raise ValueError(
                f"The loss function '{self.name}' returned {values!r}. It must return a tensor "
                f"that is computed from y_pred with gpunn.ops."
            )
        return values

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fn": serialize(self.fn), **self.options}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LossFunctionWrapper:
        """The wrapper of a function, or of one of our own by its name."""
        return cls(**{**config, "fn": lookup("loss function", config["fn"], FUNCTIONS)})
