"""OptimizerState: the variables of an optimizer, in Keras' order."""

from __future__ import annotations

import warnings
from collections.abc import MutableMapping, Sequence
from typing import Any

import numpy as np

from gpunn import initializers
from gpunn.autodiff.variable import Variable, name_scope
from gpunn.errors import ShapeError, unknown_name
from gpunn.objects import Configurable

_AGGREGATIONS = ("none", "mean", "sum", "only_first_replica")


class OptimizerState(Configurable):
    """What an optimizer keeps from step to step: variables that are made by it or set on it."""

    name: str
    _variables: list[Variable]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, Variable):
            self._track(value)

    def _track(self, variable: Variable) -> None:
        self._check_initialized()
        if not any(variable is known for known in self._variables):
            self._variables.append(variable)

    def _check_initialized(self) -> None:
        if "_variables" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__}.__init__() must call super().__init__(...) first."
            )

    @property
    def variables(self) -> list[Variable]:
        """All of them; where they stand in this list, they stand in saved states."""
        return list(self._variables)

    # --- making ---

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str | None = "none",
        layout: None = None,
        name: str | None = None,
    ) -> Variable:
        """A new variable of the state. `aggregation` is of no effect on a single device.

        >>> self.count = self.add_variable((), dtype="int32", name="count")
        """
        self._check_initialized()
        if layout is not None:
            raise ValueError(f"layout must be None: there is one device, received {layout!r}.")
        if aggregation not in (None, *_AGGREGATIONS):
            raise unknown_name("aggregation", aggregation, _AGGREGATIONS)
        dtype = "int32" if dtype in ("int", int) else dtype
        with name_scope(self.name):
            made = Variable(
                initializers.get(initializer), tuple(shape), dtype, trainable=False, name=name
            )
        self._track(made)
        return made

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A new variable of the shape and dtype of a model's variable."""
        like = reference_variable
        full = f"{like.path.replace('/', '_')}_{name or 'var'}"
        return self.add_variable(like.shape, initializer, like.dtype, name=full)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """A new variable for each of the model's, as a list; of several names, a list each.

        >>> self.m, self.v = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        """
        names = [name] if isinstance(name, str) else list(name)
        several = isinstance(initializer, (list, tuple))
        given = list(initializer) if several else [initializer] * len(names)
        if len(given) != len(names):
            raise ValueError(
                f"add_optimizer_variables: {len(names)} names need as many initializers, received "
                f"name={name!r} and initializer={initializer!r}."
            )
        made: tuple[list[Variable], ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for found, slot, first in zip(made, names, given, strict=True):
                found.append(self.add_variable_from_reference(variable, slot, first))
        return made[0] if isinstance(name, str) else made

    # --- changing ---

    def assign(self, variable: Variable, value: Any) -> None:
        """variable = value"""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """variable += value"""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """variable -= value"""
        variable.assign_sub(value)

    # --- saving ---

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Give all variables these values, in the order of `variables`."""
        variables = self.variables
        if len(weights) != len(variables):
            raise ValueError(
                f"{self.name}: received {len(weights)} values for {len(variables)} variables. Is "
                f"the optimizer built? See build(trainable_variables)."
            )
        for variable, value in zip(variables, weights, strict=True):
            if tuple(np.shape(value)) != variable.shape:
                raise ShapeError(
                    f"{self.name}: a value of shape {tuple(np.shape(value))} for '{variable.path}' "
                    f"of shape {variable.shape}. They must agree."
                )
            variable.assign(value)

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Write the values into a mapping, under "0", "1", ..."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Read what `save_own_variables` wrote; another number of values is left, with a warning"""
        variables = self.variables
        if len(store.keys()) != len(variables):
            warnings.warn(
                f"{self.name}: its state is not loaded, for it has {len(variables)} variables and "
                f"the saved one {len(store.keys())}. Is the optimizer built for the same model?",
                stacklevel=2,
            )
            return
        self.set_weights([np.asarray(store[str(i)]) for i in range(len(variables))])
