"""MultiOptimizer: parts of a model that learn by different optimizers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from gpunn.autodiff.variable import Variable
from gpunn.backend.devices import backend_of
from gpunn.backend.protocol import Array
from gpunn.objects import serialize
from gpunn.ops import update_counts
from gpunn.optimizers.optimizer import Optimizer
from gpunn.optimizers.wrapping import Wrapper, made


class OptimizerMap(MutableMapping):
    """Patterns of variables' paths -> optimizers; `default_optimizer` for all other paths.

    A key is a path, or a regular expression for the whole of it.

    >>> found = gpunn.optimizers.OptimizerMap(gpunn.optimizers.Adam())
    >>> found["encoder/.*"] = gpunn.optimizers.SGD(0.01)
    """

    def __init__(
        self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None
    ):
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(
                f"OptimizerMap: default_optimizer must be an Optimizer, received "
                f"{default_optimizer!r}."
            )
        if not isinstance(optimizer_map, dict | None):
            raise TypeError(
                f"OptimizerMap: optimizer_map must be a dict, received {optimizer_map!r}."
            )
        self.default_optimizer = default_optimizer
        self._optimizers: dict[str, Optimizer] = {}
        for key, optimizer in (optimizer_map or {}).items():
            self[key] = optimizer

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._optimizers:
            return self._optimizers[key]
        found = [pattern for pattern in self._optimizers if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ValueError(f"OptimizerMap: '{key}' matches several keys: {found}. Keep one.")
        return self._optimizers[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str):
            raise ValueError(f"OptimizerMap: a key must be a string, received {key!r}.")
        if key in self._optimizers:
            raise ValueError(f"OptimizerMap: there is an optimizer for '{key}' already.")
        _check_inner(optimizer, f"for '{key}'")
        self._optimizers[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self._optimizers[key]

    def __len__(self) -> int:
        return len(self._optimizers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizers)

    def __call__(self, variable: Variable) -> Optimizer:
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """The configs of the optimizers."""
        return {
            "default_optimizer": serialize(self.default_optimizer),
            "optimizer_map": {key: serialize(o) for key, o in self._optimizers.items()},
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> OptimizerMap:
        """A map with this config."""
        optimizers = {k: made(o, custom_objects) for k, o in config["optimizer_map"].items()}
        return cls(made(config["default_optimizer"], custom_objects), optimizers)


def _check_inner(optimizer: Any, what: str) -> None:
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, Wrapper):
        raise ValueError(
            f"MultiOptimizer: the optimizer {what} must be an Optimizer that wraps no other one, "
            f"received {optimizer!r}."
        )


class MultiOptimizer(Wrapper):
    """Each variable is updated by the optimizer that `optimizer_map(variable)` gives.

    `optimizer_map`: an `OptimizerMap`, or a function. `loss_scale_factor` is that of all.

    >>> slow, fast = gpunn.optimizers.SGD(1e-4), gpunn.optimizers.Adam(1e-3)
    >>> gpunn.optimizers.MultiOptimizer(gpunn.optimizers.OptimizerMap(slow, {".*head/.*": fast}))
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ):
        self._optimizers: list[Optimizer] = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._map = optimizer_map
        self._run: Array | None = None
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._number(optimizer, "by default")

    def _number(self, optimizer: Any, what: str) -> int:
        """The number of an optimizer, which is added to the others where it is new."""
        for i, known in enumerate(self._optimizers):
            if known is optimizer:
                return i
        _check_inner(optimizer, what)
        optimizer.loss_scale_factor = self.loss_scale_factor
        self._optimizers.append(optimizer)
        return len(self._optimizers) - 1

    @property
    def inner_optimizers(self) -> list[Optimizer]:
        return self._optimizers

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers of the parts."""
        return self._optimizers

    @property
    def loss_scale_factor(self) -> float | None:
        """That of all optimizers."""
        return self._scale

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._scale = value
        for optimizer in self._optimizers:
            optimizer.loss_scale_factor = value

    @property
    def learning_rate(self) -> Any:
        """There are several: ask the `optimizers`."""
        raise AttributeError(
            "A MultiOptimizer has no learning rate of its own: see those of its `optimizers`."
        )

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        raise AttributeError(
            "A MultiOptimizer has no learning rate of its own: set those of its `optimizers`."
        )

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        self._numbers = {id(v): self._number(self._map(v), f"for '{v.path}'") for v in variables}
        for optimizer, part in zip(self._optimizers, self._parts(variables), strict=True):
            if part:
                optimizer.build([variables[i] for i in part])
        self._run = backend_of(self._iterations.data).asarray([True])
        self._built_for(variables)

    def _parts(self, variables: Sequence[Variable]) -> list[list[int]]:
        """The positions of each optimizer's variables."""
        parts: list[list[int]] = [[] for _ in self._optimizers]
        for i, variable in enumerate(variables):
            if id(variable) not in self._numbers:
                raise ValueError(
                    f"{self.name} was built for other variables and does not know "
                    f"'{variable.path}'. Make a new optimizer for another model."
                )
            parts[self._numbers[id(variable)]].append(i)
        return parts

    def gradient_buffers(self, variables: Sequence[Variable]) -> list[Array]:
        if not self.built:
            self.build(variables)
        places: list[Any] = [None] * len(variables)
        for optimizer, part in zip(self._optimizers, self._parts(variables), strict=True):
            found = optimizer.gradient_buffers([variables[i] for i in part]) if part else []
            for i, place in zip(part, found, strict=True):
                places[i] = place
        return places

    def _shares(
        self, variables: Sequence[Variable], gradients: Sequence[Any]
    ) -> Iterator[tuple[Optimizer, list[Variable], list[Any]]]:
        """The optimizers that have variables here, with these and their gradients."""
        for optimizer, part in zip(self._optimizers, self._parts(variables), strict=True):
            if part:
                yield optimizer, [variables[i] for i in part], [gradients[i] for i in part]

    def _gradient_runs(
        self, variables: Sequence[Variable], gradients: Sequence[Any]
    ) -> list[Array]:
        shares = self._shares(variables, gradients)
        return [g for optimizer, *share in shares for g in optimizer._gradient_runs(*share)]

    def _update(self, variables: Sequence[Variable], gradients: Sequence[Any]) -> None:
        for optimizer, *share in self._shares(variables, gradients):
            optimizer.apply_buffers(*share)
        update_counts.increment(self._run, self._iterations.data)

    def _skip_by(self, run: Array) -> None:
        self._run = run
        for optimizer in self._optimizers:
            if optimizer.built:
                optimizer._skip_by(run)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        for optimizer, variables, _ in self._shares(var_list, var_list):
            optimizer.finalize_variable_values(variables)

    def get_config(self) -> dict[str, Any]:
        return {
            "optimizer_map": serialize(self._map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        described = config["optimizer_map"]
        if isinstance(described, Mapping) and not isinstance(described, OptimizerMap):
            described = OptimizerMap.from_config(described.get("config", described), custom_objects)
        return cls(**{**config, "optimizer_map": described})
