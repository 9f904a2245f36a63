"""Where a symbolic tensor begins."""

from __future__ import annotations

from gpunn.autodiff.symbolic import SymbolicTensor


def get_source_inputs(tensor: SymbolicTensor) -> list[SymbolicTensor]:
    """The inputs from which a symbolic tensor is computed, in the order in which they are met.

    >>> gpunn.utils.get_source_inputs(model.outputs[0])
    """
    if not isinstance(tensor, SymbolicTensor):
        raise TypeError(
            f"get_source_inputs takes a symbolic tensor, as Input() makes, received a "
            f"{type(tensor).__name__}."
        )
    found, seen, pending = [], set(), [tensor]
    while pending:
        x = pending.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        before = x.node.inputs if x.node is not None else []
        if not before:
            found.append(x)
        pending += reversed(before)
    return found
