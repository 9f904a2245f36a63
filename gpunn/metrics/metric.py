"""Metric: a number that accumulates over batches in variables on the device."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gpunn import initializers
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable, name_scope
from gpunn.backend import devices
from gpunn.backend.devices import empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, fill
from gpunn.naming import to_snake_case, unique_name
from gpunn.objects import Configurable
from gpunn.structure import map_structure


class Metric(Configurable):
    """Base of metrics: state in variables, `update_state` adds a batch, `result` is the number.

    `dtype` (a name or a policy; floatx by default) is that of the state. Variables and metrics that
    are attributes, also in lists, tuples and dicts, belong to the state. A result may be a dict.

    >>> class Largest(gpunn.metrics.Metric):
    ...     def __init__(self, name="largest", dtype=None):
    ...         super().__init__(dtype=dtype, name=name)
    ...         self.value = self.add_weight(name="value")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(ops.maximum(self.value, ops.max(y_pred)))
    ...     def result(self):
    ...         return self.value
    """

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "update_state" in vars(cls):
            cls.update_state = _counting(cls.update_state)  # type: ignore[method-assign]

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
        initializer: Any,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """A variable of the state, of the metric's dtype by default; initializer None: zeros.

        `aggregation` says in Keras how several devices join their values; here there is one.
        """
        if "_variables" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__}: call super().__init__() first in its __init__()."
            )
        if aggregation not in ("sum", "mean", "only_first_replica", "none", None):
            raise ValueError(f"add_variable: unknown aggregation {aggregation!r}. Use 'sum'.")
        with name_scope(self.name.replace("/", ">")):
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

    def _add_late(self, names: Sequence[str], shape: Sequence[int], like: Tensor) -> list[Variable]:
        """Zeros that the first batch shows the shape of, on its device; also as attributes."""
        with devices.device(like.device):
            variables = [self.add_variable(shape, "zeros", name=name) for name in names]
        for name, variable in zip(names, variables, strict=True):
            setattr(self, name, variable)
        return variables

    @property
    def variables(self) -> list[Variable]:
        """The state: the metric's own variables, then those of the metrics that it holds."""
        own, inner = [*self._variables], []
        for part in _parts(vars(self)):
            if isinstance(part, Variable):
                own.append(part)
            else:
                inner.extend(part.variables)
        return list({id(v): v for v in [*own, *inner]}.values())

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
    def _state(self, values: Sequence[Any] | None) -> Iterator[None]:
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
                v.data = _copy(before[i], None if values is None else values[i])
            yield
        finally:
            for v, array in zip(variables, before, strict=True):
                v.data = array

    def _take_state(self, known: int) -> list[Tensor]:
        """The state; variables after the first `known`, made meanwhile, go back to zeros."""
        state = [Tensor(v.data) for v in self.variables]
        for i, v in enumerate(self.variables[known:], known):
            state[i] = Tensor(_copy(v.data, v))
            fill(v.data, value=0)
        return state

    def stateless_update_state(
        self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any
    ) -> list[Tensor]:
        """The state after a batch, given the one before; the metric itself does not change.

        >>> state = metric.stateless_reset_state()
        >>> state = metric.stateless_update_state(state, y_true, y_pred)
        >>> metric.stateless_result(state)
        """
        known = len(self.variables)
        with self._state(metric_variables):
            self.update_state(*args, **kwargs)
            return self._take_state(known)

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """The result for this state."""
        with self._state(metric_variables):
            return map_structure(_apart, self.result())

    def stateless_reset_state(self) -> list[Tensor]:
        """The state at the start; the metric itself does not change."""
        with self._state(None):
            self.reset_state()
            return self._take_state(len(self.variables))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _counting(update_state: Callable[..., None]) -> Callable[..., None]:
    """`update_state`, of values only: while a layer shows its shapes, there is nothing to count."""

    @functools.wraps(update_state)
    def wrapped(self: Metric, *args: Any, **kwargs: Any) -> None:
        if not any(isinstance(v, SymbolicTensor) for v in (*args, *kwargs.values())):
            update_state(self, *args, **kwargs)

    return wrapped


def _parts(value: Any) -> Iterator[Any]:
    """The variables and metrics in lists, tuples and dicts, however deep."""
    if isinstance(value, (Variable, Metric)):
        yield value
    elif isinstance(value, (list, tuple, Mapping)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _parts(part)


def _apart(result: Any) -> Any:
    """A variable's values now; everything else as it is."""
    return Tensor(result.data) if isinstance(result, Variable) else result


def _copy(like: Array, value: Any) -> Array:
    """A new array like this one, with a value, or None for zeros."""
    new = empty_like(like)
    if value is None:
        fill(new, value=0)
    else:
        copy_into(asarray(value, like=like), new)
    return new
