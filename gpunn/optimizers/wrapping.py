"""Wrapper: an optimizer that leaves the updates to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn.autodiff.variable import Variable
from gpunn.backend.protocol import Array
from gpunn.optimizers.optimizer import Optimizer


class Wrapper(Optimizer):
    """What optimizers of optimizers share: `variables` of their own, then those of the others."""

    @property
    def inner_optimizers(self) -> list[Optimizer]:
        """The optimizers that do the work."""
        raise NotImplementedError

    @property
    def variables(self) -> list[Variable]:
        return [*super().variables, *(v for o in self.inner_optimizers for v in o.variables)]

    def flattened(self) -> list[Optimizer]:
        return [self, *(found for o in self.inner_optimizers for found in o.flattened())]

    def _built_for(self, variables: Sequence[Variable]) -> None:
        self._trainable_variables = list(variables)
        self.built = True

    def _skip_by(self, run: Array) -> None:
        for inner in self.inner_optimizers:
            inner._skip_by(run)


def made(config: Any, custom_objects: Mapping[str, Any] | None) -> Any:
    """The optimizer of a config; one that is made already stays itself."""
    from gpunn.optimizers import deserialize

    return config if isinstance(config, Optimizer) else deserialize(config, custom_objects)
