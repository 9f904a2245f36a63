"""The methods of gradients and their squares. Their updates: gpunn/ops/update_methods.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn.autodiff.rows import RowGradient
from gpunn.backend.protocol import Array
from gpunn.ops import row_updates, update_methods
from gpunn.optimizers.checks import not_negative, within
from gpunn.optimizers.method import Method, declared

Slots = Sequence[Mapping[str, float | None]]


@declared
class SGD(Method):
    """Gradient descent: w -= η g; with momentum, m = μ m - η g; w += m.

    `nesterov`: w += μ m - η g instead, a look ahead.

    >>> gpunn.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    """

    learning_rate: Any = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def check(self) -> None:
        within(self, "momentum")
        self.leaves_others = not self.momentum

    @property
    def slots(self) -> Slots:
        return [{"momentum": 0.0}] if self.momentum else []

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        if self.momentum:
            options = {"momentum": self.momentum, "nesterov": self.nesterov}
            update_methods.sgd_momentum(go, w, g, *slots, rate, **options)
        else:
            update_methods.sgd(go, w, g, rate)

    def update_rows(self, w: Array, g: RowGradient, slots: list[Array], rate: Array) -> None:
        row_updates.sgd_rows(w, g.sums, g.rows, g.count, rate)


@declared
class RMSprop(Method):
    """v = ρ v + (1 - ρ) g²; w -= η g / √(v + ε).  Tieleman and Hinton 2012

    `momentum`: m = μ m + η g / √(v + ε); w -= m. `centered`: v less the squared mean of g.

    >>> gpunn.optimizers.RMSprop(0.001, rho=0.9)
    """

    learning_rate: Any = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    @property
    def slots(self) -> Slots:
        found: list[Mapping[str, float | None]] = [{"velocity": 0.0}]
        found += [{"momentum": 0.0}] if self.momentum else []
        return found + ([{"average_gradient": 0.0}] if self.centered else [])

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        options = {"rho": self.rho, "epsilon": self.epsilon}
        if self.momentum:
            options["momentum"] = self.momentum
            plain, centered = (
                update_methods.rmsprop_momentum,
                update_methods.rmsprop_centered_momentum,
            )
        else:
            plain, centered = update_methods.rmsprop, update_methods.rmsprop_centered
        (centered if self.centered else plain)(go, w, g, *slots, rate, **options)


@declared
class Adagrad(Method):
    """a += g²; w -= η g / √(a + ε), a starting at `initial_accumulator_value`.  Duchi et al. 2011

    >>> gpunn.optimizers.Adagrad(0.001)
    """

    learning_rate: Any = 0.001
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    leaves_others = True

    @property
    def slots(self) -> Slots:
        return [{"accumulator": self.initial_accumulator_value}]

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        update_methods.adagrad(go, w, g, *slots, rate, epsilon=self.epsilon)

    def update_rows(self, w: Array, g: RowGradient, slots: list[Array], rate: Array) -> None:
        row_updates.adagrad_rows(w, g.sums, *slots, g.rows, g.count, rate, epsilon=self.epsilon)


@declared
class Adadelta(Method):
    """a = ρ a + (1 - ρ) g²; δ = g √(d + ε) / √(a + ε); d = ρ d + (1 - ρ) δ²; w -= η δ.

    arXiv:1212.5701, where η is 1: the default of Keras is small.

    >>> gpunn.optimizers.Adadelta(1.0)
    """

    learning_rate: Any = 0.001
    rho: float = 0.95
    epsilon: float = 1e-7

    @property
    def slots(self) -> Slots:
        return [{"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}]

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        update_methods.adadelta(go, w, g, *slots, rate, rho=self.rho, epsilon=self.epsilon)


@declared
class Ftrl(Method):
    """Follow the regularized leader: w = (clip(z, ±λ₁) - z) / ((a^p + β) / η + 2 λ₂), with

    a += g² from `initial_accumulator_value` on, z += g + 2 s w - (change of a^p) w / η, and
    p = -`learning_rate_power`. λ₁ makes weights exactly zero.  McMahan et al. 2013

    `l1_regularization_strength` is λ₁, `l2_regularization_strength` λ₂,
    `l2_shrinkage_regularization_strength` s.

    >>> gpunn.optimizers.Ftrl(0.1, l1_regularization_strength=0.01)
    """

    learning_rate: Any = 0.001
    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1_regularization_strength: float = 0.0
    l2_regularization_strength: float = 0.0
    l2_shrinkage_regularization_strength: float = 0.0
    beta: float = 0.0

    def check(self) -> None:
        not_negative(
            self, "initial_accumulator_value", "l1_regularization_strength",
            "l2_regularization_strength", "l2_shrinkage_regularization_strength",
        )  # fmt: skip
        if not self.learning_rate_power <= 0:
            raise ValueError(
                f"Ftrl: learning_rate_power must not be positive, received "
                f"{self.learning_rate_power!r}."
            )

    @property
    def slots(self) -> Slots:
        return [{"accumulator": self.initial_accumulator_value, "linear": 0.0}]

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        update_methods.ftrl(
            go, w, g, *slots, rate,
            power=-self.learning_rate_power,
            l1=self.l1_regularization_strength,
            l2=self.l2_regularization_strength,
            shrinkage=self.l2_shrinkage_regularization_strength,
            beta=self.beta,
        )  # fmt: skip


@declared
class Lion(Method):
    """w -= η sign(β₁ m + (1 - β₁) g); m = β₂ m + (1 - β₂) g.  arXiv:2302.06675

    Steps of one size in all directions: choose η 3 to 10 times smaller than for Adam.

    >>> gpunn.optimizers.Lion(1e-4, weight_decay=0.1)
    """

    learning_rate: Any = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.99

    def check(self) -> None:
        within(self, "beta_1")
        if not self.beta_1:
            raise ValueError("Lion: beta_1 must be above 0: with 0, only the sign of g is left.")

    @property
    def slots(self) -> Slots:
        return [{"momentum": 0.0}]

    def update(self, go: Array, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        update_methods.lion(go, w, g, *slots, rate, beta_1=self.beta_1, beta_2=self.beta_2)
