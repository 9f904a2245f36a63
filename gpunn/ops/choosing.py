"""One of several: select by conditions, switch by a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.ops.compare import where
from gpunn.ops.composite import later
from gpunn.ops.creation import convert_to_tensor
from gpunn.structure import map_structure


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """y = the element of the choice whose condition is the first to hold; `default` where none is.

    All of them broadcast, and are cast to their common dtype.

    >>> gpunn.ops.select([[True, False], [True, True]], [[1, 2], [3, 4]])  # 1 4
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(
            f"select: each condition needs a choice, received {len(condlist)} conditions and "
            f"{len(choicelist)} choices."
        )
    y = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        y = where(condition, choice, y)
    return y


def switch(index: Any, branches: Sequence[Callable], *operands: Any) -> Any:
    """branches[index](*operands), the index clamped to the branches.

    The operands become tensors. A tensor as index is read on the host: only the chosen branch runs,
    so that a step that calls this is not recorded. To choose on the device, compute the branches
    and `select`. Of a symbolic index, the first branch says what the results look like.

    >>> gpunn.ops.switch(1, [lambda x: x + 1, lambda x: x * 2], 5.0)  # 10.0
    """
    if not len(branches):
        raise ValueError("switch: there are no branches. Give at least one function.")
    operands = tuple(map_structure(convert_to_tensor, list(operands)))
    if isinstance(index, SymbolicTensor):
        return later(switch, (index, branches, *operands), {}, branches[0](*operands))
    number = int(Tensor.numpy(index) if isinstance(index, Tensor) else index)
    return branches[min(max(number, 0), len(branches) - 1)](*operands)
