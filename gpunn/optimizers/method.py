"""Method: an optimizer that is declared by its settings, its slots and one update kernel."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from gpunn.arguments import real_number, true_or_false
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.rows import RowGradient
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into
from gpunn.errors import unknown_name
from gpunn.optimizers.flat import FlatGroup
from gpunn.optimizers.flat_update import Part
from gpunn.optimizers.optimizer import COMMON, Optimizer

M = TypeVar("M", bound="type[Method]")


class Common:
    """``_: Common`` among the settings of a method: here stand those that all optimizers have."""


def declared(cls: M) -> M:
    """Make the annotated attributes of a method its constructor's arguments, in this order, and
    entries of its config.

    The settings of all optimizers follow, or stand where ``_: Common`` is; one that is declared
    has a default of its own. `check()` runs when all are set.
    """
    names = list(inspect.get_annotations(cls))
    tail = [parameter for parameter in COMMON if parameter.name not in names]
    parameters: list[inspect.Parameter] = []
    for name in names if "_" in names else [*names, "_"]:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        default = vars(cls).get(name)
        own = inspect.Parameter(
            name, kind, default=default, annotation=inspect.get_annotations(cls).get(name)
        )
        parameters += tail if name == "_" else [own]
        if name != "_":
            delattr(cls, name)  # or it would hide a property
    _give_constructor(cls, parameters)
    return cls


def _give_constructor(cls: M, parameters: list[inspect.Parameter]) -> None:
    shared = {"learning_rate", *(parameter.name for parameter in COMMON)}
    own = [p.name for p in parameters if p.name not in shared]
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    signature = inspect.Signature([me, *parameters])

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        for name in kwargs:
            if name not in signature.parameters:
                known = [p.name for p in parameters]
                raise unknown_name(f"argument of {cls.__name__}", name, known)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        values = dict(bound.arguments)
        del values["self"]
        settings = {name: values.pop(name) for name in own}
        Optimizer.__init__(self, **values)
        for name, value in settings.items():
            setattr(self, name, value)
        self.check()
        for name, value in settings.items():
            _check_kind(f"{cls.__name__}: {name}", value, signature.parameters[name].annotation)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = __init__  # type: ignore[method-assign]
    cls.settings = tuple(own)


def _check_kind(name: str, value: Any, annotation: Any) -> None:
    """Refuse what is no number where one is declared, and no bool where that is."""
    if annotation == "bool":
        true_or_false(name, value)
    elif annotation == "float":
        real_number(name, value)


class Method(Optimizer):
    """An optimizer whose update is one kernel over the flat buffers of a whole model.

    A subclass is `declared` by annotated attributes, names its slots and overrides `update`.
    """

    #: Names of the settings that are its own.
    settings: tuple[str, ...] = ()
    #: Whether a gradient of zeros changes nothing, so that `update_rows` may do a table's update.
    leaves_others: bool = False

    def check(self) -> None:
        """Refuse settings that make no sense."""

    @property
    def slots(self) -> Sequence[Mapping[str, float | None]]:
        """Name -> first value of each slot (None: the weights). The slots of one mapping take turns
        in `variables`: all of the first weight, all of the second, ...
        """
        return ()

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots, in flat buffers."""
        if self.built:
            return
        super().build(variables)
        flat = self._flat
        self._slots: dict[str, list[Array]] = {}
        for slots in self.slots:
            for name, value in slots.items():
                self._slots[name] = flat.buffers(value or 0.0)
                if value is None:
                    for group, buffer in zip(flat.groups, self._slots[name], strict=True):
                        copy_into(group.weights, buffer)
            for variable in variables:
                for name in slots:
                    self._track(flat.as_variable(self._slots[name], variable, name))

    def takes_rows(self, variables: Sequence[Variable]) -> list[bool]:
        settings = (
            self.weight_decay, self.clipnorm, self.clipvalue, self.global_clipnorm,
            self.loss_scale_factor,
        )  # fmt: skip
        plain = self.leaves_others and all(value is None for value in settings)
        plain = plain and self._is_flat() and not self._flat.skips
        return [plain and v.constraint is None and v.regularizer is None for v in variables]

    def _is_flat(self) -> bool:
        """Whether no subclass has an update of its own."""
        cls = type(self)
        pairs = (cls.update_step, Method.update_step), (cls.apply, Optimizer.apply)
        return all(mine is theirs for mine, theirs in pairs)

    # --- the update ---

    def begin(self, go: Array, made: Array) -> None:
        """Change what all groups share, before an update; where `go` is False: nothing."""

    def prepare(self, group: FlatGroup, rate: Array, made: Array) -> None:
        """Set `group.rate` for an update, from the learning rate and the updates `made` before."""
        copy_into(rate, group.rate)

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        """The method: change the flat weights `w` and the slots, given gradients `g`."""
        raise NotImplementedError(f"{type(self).__name__} must override update().")

    def update_rows(self, w: Array, g: RowGradient, slots: list[Array], rate: Array) -> None:
        """`update` of the rows of one variable; for methods that have `leaves_others`."""
        raise NotImplementedError(f"{type(self).__name__} must override update_rows().")

    def _descend(
        self, plan: list[Part], variables: Sequence[Variable], gradients: Sequence[Any]
    ) -> None:
        flat = self._flat
        self.begin(flat.go, flat.made)
        if type(self).update_step is not Method.update_step:
            super()._descend(plan, variables, gradients)
            return
        for part in plan:
            group, slots = part.group, [s[part.index] for s in self._slots.values()]
            self.prepare(group, self._rate.variable.data, flat.made)
            for run in part.runs:
                w, g = group.weights[run], group.gradients[run]
                self.update(flat.go, w, g, [slot[run] for slot in slots], group.rate)
        for variable, gradient in zip(variables, gradients, strict=True):
            if type(gradient) is RowGradient:
                number, i = flat.place(variable)
                group = flat.groups[number]
                tables = [group.view(slot[number], i) for slot in self._slots.values()]
                self.update_rows(group.weight_views[i], gradient, tables, group.rate)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """The update of one variable, for a subclass that calls it from its own."""
        flat = self._flat
        number, i = flat.place(variable)
        group, run = flat.groups[number], slice(*flat.groups[number].bounds[i])
        array = gradient.data if isinstance(gradient, Tensor) else gradient
        if array is not group.gradient_views[i]:
            copy_into(array, group.gradient_views[i])
        self.prepare(group, asarray(learning_rate, "float32", group.weights), flat.made)
        slots = [slot[number][run] for slot in self._slots.values()]
        self.update(flat.always, group.weights[run], group.gradients[run], slots, group.rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self.settings}}
