"""Optimizer: the base of all, which a user may subclass as in Keras."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpunn import ops
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable, name_scope
from gpunn.backend.devices import empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into
from gpunn.changes import note_change
from gpunn.errors import ShapeError, described, unknown_name
from gpunn.naming import to_snake_case, unique_name
from gpunn.ops import updates
from gpunn.optimizers import checks, schedules
from gpunn.optimizers.flat_update import FlatUpdate, Part
from gpunn.optimizers.rate import LearningRate
from gpunn.optimizers.state import OptimizerState


class Optimizer(OptimizerState):
    """Base of the optimizers. Override `build(variables)` and `update_step`.

    `learning_rate`: a float, a `LearningRateSchedule` or a function without arguments.
    `weight_decay`: w -= η λ w before the update. `clipnorm`: each gradient's norm at most this;
    `clipvalue`: each element; `global_clipnorm`: the norm of all gradients together. At most one.
    `use_ema`: ā = `ema_momentum` ā + (1 - `ema_momentum`) w after each update, which replaces the
    weights in every `ema_overwrite_frequency`-th one, or when `fit` ends. `loss_scale_factor`:
    the loss is multiplied, gradients are divided by it. `gradient_accumulation_steps`: one update
    with the mean gradient of so many steps.

    >>> class Descent(gpunn.optimizers.Optimizer):
    ...     def build(self, variables):
    ...         super().build(variables)
    ...         self.sums = self.add_optimizer_variables(variables, "sum")
    ...
    ...     def update_step(self, gradient, variable, learning_rate):
    ...         total = self.sums[self._get_variable_index(variable)]
    ...         self.assign_add(total, gradient)
    ...         self.assign_sub(variable, learning_rate * total)
    """

    #: How many numbers an update reads beside its arrays, and whether each variable is on its own.
    rates: int = 1
    apart: bool = False

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        if kwargs:
            raise unknown_name(f"argument of {type(self).__name__}", next(iter(kwargs)), _NAMES)
        checks.clips(clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm)
        checks.weight_decay(weight_decay)
        checks.averages(use_ema, ema_momentum, ema_overwrite_frequency)
        checks.positive(loss_scale_factor=loss_scale_factor)
        checks.accumulation(gradient_accumulation_steps)
        self._variables: list[Variable] = []  # but for the learning rate, in Keras' order
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self._undecayed: tuple[set[int], str | None] = (set(), None)
        self._trainable_variables: list[Variable] = []
        self._applying = False
        with name_scope(self.name):
            self._iterations = Variable(0, dtype="int32", trainable=False, name="iteration")
            self._rate = LearningRate(learning_rate, self._iterations)

    # --- learning rate and count ---

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next update: a variable, or what a schedule or function gives.

        While an update runs it is the variable in either case.
        """
        if self._applying:
            return self._rate.variable
        rate = self._rate.now()
        return rate if isinstance(rate, Tensor) else Tensor(asarray(rate, "float32"))

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        if callable(rate) or callable(self._rate.given):
            note_change()  # whether the host computes it before each update
        self._rate.change(rate)

    @property
    def iterations(self) -> Any:
        """The updates made so far: a variable, or, where gradients are summed up, a tensor."""
        every = self.gradient_accumulation_steps
        return ops.floor_divide(self._iterations, every) if every else self._iterations

    # --- state ---

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the state for these variables, and move them into flat buffers."""
        self._check_initialized()
        self._trainable_variables = list(variables)
        self._positions = {id(v): i for i, v in enumerate(self._trainable_variables)}
        self._flat = flat = FlatUpdate(self, self._trainable_variables)
        if self.use_ema:
            self._model_variables_moving_average = [
                flat.as_variable(flat.averages, v, "average") for v in variables
            ]
            self._variables += self._model_variables_moving_average
        if self.gradient_accumulation_steps:
            self._accumulated_gradients = [
                flat.as_variable(flat.sums, v, "gradient_accumulator") for v in variables
            ]
            self._variables += self._accumulated_gradients
        self.built = True

    def _get_variable_index(self, variable: Variable) -> int:
        self._flat.place(variable)
        return self._positions[id(variable)]

    @property
    def variables(self) -> list[Variable]:
        """The count, the learning rate if it is a number, and the state, in Keras' order."""
        rate = [] if callable(self._rate.given) else [self._rate.variable]
        return [self._variables[0], *rate, *self._variables[1:]]

    # --- what a step calls ---

    def gradient_buffers(self, variables: Sequence[Variable]) -> list[Array]:
        """Where the gradients of these variables shall be written: views of the flat gradients."""
        if not self.built:
            self.build(variables)
        return self._flat.gradient_views(variables)

    def _gradient_runs(
        self, variables: Sequence[Variable], gradients: Sequence[Any]
    ) -> list[Array]:
        """The flat gradients of these variables, but for those that are None."""
        plan = self._flat.planned(variables, gradients)
        return [part.group.gradients[run] for part in plan for run in part.runs]

    def takes_rows(self, variables: Sequence[Variable]) -> list[bool]:
        """Whose gradient may be a `RowGradient`: all that moves then is the rows it names."""
        return [False] * len(variables)

    def apply_buffers(self, variables: Sequence[Variable], gradients: Sequence[Any]) -> None:
        """One update with gradients that stand in the flat buffers already, or are `RowGradient`s;
        None where a variable has none. A subclass' own `apply` or `apply_gradients` gets tensors.
        """
        own = type(self)
        if own.apply is Optimizer.apply and own.apply_gradients is Optimizer.apply_gradients:
            self._update(variables, gradients)
            return
        tensors = [g if g is None else Tensor(g) for g in gradients]
        if own.apply_gradients is not Optimizer.apply_gradients:
            self.apply_gradients(zip(tensors, variables, strict=True))
        else:
            self.apply(tensors, variables)

    def _update(self, variables: Sequence[Variable], gradients: Sequence[Any]) -> None:
        self._applying = True
        try:
            self._flat(variables, gradients)
        finally:
            self._applying = False

    def flattened(self) -> list[Optimizer]:
        """The optimizer, and those that it wraps."""
        return [self]

    def _skip_by(self, run: Array) -> None:
        """Let `run` (1,) bool decide on the device whether an update happens."""
        self._flat.skip_by(run)
        self._rate.skips = True

    def scale_loss(self, loss: Any) -> Any:
        """The loss whose gradients `apply` expects: times `loss_scale_factor`, if there is one."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """The end of training: with `use_ema`, the averages become the weights."""
        if self.use_ema:
            self._overwrite_model_variables_with_average_value(var_list)

    def _overwrite_model_variables_with_average_value(self, variables: Sequence[Variable]) -> None:
        for variable in variables:
            average = self._model_variables_moving_average[self._get_variable_index(variable)]
            variable.assign(average)

    # --- update ---

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """One update with pairs (gradient, variable); returns the count."""
        pairs = [*grads_and_vars] if isinstance(grads_and_vars, Iterable) else [grads_and_vars]
        for pair in pairs:
            is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
            if not is_pair or not isinstance(pair[1], Variable):
                raise TypeError(
                    f"{self.name}: apply_gradients takes pairs (gradient, variable), received "
                    f"{described(pair)}. Write apply_gradients(zip(gradients, variables))."
                )
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._iterations

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """One update. A gradient that is None leaves its variable as it is, with a warning."""
        variables = trainable_variables
        if variables is None:
            if not self.built:
                raise ValueError(
                    f"{self.name}: which variables? Give apply(grads, trainable_variables), or "
                    f"call build(trainable_variables) first."
                )
            variables = self._trainable_variables
        variables = list(variables)
        if len(grads) != len(variables):
            raise ValueError(
                f"{self.name}: received {len(grads)} gradients for {len(variables)} variables."
            )
        if variables:
            self._update(variables, self._in_places(grads, variables))

    def _in_places(self, grads: Sequence[Any], variables: Sequence[Variable]) -> list[Any]:
        """The gradients, copied into the flat buffers."""
        arrays = []
        places = self.gradient_buffers(variables)
        for gradient, variable, place in zip(grads, variables, places, strict=True):
            array = gradient.data if isinstance(gradient, Tensor) else gradient
            if array is not None and array is not place:
                if tuple(array.shape) != variable.shape:
                    raise ShapeError(
                        f"{self.name}: the gradient of '{variable.path}' has shape "
                        f"{tuple(array.shape)}, the variable {variable.shape}. They must agree."
                    )
                copy_into(array, place)
                array = place
            arrays.append(array)
        return arrays

    def _descend(
        self, plan: list[Part], variables: Sequence[Variable], gradients: Sequence[Any]
    ) -> None:
        """The method's part of an update: `update_step` of each variable that has a gradient."""
        touched = [part.group.weights for part in plan]
        touched += [v.data for v in self._own_state()]
        before = [_copied(array) for array in touched] if self._flat.skips else []
        with no_grad():
            for gradient, variable in zip(gradients, variables, strict=True):
                if gradient is not None:
                    self.update_step(Tensor(gradient), variable, self._rate.variable)
        for old, array in zip(before, touched, strict=False):
            updates.take_back(self._flat.go, old, array)

    def _own_state(self) -> list[Variable]:
        """The variables that `update_step` may change."""
        others = [self._iterations]
        others += self._model_variables_moving_average if self.use_ema else []
        others += self._accumulated_gradients if self.gradient_accumulation_steps else []
        return [v for v in self._variables if not any(v is other for other in others)]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Variable) -> None:
        """The method: change the variable, and the state, given its gradient."""
        raise NotImplementedError(f"{type(self).__name__} must override update_step().")

    def stateless_apply(
        self,
        optimizer_variables: Sequence[Any],
        grads: Sequence[Any],
        trainable_variables: Sequence[Any],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """`apply` to the given values: the new weights and the new state; nothing is changed."""
        state = [*self._trainable_variables, *self.variables]
        given = [*trainable_variables, *optimizer_variables]
        if not self.built or len(given) != len(state):
            raise ValueError(
                f"{self.name}: stateless_apply() takes the {len(self.variables)} values of its "
                f"variables and those of the {len(self._trainable_variables)} weights that it is "
                f"built for, received {len(optimizer_variables)} and {len(trainable_variables)}. "
                f"See build(trainable_variables)."
            )
        before = [_copied(v.data) for v in state]
        try:
            for variable, value in zip(state, given, strict=True):
                variable.assign(value)
            self.apply(grads)
            after = [Tensor(_copied(v.data)) for v in state]
        finally:
            for variable, old in zip(state, before, strict=True):
                variable.assign(old)
        return after[: len(trainable_variables)], after[len(trainable_variables) :]

    # --- weight decay ---

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Leave these variables undecayed, and those in whose name one of the patterns is found."""
        if self.built:
            raise ValueError("exclude_from_weight_decay() must be called before the first update.")
        pattern = "|".join(var_names) if var_names else None
        self._undecayed = {id(v) for v in var_list or ()}, pattern

    def _decay_of(self, variable: Variable) -> float:
        """The weight decay of a variable."""
        return self._unless_excluded(variable, self.weight_decay)

    def _unless_excluded(self, variable: Variable, decay: float | None) -> float:
        given, pattern = self._undecayed
        if id(variable) in given or (pattern is not None and re.search(pattern, variable.name)):
            return 0.0
        return decay or 0.0

    # --- config ---

    def get_config(self) -> dict[str, Any]:
        rate = self._rate.given
        if self._rate.is_schedule:
            rate = schedules.serialize(rate)
        elif not callable(rate):
            rate = float(self._rate.variable)
        return {"learning_rate": rate, **{name: getattr(self, name) for name in _NAMES}}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """An optimizer with this config; `custom_objects`: name -> class of its schedule."""
        rate = config.get("learning_rate")
        if isinstance(rate, Mapping):
            config = {**config, "learning_rate": schedules.deserialize(rate, custom_objects)}
        return cls(**config)


def _copied(array: Array) -> Array:
    """A copy that a recording sees."""
    copy = empty_like(array)
    copy_into(array, copy)
    return copy


#: The settings that all optimizers have beside the learning rate, in Keras' order.
COMMON = list(inspect.signature(Optimizer).parameters.values())[1:-1]
_NAMES = [parameter.name for parameter in COMMON]
