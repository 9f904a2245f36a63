"""Metric: a number that accumulates over batches in variables on the device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from gpunn import initializers
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.tensor import Tensor, asarray
from gpunn.autodiff.variable import Variable, name_scope
from gpunn.backend.transfer import fill
from gpunn.naming import to_snake_case, unique_name
from gpunn.objects import Configurable


class Metric(Configurable):
    """Base of metrics: state in variables, `update_state` adds a batch, `result` is the number.

    `dtype` (a name or a policy; floatx by default) is that of the state.

    >>> class Largest(gpunn.metrics.Metric):
    ...     def __init__(self, name="largest", dtype=None):
    ...         super().__init__(dtype=dtype, name=name)
    ...         self.value = self.add_weight(name="value")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(ops.maximum(self.value, ops.max(y_pred)))
    ...     def result(self):
    ...         return self.value
    """

    def __init__(self, dtype: Any = None, name: str | None = None):
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self._dtype = as_dtype(getattr(dtype, "compute_dtype", dtype))
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """The dtype of the state."""
        return self._dtype.name

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = None,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """A variable of the state: by default zeros of the metric's dtype.

        `aggregation` says in Keras how several devices join their values; here there is one.
        """
        if "_variables" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__}: call super().__init__() first in its __init__()."
            )
        if aggregation not in ("sum", "mean", "only_first_replica", "none", None):
            raise ValueError(f"add_variable: unknown aggregation {aggregation!r}. Use 'sum'.")
        with name_scope(self.name):
            variable = Variable(
                initializers.get("zeros" if initializer is None else initializer),
                shape=tuple(shape),
                dtype=self._dtype if dtype is None else dtype,
                trainable=False,
                name=name,
            )
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """`add_variable`, by default of a scalar."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The state, that of metrics held as attributes included."""
        found = list(self._variables)
        for value in vars(self).values():
            held = value.variables if isinstance(value, Metric) else [value]
            for v in held:
                if isinstance(v, Variable) and all(v is not known for known in found):
                    found.append(v)
        return found

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch to the state."""
        raise NotImplementedError(f"{type(self).__name__} needs a method update_state(...).")

    def result(self) -> Any:
        """The number so far, as a scalar tensor."""
        raise NotImplementedError(f"{type(self).__name__} needs a method result().")

    def reset_state(self) -> None:
        """Back to zeros."""
        for variable in self.variables:
            fill(variable.data, value=0)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`update_state`, then `result`."""
        self.update_state(*args, **kwargs)
        return self.result()

    @contextlib.contextmanager
    def _state(self, values: Sequence[Any] | None) -> Iterator[list[Variable]]:
        """The variables with copies of `values` (None: zeros) inside; afterwards their own."""
        variables = self.variables
        if values is not None and len(values) != len(variables):
            raise ValueError(
                f"{self.name}: metric_variables has {len(values)} element(s), but the metric has "
                f"{len(variables)} variable(s). Give one array for each of `metric.variables`."
            )
        before = [v.data for v in variables]
        try:
            for i, v in enumerate(variables):
                v.data = before[i].copy()
                v.data[...] = 0 if values is None else asarray(values[i], like=before[i])
            yield variables
        finally:
            for v, array in zip(variables, before, strict=True):
                v.data = array

    def stateless_update_state(
        self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any
    ) -> list[Tensor]:
        """The state after a batch, given the one before; the metric itself does not change."""
        with self._state(metric_variables) as variables:
            self.update_state(*args, **kwargs)
            return [Tensor(v.data) for v in variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """The result for this state."""
        with self._state(metric_variables):
            result = self.result()
            return Tensor(result.data) if isinstance(result, Variable) else result

    def stateless_reset_state(self) -> list[Tensor]:
        """The state at the start; the metric itself does not change."""
        with self._state(None) as variables:
            self.reset_state()
            return [Tensor(v.data) for v in variables]

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
