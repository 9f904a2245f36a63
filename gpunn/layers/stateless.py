"""Layers as functions without state: values of the variables go in and come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gpunn.autodiff import tape
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError


@contextmanager
def substituted(variables: Sequence[Variable], values: Sequence[Any]) -> Iterator[None]:
    """Inside, the variables have these values: ops take the given tensors in their place, so that
    gradients flow to them, and what is assigned is gone afterwards.
    """
    tensors = [v if isinstance(v, Tensor) else Tensor(asarray(v)) for v in values]
    for variable, tensor in zip(variables, tensors, strict=True):
        if variable.shape != tensor.shape:
            raise ShapeError(
                f"'{variable.path}' has shape {variable.shape}, received a value of shape "
                f"{tensor.shape}. The order is that of the layer's variables."
            )
    given = {
        id(variable): tensor
        for variable, tensor in zip(variables, tensors, strict=True)
        if tensor.tracked
    }
    before, outer = [v.data for v in variables], tape.state.substitute

    def value(x: Any) -> Any:
        x = given.get(id(x), x)
        return x if outer is None else outer(x)

    try:
        for variable, tensor in zip(variables, tensors, strict=True):
            variable.data = tensor.data.copy()
        tape.state.substitute = value
        with tape.uncast():
            yield
    finally:
        tape.state.substitute = outer
        for variable, array in zip(variables, before, strict=True):
            variable.data = array


def check_values(owner: str, kind: str, own: Sequence[Variable], values: Sequence[Any]) -> None:
    """That there is a value for each variable."""
    if len(own) != len(values):
        raise ValueError(
            f"{kind}_variables: '{owner}' has {len(own)} such variables, received "
            f"{len(values)} values."
        )


class Stateless:
    """`stateless_call` of layers."""

    def stateless_call(
        self: Any,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple:
        """(outputs, values of the other variables afterwards[, losses]) for these values.

        The layer itself does not change. Gradients flow to tensors among the trainable values.

        >>> y, others = layer.stateless_call(layer.trainable_variables, [], x)
        """
        if not self.built:
            raise ValueError(
                f"To call stateless_call, the layer '{self.name}' must be built: call it once, or "
                f"build()."
            )
        trainable, others = self.trainable_variables, self.non_trainable_variables
        for kind, own, values in (
            ("trainable", trainable, trainable_variables),
            ("non_trainable", others, non_trainable_variables),
        ):
            check_values(self.name, kind, own, values)
        with substituted([*trainable, *others], [*trainable_variables, *non_trainable_variables]):
            outputs = self(*args, **kwargs)
            after = [Tensor(v.data) for v in others]
            if not return_losses:
                return outputs, after
            return outputs, after, self.losses
