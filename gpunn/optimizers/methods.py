"""The optimization methods. Each is a call of its update kernel in gpunn/ops/updates.py."""

from __future__ import annotations

from typing import Any

from gpunn.autodiff.rows import RowGradient
from gpunn.backend.protocol import Array
from gpunn.ops import row_updates, updates
from gpunn.optimizers.flat import FlatGroup
from gpunn.optimizers.optimizer import Optimizer, is_number


class SGD(Optimizer):
    """Gradient descent: w -= η g; with momentum, m = μ m - η g; w += m.

    `nesterov`: w += μ m - η g instead, a look ahead.

    >>> gpunn.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ):
        if not is_number(momentum) or not 0 <= momentum <= 1:
            raise ValueError(f"SGD: momentum must lie in [0, 1], received {momentum}.")
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.momentum, self.nesterov = momentum, nesterov
        self.slots = {"momentum": 0.0} if momentum else {}
        self.leaves_others = not momentum

    def update(self, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        if self.momentum:
            updates.sgd_momentum(w, g, *slots, rate, momentum=self.momentum, nesterov=self.nesterov)
        else:
            updates.sgd(w, g, rate)

    def update_rows(self, w: Array, g: RowGradient, slots: list[Array], rate: Array) -> None:
        row_updates.sgd_rows(w, g.sums, g.rows, g.count, rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """v = ρ v + (1 - ρ) g²; w -= η g / √(v + ε).  Tieleman and Hinton 2012

    `momentum`: m = μ m + η g / √(v + ε); w -= m. `centered`: v less the squared mean of g.

    >>> gpunn.optimizers.RMSprop(0.001, rho=0.9)
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ):
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.slots = {"velocity": 0.0}
        if momentum:
            self.slots["momentum"] = 0.0
        if centered:
            self.slots["average_gradient"] = 0.0

    def update(self, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        options = {"rho": self.rho, "epsilon": self.epsilon}
        if self.momentum:
            options["momentum"] = self.momentum
            run = updates.rmsprop_centered_momentum if self.centered else updates.rmsprop_momentum
        else:
            run = updates.rmsprop_centered if self.centered else updates.rmsprop
        run(w, g, *slots, rate, **options)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }


class Adagrad(Optimizer):
    """a += g²; w -= η g / √(a + ε), a starting at `initial_accumulator_value`.  Duchi et al. 2011

    >>> gpunn.optimizers.Adagrad(0.001)
    """

    leaves_others = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ):
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon
        self.slots = {"accumulator": initial_accumulator_value}

    def update(self, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        updates.adagrad(w, g, *slots, rate, epsilon=self.epsilon)

    def update_rows(self, w: Array, g: RowGradient, slots: list[Array], rate: Array) -> None:
        row_updates.adagrad_rows(w, g.sums, *slots, g.rows, g.count, rate, epsilon=self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }


class Adam(Optimizer):
    """m += (1 - β₁)(g - m); v += (1 - β₂)(g² - v); w -= η̂ m / (√v + ε).  arXiv:1412.6980

    η̂ = η √(1 - β₂^t) / (1 - β₁^t) corrects the bias of m and v. `amsgrad`: the largest v so far
    in place of v, arXiv:1904.09237.

    >>> gpunn.optimizers.Adam(1e-3)
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ):
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        for key, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not is_number(value) or not 0 <= value < 1:
                raise ValueError(f"Adam: {key} must lie in [0, 1), received {value!r}.")
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self.slots = {"momentum": 0.0, "velocity": 0.0}
        self.alternating = ("momentum", "velocity")
        if amsgrad:
            self.slots["velocity_hat"] = 0.0

    def prepare(self, group: FlatGroup) -> None:
        rate, step = self._learning_rate.data, self.iterations.data
        updates.adam_rate(rate, step, group.rate, beta_1=self.beta_1, beta_2=self.beta_2)

    def update(self, w: Array, g: Array, slots: list[Array], rate: Array) -> None:
        run = updates.adam_amsgrad if self.amsgrad else updates.adam
        run(w, g, *slots, rate, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 by default.  arXiv:1711.05101

    >>> gpunn.optimizers.AdamW(1e-3, weight_decay=0.01)
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ):
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay,
            clipnorm, clipvalue, global_clipnorm, name,
        )  # fmt: skip
