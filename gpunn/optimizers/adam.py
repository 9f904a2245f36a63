"""Adam and its relatives. Their updates: gpunn/ops/update_adam.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpunn.autodiff.variable import Variable
from gpunn.backend.protocol import Array
from gpunn.ops import update_adam, updates
from gpunn.optimizers.checks import within
from gpunn.optimizers.flat import FlatGroup
from gpunn.optimizers.method import Method, declared
from gpunn.optimizers.methods import Slots


class _Moments(Method):
    """A method with the first and the second moment of the gradients."""

    beta_1: float
    beta_2: float
    epsilon: float

    def check(self) -> None:
        within(self, "beta_1", "beta_2", open_end=True)

    @property
    def slots(self) -> Slots:
        return [{"momentum": 0.0, "velocity": 0.0}]

    def _options(self) -> dict[str, float]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class _Corrected(_Moments):
    """One whose update reads η, 1 / (1 - β₁^t), 1 / (1 - β₂^t) and 1 / t."""

    rates = 4
    warmup_steps = 0

    def prepare(self, group: FlatGroup, rate: Array, made: Array) -> None:
        update_adam.corrected_rates(
            rate, made, group.rate,
            beta_1=self.beta_1, beta_2=self.beta_2, warmup=self.warmup_steps,
        )  # fmt: skip


@declared
class Adam(_Moments):
    """m += (1 - β₁)(g - m); v += (1 - β₂)(g² - v); w -= η̂ m / (√v + ε).  arXiv:1412.6980

    η̂ = η √(1 - β₂^t) / (1 - β₁^t) corrects the bias of m and v. `amsgrad`: the largest v so far
    in place of v, arXiv:1904.09237.

    >>> gpunn.optimizers.Adam(1e-3)
    """

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    @property
    def slots(self) -> Slots:
        return [*super().slots, *([{"velocity_hat": 0.0}] if self.amsgrad else [])]

    def prepare(self, group: FlatGroup, rate: Array, made: Array) -> None:
        update_adam.adam_rate(rate, made, group.rate, beta_1=self.beta_1, beta_2=self.beta_2)

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        run = update_adam.adam_amsgrad if self.amsgrad else update_adam.adam
        run(go, w, g, *slots, rate, **self._options())


@declared
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 by default.  arXiv:1711.05101

    >>> gpunn.optimizers.AdamW(1e-3, weight_decay=0.01)
    """

    learning_rate: Any = 0.001
    weight_decay: float | None = 0.004
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False


@declared
class Adamax(_Corrected):
    """m += (1 - β₁)(g - m); u = max(β₂ u, |g|); w -= η m / ((1 - β₁^t) (u + ε)).

    Adam with the infinity norm, arXiv:1412.6980 section 7.1.

    >>> gpunn.optimizers.Adamax(2e-3)
    """

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    @property
    def slots(self) -> Slots:
        return [{"momentum": 0.0, "norm": 0.0}]

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        update_adam.adamax(go, w, g, *slots, rate, **self._options())


@declared
class Nadam(_Moments):
    """Adam with Nesterov's momentum: w -= η m̂ / (√v̂ + ε), where, with μ_t = β₁ (1 - 0.96^t / 2),

    m̂ = μ_{t+1} m / (1 - μ₁ ⋯ μ_{t+1}) + (1 - μ_t) g / (1 - μ₁ ⋯ μ_t).  Dozat 2015

    >>> gpunn.optimizers.Nadam(2e-3)
    """

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    rates = 3

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        dtype = variables[0].dtype if variables else None
        self._product = self.add_variable((), "ones", dtype, name="u_product")

    def begin(self, go: Array, made: Array) -> None:
        update_adam.nadam_product(go, self._product.data, made, beta_1=self.beta_1)

    def prepare(self, group: FlatGroup, rate: Array, made: Array) -> None:
        product, betas = self._product.data, {"beta_1": self.beta_1, "beta_2": self.beta_2}
        update_adam.nadam_rates(self._flat.go, rate, made, product, group.rate, **betas)

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        update_adam.nadam(go, w, g, *slots, rate, **self._options())


@declared
class Lamb(_Corrected):
    """w -= η u ‖w‖ / ‖u‖ with Adam's direction u = m̂ / (√v̂ + ε), for each variable by itself.

    For large batches, arXiv:1904.00962; the ratio is 1 where a norm is 0.

    >>> gpunn.optimizers.Lamb(1e-2)
    """

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    apart = True

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        update_adam.lamb_direction(go, g, *slots, rate, **self._options())
        norms = [self._flat.groups[0].backend.empty((1,), "float64") for _ in range(2)]
        for array, squared in zip((w, g), norms, strict=True):
            updates.squared_norm(array, squared, first=True)
        update_adam.lamb(go, w, g, rate, *norms)


@declared
class ScheduleFreeAdamW(_Corrected):
    """Adam that needs no schedule: gradients are taken at w = (1 - β₁) z + β₁ x between the
    iterates z, which move by η g / (√v̂ + ε), and their mean x.  arXiv:2405.15682

    `warmup_steps`: η grows linearly over so many updates.

    >>> gpunn.optimizers.ScheduleFreeAdamW(0.0025, warmup_steps=100)
    """

    learning_rate: Any = 0.0025
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    warmup_steps: int = 0

    @property
    def slots(self) -> Slots:
        return [{"momentum": None, "velocity": 0.0}]

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        update_adam.schedule_free_adamw(go, w, g, *slots, rate, **self._options())
