"""Optimizer: what all methods share: clipping, weight decay, learning rate, flat buffers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from gpunn.autodiff.rows import RowGradient
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable, name_scope
from gpunn.backend.protocol import Array
from gpunn.backend.recorder import before_replays
from gpunn.backend.transfer import copy_into, fill
from gpunn.changes import note_change
from gpunn.errors import ShapeError
from gpunn.naming import to_snake_case, unique_name
from gpunn.objects import Configurable
from gpunn.ops import updates
from gpunn.optimizers import schedules
from gpunn.optimizers.flat import FlatGroup, group_variables


class _Part:
    """What one update changes in one flat group."""

    def __init__(
        self, group: FlatGroup, chosen: list[bool], decayed: list[slice], slots: list[Array]
    ):
        self.group, self.chosen, self.decayed = group, chosen, decayed
        #: Views of weights, gradients and slots, a run of neighbouring variables each.
        self.runs = [
            (group.weights[run], group.gradients[run], [slot[run] for slot in slots])
            for run in group.runs(chosen)
        ]


def is_number(value: Any) -> bool:
    """True of Python's and NumPy's real numbers."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


class Optimizer(Configurable):
    """Base of the optimizers. A method names its slots and overrides `update`.

    `learning_rate`: a float, a `LearningRateSchedule` or a function without arguments.
    `weight_decay`: w -= η λ w before the update. `clipnorm`: each gradient's norm at most this;
    `clipvalue`: each element; `global_clipnorm`: the norm of all gradients together. At most one.

    >>> optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    """

    #: Slots of the method: name -> initial value.
    slots: Mapping[str, float] = MappingProxyType({})
    #: Slots that take turns in `variables`: both of the first weight, both of the second, ...
    alternating: tuple[str, ...] = ()
    #: Whether a gradient of zeros changes nothing, so that `update_rows` may do a table's update.
    leaves_others: bool = False

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ):
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {k: v for k, v in clips.items() if v is not None}
        if len(given) > 1:
            raise ValueError(
                f"At most one of clipnorm, clipvalue and global_clipnorm can be set, received "
                f"{given}."
            )
        if weight_decay is not None and not (is_number(weight_decay) and weight_decay >= 0):
            raise ValueError(
                f"weight_decay must be a number of at least 0 or None, received {weight_decay!r}."
            )
        for key, value in given.items():
            if not is_number(value) or value <= 0:
                raise ValueError(f"{key} must be positive, received {value}.")
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.built = False
        self._excluded: tuple[list[Variable], list[str]] = ([], [])
        self._groups: list[FlatGroup] = []
        self._slots: dict[str, list[Array]] = {}
        self._index: dict[int, tuple[int, int]] = {}  # id(variable) -> (group, position)
        self._slot_variables: list[Variable] = []
        self._plan: list[_Part] = []
        self._plan_key: tuple | None = None
        self._warned = False
        self._updates = 0
        self._counted_since: int | None = None  # the count of assignments to the iteration
        self._given_rate = self._checked_rate(learning_rate)
        with name_scope(self.name):
            self.iterations = Variable(0, dtype="int32", trainable=False, name="iteration")
            self._learning_rate = Variable(
                self._rate_now(), dtype="float32", trainable=False, name="learning_rate"
            )

    # --- learning rate ---

    @staticmethod
    def _checked_rate(rate: Any) -> Any:
        if isinstance(rate, dict):
            return schedules.deserialize(rate)
        if callable(rate):
            return rate
        try:
            number = float(rate)
        except (TypeError, ValueError):
            raise ValueError(
                f"learning_rate must be a number, a LearningRateSchedule or a function without "
                f"arguments, received {rate!r}."
            ) from None
        if not number >= 0:
            raise ValueError(f"learning_rate must not be negative, received {number}.")
        return number

    def _rate_now(self) -> float:
        rate = self._given_rate
        if isinstance(rate, schedules.LearningRateSchedule):
            return float(rate(self._updates_made()))
        return float(rate()) if callable(rate) else rate

    def _updates_made(self) -> int:
        """The iteration, counted on the host; read from the device where it was assigned."""
        if not hasattr(self, "iterations"):
            return 0
        if self._counted_since != self.iterations.assignments:
            self._updates, self._counted_since = int(self.iterations), self.iterations.assignments
        return self._updates

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next update: a variable, or the number a schedule gives."""
        return self._rate_now() if callable(self._given_rate) else self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        checked = self._checked_rate(rate)
        if callable(checked) or callable(self._given_rate):
            note_change()  # whether the host computes it before each update
        self._given_rate, self._counted_since = checked, None
        self._learning_rate.assign(self._rate_now())

    # --- state ---

    def build(self, variables: Sequence[Variable]) -> None:
        """Make slots for these variables and move them into flat buffers."""
        self._groups = group_variables(list(variables))
        self._index, self._plan_key = {}, None
        self._slots = {
            name: [group.buffer(value) for group in self._groups]
            for name, value in self.slots.items()
        }
        for g, group in enumerate(self._groups):
            for i, variable in enumerate(group.variables):
                self._index[id(variable)] = (g, i)
        alone = [(name,) for name in self.slots if name not in self.alternating]
        with name_scope(self.name):
            self._slot_variables = [
                self._slot_variable(variable, name)
                for names in (self.alternating, *alone)
                for variable in variables
                for name in names
            ]
        self.built = True

    def _slot_variable(self, variable: Variable, slot: str) -> Variable:
        """The part of a slot that belongs to a variable, as a variable of its own."""
        g, i = self._place(variable)
        view = self._groups[g].views(self._slots[slot][g])[i]
        name = f"{variable.path.replace('/', '_')}_{slot}"
        found = Variable(view, trainable=False, name=name)
        found.rebind(view)
        return found

    @property
    def variables(self) -> list[Variable]:
        """The iteration, the learning rate if it is a number, and all slots, in Keras' order."""
        rate = [] if callable(self._given_rate) else [self._learning_rate]
        return [self.iterations, *rate, *self._slot_variables]

    def gradient_buffers(self, variables: Sequence[Variable]) -> list[Array]:
        """Where the gradients of these variables shall be written: views of the flat gradients."""
        if not self.built:
            self.build(variables)
        return [self._groups[g].gradient_views[i] for g, i in map(self._place, variables)]

    def takes_rows(self, variables: Sequence[Variable]) -> list[bool]:
        """Whose gradient may be a `RowGradient`: all that moves then is the rows it names."""
        plain = self.leaves_others and self.weight_decay is None
        plain = plain and self.clipnorm is self.clipvalue is self.global_clipnorm is None
        return [plain and v.constraint is None and v.regularizer is None for v in variables]

    def _place(self, variable: Variable) -> tuple[int, int]:
        try:
            return self._index[id(variable)]
        except KeyError:
            raise ValueError(
                f"{self.name} was built for other variables and does not know '{variable.path}'. "
                f"For another model, or after setting layer.trainable = True, call compile() again "
                f"with a new optimizer."
            ) from None

    # --- update ---

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> None:
        """One update with pairs (gradient, variable)."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """One update. A gradient that is None leaves its variable as it is, with a warning."""
        variables = trainable_variables
        if variables is None:
            variables = [v for group in self._groups for v in group.variables]
        if len(grads) != len(variables):
            raise ValueError(
                f"{self.name}: received {len(grads)} gradients for {len(variables)} variables."
            )
        places = self.gradient_buffers(variables)
        arrays = []
        for gradient, variable, place in zip(grads, variables, places, strict=True):
            array = gradient.data if isinstance(gradient, Tensor) else gradient
            if array is not None and array is not place:
                if tuple(array.shape) != variable.shape:
                    raise ShapeError(
                        f"{self.name}: the gradient of '{variable.path}' has shape "
                        f"{tuple(array.shape)}, the variable {variable.shape}. They must agree."
                    )
                copy_into(array, place)
            arrays.append(array)
        self.apply_buffers(variables, arrays)

    def _refresh_rate(self) -> None:
        """Put the learning rate of a schedule or function into its variable, before an update."""
        fill(self._learning_rate.data, value=self._rate_now())
        self._updates += 1

    def apply_buffers(self, variables: Sequence[Variable], gradients: Sequence[Any]) -> None:
        """One update with gradients that stand in the flat buffers already, or are `RowGradient`s;
        None where a variable has none.
        """
        plan = self._planned(variables, tuple([g if g is None else type(g) for g in gradients]))
        if callable(self._given_rate):
            before_replays(self._refresh_rate)
        self._clip(plan)
        for part in plan:
            group = part.group
            group.bind()
            if part.decayed:
                copy_into(self._learning_rate.data, group.rate)
                for run in part.decayed:
                    updates.decay_weights(group.weights[run], group.rate, decay=self.weight_decay)
            self.prepare(group)
            for w, g, slots in part.runs:
                self.update(w, g, slots, group.rate)
        for variable, gradient in zip(variables, gradients, strict=True):
            if type(gradient) is RowGradient:
                self._update_table(variable, gradient)
        updates.increment(self.iterations.data)
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))

    def _update_table(self, variable: Variable, gradient: RowGradient) -> None:
        """The update of the rows that a gradient names."""
        g, i = self._place(variable)
        group = self._groups[g]
        slots = [group.view(slot[g], i) for slot in self._slots.values()]
        self.update_rows(group.weight_views[i], gradient, slots, group.rate)

    def _planned(self, variables: Sequence[Variable], kinds: tuple) -> list[_Part]:
        """What an update with gradients of these types touches, but for `RowGradient`s; kept while
        the same ones come again.
        """
        key = (tuple(map(id, variables)), kinds)
        if key != self._plan_key:
            self._check_present(variables, [kind is not None for kind in kinds])
            chosen = [[False] * len(group.variables) for group in self._groups]
            for variable, kind in zip(variables, kinds, strict=True):
                g, i = self._place(variable)
                chosen[g][i] = kind is not None and kind is not RowGradient
            self._plan = [
                _Part(group, take, self._decays(group, take), [s[g] for s in self._slots.values()])
                for g, (group, take) in enumerate(zip(self._groups, chosen, strict=True))
            ]
            self._plan_key = key
        return self._plan

    def prepare(self, group: FlatGroup) -> None:
        """Set `group.rate` for this update."""
        copy_into(self._learning_rate.data, group.rate)

    def update(self, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        """The method: change the flat weights `w` and the slots, given gradients `g`."""
        raise NotImplementedError(f"{type(self).__name__} must override update().")

    def update_rows(self, w: Array, g: RowGradient, slots: list[Array], rate: Array) -> None:
        """`update` of the rows of one variable; for methods that have `leaves_others`."""
        raise NotImplementedError(f"{type(self).__name__} must override update_rows().")

    def _check_present(self, variables: Sequence[Variable], present: Sequence[bool]) -> None:
        if not any(present):
            raise ValueError("No gradients provided for any variable.")
        if not all(present) and not self._warned:
            self._warned = True
            missing = [v.path for v, p in zip(variables, present, strict=True) if not p]
            warnings.warn(
                f"Gradients do not exist for variables {missing} when minimizing the loss. "
                f"They are not part of the computation, and stay as they are.",
                stacklevel=4,
            )

    def _clip(self, plan: list[_Part]) -> None:
        if self.clipvalue is not None:
            for part in plan:
                for _, g, _ in part.runs:
                    updates.clip_values(g, limit=self.clipvalue)
        elif self.clipnorm is not None:
            for part in plan:
                for (start, end), used in zip(part.group.bounds, part.chosen, strict=True):
                    if used:
                        self._clip_together([part.group.gradients[start:end]], self.clipnorm)
        elif self.global_clipnorm is not None:
            self._clip_together([g for part in plan for _, g, _ in part.runs], self.global_clipnorm)

    def _clip_together(self, parts: list[Array], limit: float) -> None:
        """Scale gradients down so that their common norm is at most `limit`."""
        squared = self._groups[0].backend.empty((1,), "float64")
        for part in parts:
            updates.squared_norm(part, squared, first=part is parts[0])
        for part in parts:
            updates.clip_by_norm(part, squared, limit=limit)

    # --- weight decay ---

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Leave these variables, and those whose path contains one of the names, undecayed."""
        if self.built:
            raise ValueError("exclude_from_weight_decay() must be called before the first update.")
        self._excluded = (list(var_list or ()), list(var_names or ()))

    def _decays(self, group: FlatGroup, chosen: list[bool]) -> list[slice]:
        """The parts of the flat weights that decay."""
        if self.weight_decay is None:
            return []
        variables, names = self._excluded
        given = {id(v) for v in variables}
        return group.runs(
            [
                take and id(v) not in given and not any(name in v.path for name in names)
                for take, v in zip(chosen, group.variables, strict=True)
            ]
        )

    # --- config ---

    def get_config(self) -> dict[str, Any]:
        rate = self._given_rate
        if isinstance(rate, schedules.LearningRateSchedule):
            rate = schedules.serialize(rate)
        elif not callable(rate):
            rate = float(self._learning_rate)
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
        }
