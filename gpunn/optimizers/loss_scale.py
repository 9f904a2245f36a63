"""LossScaleOptimizer: a large factor on the loss, which keeps float16 gradients from vanishing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpunn.autodiff.variable import Variable
from gpunn.backend.devices import backend_of
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import fill
from gpunn.objects import serialize
from gpunn.ops import update_counts, updates
from gpunn.optimizers.checks import positive
from gpunn.optimizers.optimizer import Optimizer
from gpunn.optimizers.wrapping import Wrapper, made


class LossScaleOptimizer(Wrapper):
    """Another optimizer, for a loss that is multiplied by a scale s: its gradients are g / s.

    Where a gradient is not finite, the update is left out and s is halved; after
    `dynamic_growth_steps` updates in a row it is doubled. All of this happens on the device.
    Clipping, averages, accumulation: set them on the `inner_optimizer`.

    >>> gpunn.optimizers.LossScaleOptimizer(gpunn.optimizers.Adam(1e-3))
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ):
        if not isinstance(inner_optimizer, Optimizer) or isinstance(inner_optimizer, type(self)):
            raise TypeError(
                f"LossScaleOptimizer: inner_optimizer must be another kind of optimizer, received "
                f"{inner_optimizer!r}."
            )
        positive(initial_scale=initial_scale, dynamic_growth_steps=dynamic_growth_steps)
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None  # or gradients would be scaled twice

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        self.step_counter = self.add_variable((), "zeros", "int32", name="step_counter")
        self.dynamic_scale = self.add_variable((), "ones", "float32", name="dynamic_scale")
        self.dynamic_scale.assign(float(self.initial_scale))
        self._finite = backend_of(self.dynamic_scale.data).asarray([True])
        self._built_for(variables)
        self.inner_optimizer.build(variables)
        self.inner_optimizer._skip_by(self._finite)

    @property
    def inner_optimizers(self) -> list[Optimizer]:
        return [self.inner_optimizer]

    def gradient_buffers(self, variables: Sequence[Variable]) -> list[Array]:
        if not self.built:
            self.build(variables)
        return self.inner_optimizer.gradient_buffers(variables)

    def _gradient_runs(
        self, variables: Sequence[Variable], gradients: Sequence[Any]
    ) -> list[Array]:
        return self.inner_optimizer._gradient_runs(variables, gradients)

    def _update(self, variables: Sequence[Variable], gradients: Sequence[Any]) -> None:
        finite, scale = self._finite, self.dynamic_scale.data
        fill(finite, value=True)
        for g in self._gradient_runs(variables, gradients):
            update_counts.check_finite(g, finite)
            updates.unscale_by(g, scale.reshape(1))
        with np.errstate(all="ignore"):  # what is not finite is taken back
            self.inner_optimizer.apply_buffers(variables, gradients)
        update_counts.adjust_loss_scale(
            finite, self.step_counter.data, scale, growth_steps=self.dynamic_growth_steps
        )

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the scale."""
        return loss * (self.dynamic_scale if self.built else self.initial_scale)

    @property
    def learning_rate(self) -> Any:
        """That of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self.inner_optimizer.learning_rate = rate

    @property
    def iterations(self) -> Any:
        return self.inner_optimizer.iterations

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        inner = made(config["inner_optimizer"], custom_objects)
        return cls(**{**config, "inner_optimizer": inner})
