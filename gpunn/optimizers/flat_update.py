"""FlatUpdate: what happens between gradients and new weights, over flat buffers, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.autodiff.rows import RowGradient
from gpunn.autodiff.variable import Variable, name_scope
from gpunn.backend.devices import backend_of
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into
from gpunn.changes import changes
from gpunn.ops import update_counts, updates
from gpunn.optimizers.flat import FlatGroup, group_variables
from gpunn.tracebacks import warn_user

if TYPE_CHECKING:
    from gpunn.optimizers.optimizer import Optimizer


class Part:
    """What one update changes in one flat group: number `index` of the groups."""

    def __init__(
        self, index: int, group: FlatGroup, chosen: list[bool], decays: list[float], apart: bool
    ):
        self.index, self.group, self.chosen = index, group, chosen
        self.runs = group.runs(chosen, apart)
        #: (slice of the flat weights, its weight decay)
        self.decayed = [
            (run, decay)
            for decay in sorted({d for d in decays if d})
            for run in group.runs([c and d == decay for c, d in zip(chosen, decays, strict=True)])
        ]


class FlatUpdate:
    """The variables, gradients and averages of an optimizer side by side, and its update:

    unscale, sum up over several steps, clip, decay weights, the method's own update, average the
    weights, apply constraints, count. What is left out in a step is left out by switches on the
    device: `run` (1,) bool, whether the step counts at all; `go`, whether weights change; `made`
    (1,) int32, the updates before this one.
    """

    def __init__(self, optimizer: Optimizer, variables: Sequence[Variable]):
        self.optimizer, self.variables = optimizer, list(variables)
        self.groups = group_variables(self.variables, optimizer.rates)
        self.index = {
            id(v): (g, i)
            for g, group in enumerate(self.groups)
            for i, v in enumerate(group.variables)
        }
        self.every = optimizer.gradient_accumulation_steps or 1
        self.averages = self.buffers(0.0) if optimizer.use_ema else []
        self.sums = self.buffers(0.0) if self.every > 1 else []
        self._step = optimizer._iterations.data.reshape(1)
        backend = backend_of(self._step)
        self.skips = self.every > 1  # whether there are steps in which weights do not change
        self.run = self.go = self.always = backend.asarray([True])
        self.made = self._step
        if self.every > 1:
            self.go, self.made = backend.asarray([True]), backend.zeros((1,), "int32")
        self._plan: list[Part] = []
        self._plan_key: tuple | None = None
        self._warned = False

    # --- places ---

    def buffers(self, value: float) -> list[Array]:
        """A flat array filled with `value` for each group."""
        return [group.buffer(value) for group in self.groups]

    def place(self, variable: Variable) -> tuple[int, int]:
        """The numbers of a variable's group, and of the variable in it."""
        try:
            return self.index[id(variable)]
        except KeyError:
            raise ValueError(
                f"{self.optimizer.name} was built for other variables and does not know "
                f"'{variable.path}'. For another model, or after setting layer.trainable = True, "
                f"call compile() again with a new optimizer."
            ) from None

    def gradient_views(self, variables: Sequence[Variable]) -> list[Array]:
        """Where the gradients of these variables shall be written."""
        return [self.groups[g].gradient_views[i] for g, i in map(self.place, variables)]

    def as_variable(self, buffers: list[Array], variable: Variable, slot: str) -> Variable:
        """The part of flat buffers that belongs to a variable, as a variable of its own."""
        g, i = self.place(variable)
        view = self.groups[g].view(buffers[g], i)
        with name_scope(self.optimizer.name):
            found = Variable(
                view, trainable=False, name=f"{variable.path.replace('/', '_')}_{slot}"
            )
        found.rebind(view)
        return found

    def skip_by(self, run: Array) -> None:
        """Let `run` decide on the device whether a step counts."""
        self.run, self.skips = run, True
        if self.every == 1:
            self.go = run

    # --- the update ---

    def __call__(self, variables: Sequence[Variable], gradients: Sequence[Any]) -> None:
        """One update. The gradients stand in their places or are `RowGradient`s; None: none."""
        optimizer = self.optimizer
        plan = self.planned(variables, gradients)
        optimizer._rate.prepare()
        for part in plan:
            part.group.bind()
        self._sum_up(plan)
        self._clip(plan)
        for part in plan:
            if part.decayed:
                copy_into(optimizer._rate.variable.data, part.group.rate)
            for run, decay in part.decayed:
                updates.decay_weights(
                    self.go, part.group.weights[run], part.group.rate, decay=decay
                )
        optimizer._descend(plan, variables, gradients)
        self._average()
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        update_counts.increment(self.run, optimizer._iterations.data)

    def planned(self, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Part]:
        """What an update touches, but for `RowGradient`s; kept while gradients of the same types
        come again.
        """
        kinds = tuple([g if g is None else type(g) for g in gradients])
        key = (tuple(map(id, variables)), kinds, changes.count)
        if key != self._plan_key:
            self._check_present(variables, [kind is not None for kind in kinds])
            chosen = [[False] * len(group.variables) for group in self.groups]
            for variable, kind in zip(variables, kinds, strict=True):
                g, i = self.place(variable)
                chosen[g][i] = kind is not None and kind is not RowGradient
            optimizer = self.optimizer
            self._plan = [
                Part(g, group, take, [*map(optimizer._decay_of, group.variables)], optimizer.apart)
                for g, (group, take) in enumerate(zip(self.groups, chosen, strict=True))
            ]
            self._plan_key = key
        return self._plan

    def _check_present(self, variables: Sequence[Variable], present: Sequence[bool]) -> None:
        if not any(present):
            raise ValueError(
                "No gradients provided for any variable. Is the loss computed from them, by ops of "
                "gpunn? NumPy's functions, .numpy() and float() end the gradient."
            )
        if not all(present) and not self._warned:
            self._warned = True
            missing = [v.path for v, p in zip(variables, present, strict=True) if not p]
            warn_user(
                f"Gradients do not exist for variables {missing} when minimizing the loss. "
                f"They are not part of the computation, and stay as they are.",
            )

    def _sum_up(self, plan: list[Part]) -> None:
        """Unscale the gradients; add those of several steps, and take their mean when it is time"""
        scale = self.optimizer.loss_scale_factor
        if self.every > 1:
            update_counts.count_updates(self.run, self._step, self.made, self.go, every=self.every)
        for part in plan:
            for run in part.runs:
                g = part.group.gradients[run]
                if scale is not None:
                    updates.unscale(g, divisor=scale)
                if self.every > 1:
                    sums = self.sums[part.index][run]
                    updates.accumulate_gradients(self.run, g, sums, self.go, every=self.every)

    def _clip(self, plan: list[Part]) -> None:
        o = self.optimizer
        if o.clipvalue is not None:
            for part in plan:
                for run in part.runs:
                    updates.clip_values(part.group.gradients[run], limit=o.clipvalue)
        elif o.clipnorm is not None:
            for part in plan:
                for run in part.group.runs(part.chosen, apart=True):
                    self._clip_together([part.group.gradients[run]], o.clipnorm)
        elif o.global_clipnorm is not None:
            found = [part.group.gradients[run] for part in plan for run in part.runs]
            self._clip_together(found, o.global_clipnorm)

    def _clip_together(self, parts: list[Array], limit: float) -> None:
        """Scale gradients down so that their common norm is at most `limit`."""
        squared = self.groups[0].backend.empty((1,), "float64")
        for part in parts:
            updates.squared_norm(part, squared, first=part is parts[0])
        for part in parts:
            updates.clip_by_norm(part, squared, limit=limit)

    def _average(self) -> None:
        """The moving average of all weights."""
        o = self.optimizer
        for group, average in zip(self.groups, self.averages, strict=False):
            updates.average_weights(
                self.run, group.weights, average, self.made,
                momentum=o.ema_momentum, overwrite=o.ema_overwrite_frequency or 0,
            )  # fmt: skip
