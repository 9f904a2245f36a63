"""StackedRNNCells: several cells as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.layers.layer import Layer
from gpunn.layers.rnn_states import check_cell, output_size
from gpunn.objects import serialize


class StackedRNNCells(Layer):
    """Several cells as one: each takes the output of the one before; states are a list of theirs.

    >>> gpunn.layers.StackedRNNCells([gpunn.layers.LSTMCell(8), gpunn.layers.LSTMCell(4)])
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any):
        super().__init__(**kwargs)
        if not cells:
            raise ValueError("StackedRNNCells: there are no cells. Give at least one.")
        for cell in cells:
            check_cell(cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The output size of the last cell."""
        return output_size(self.cells[-1])

    def build(self, input_shape: SymbolicShape) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
                cell.built = True
            input_shape = (input_shape[0], output_size(cell))

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states of each cell before the first step."""
        return [self._initial(cell, batch_size) for cell in self.cells]

    def _initial(self, cell: Any, batch_size: int) -> Any:
        if hasattr(cell, "get_initial_state"):
            return cell.get_initial_state(batch_size=batch_size)
        size, dtype = cell.state_size, self.compute_dtype
        if isinstance(size, int):
            return ops.zeros((batch_size, size), dtype)
        return [ops.zeros((batch_size, n), dtype) for n in size]

    def call(self, inputs: Any, states: Any) -> Any:
        new = []
        for cell, own in zip(self.cells, states, strict=True):
            nested = isinstance(own, (list, tuple))
            given = list(own) if nested else [own]
            inputs, found = (cell if callable(cell) else cell.call)(inputs, given)
            found = list(found) if isinstance(found, (list, tuple)) else [found]
            new.append(found if nested else found[0])
        return inputs, new

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": [serialize(cell) for cell in self.cells]}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        from gpunn.layers import deserialize

        given = config["cells"]
        cells = [deserialize(c, custom_objects) if isinstance(c, Mapping) else c for c in given]
        return cls(**{**config, "cells": cells})
