"""Methods that treat the matrices of a model apart from its vectors, variable by variable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import sqrt
from typing import Any

from gpunn import ops
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.ops import update_adam
from gpunn.optimizers.checks import within
from gpunn.optimizers.method import Common, Method, declared


def _rms(x: Any) -> Any:
    """√(mean x²)"""
    return ops.sqrt(ops.mean(ops.square(x)))


@declared
class Adafactor(Method):
    """w -= α u / max(1, RMS(u) / d), with u = g / √v and α = max(ε₂, RMS(w)) min(η, 1 / √t).

    v is the running mean of g² + ε₁ with β₂ = 1 - t^`beta_2_decay`; of a matrix, only the means r
    of its rows and c of its columns are kept: v = r cᵀ / mean(r). d is `clip_threshold`;
    `relative_step`: a constant η is at most 1 / √t, too.  arXiv:1804.04235

    >>> gpunn.optimizers.Adafactor(0.01)
    """

    learning_rate: Any = 0.001
    beta_2_decay: float = -0.8
    epsilon_1: float = 1e-30
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0
    relative_step: bool = True

    def build(self, variables: Sequence[Variable]) -> None:
        """Make r, c and v; scalars in place of a vector's r and c, as Keras has them."""
        if self.built:
            return
        super().build(variables)
        self._r: list[Variable] = []
        self._c: list[Variable] = []
        self._v: list[Variable] = []
        for variable in variables:
            shape, dtype = variable.shape, variable.dtype
            is_matrix = len(shape) >= 2
            rows, columns = (shape[:-1], shape[:-2] + shape[-1:]) if is_matrix else ((), ())
            for found, part in ((self._r, rows), (self._c, columns)):
                kind = dtype if is_matrix else "int32"
                found.append(self.add_variable(part, dtype=kind, name=variable.name))
            self._v.append(self.add_variable_from_reference(variable, "velocity"))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        i, dtype = self._get_variable_index(variable), variable.dtype
        r, c, v = self._r[i], self._c[i], self._v[i]
        g, rate = ops.cast(gradient, dtype), ops.cast(learning_rate, dtype)
        t = ops.cast(self.iterations + 1, dtype)
        alpha = ops.maximum(self.epsilon_2, _rms(variable)) * ops.minimum(rate, 1 / ops.sqrt(t))
        beta = 1 - ops.power(t, self.beta_2_decay)
        squares = ops.square(g) + self.epsilon_1
        if len(variable.shape) >= 2:
            self.assign(r, beta * r + (1 - beta) * ops.mean(squares, axis=-1))
            self.assign(c, beta * c + (1 - beta) * ops.mean(squares, axis=-2))
            rows = r / ops.mean(r, axis=-1, keepdims=True)
            self.assign(v, ops.expand_dims(rows, -1) * ops.expand_dims(c, -2))
        else:
            self.assign(v, beta * v + (1 - beta) * squares)
        u = g / ops.sqrt(v)
        u = u / ops.maximum(1.0, _rms(u) / self.clip_threshold)
        self.assign_sub(variable, alpha * u)


@declared
class Muon(Method):
    """m = μ m + g; w -= η O √(max(rows, columns)) `rms_rate`, where O is about the orthogonal
    matrix nearest to the momentum: `ns_steps` steps of X ← a X + (b X Xᵀ + c (X Xᵀ)²) X.

    For the matrices inside of a model, arXiv:2502.16982. Adam updates, with learning rate
    η `adam_lr_ratio`, whatever has not two axes, embeddings (`exclude_embeddings`: paths with
    "embedding") and variables in whose path a pattern of `exclude_layers` is found: name your
    last layer there. `nesterov`: O of g + μ m.

    >>> gpunn.optimizers.Muon(0.001, exclude_layers=["logits"])
    """

    learning_rate: Any = 0.001
    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    adam_weight_decay: float | None = 0.004
    epsilon: float = 1e-7
    weight_decay: float | None = 0.004
    _: Common
    exclude_layers: Sequence[str] | None = None
    exclude_embeddings: bool = True
    muon_a: float = 3.4445
    muon_b: float = -4.7750
    muon_c: float = 2.0315
    adam_lr_ratio: float = 1
    momentum: float = 0.95
    ns_steps: int = 5
    nesterov: bool = True
    rms_rate: float | None = 0.2

    def check(self) -> None:
        within(self, "adam_beta_1", "adam_beta_2", open_end=True)
        self.exclude_layers = list(self.exclude_layers or [])

    def _is_left_to_adam(self, variable: Variable) -> bool:
        patterns = [*(self.exclude_layers or []), *(["(?i:embedding)"] * self.exclude_embeddings)]
        return len(variable.shape) != 2 or any(re.search(p, variable.path) for p in patterns)

    def _decay_of(self, variable: Variable) -> float:
        if self._is_left_to_adam(variable):
            return self._unless_excluded(variable, self.adam_weight_decay)
        return self._unless_excluded(variable, self.weight_decay)

    def build(self, variables: Sequence[Variable]) -> None:
        """Make m for all, v for those that are left to Adam."""
        if self.built:
            return
        super().build(variables)
        self._momentums: list[Variable] = []
        self._velocities: list[Variable | None] = []
        for variable in variables:
            self._momentums.append(self.add_variable_from_reference(variable, "momentum"))
            left = self._is_left_to_adam(variable)
            self._velocities.append(
                self.add_variable_from_reference(variable, "velocity") if left else None
            )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        i = self._get_variable_index(variable)
        m, v = self._momentums[i], self._velocities[i]
        if v is not None:
            self._adam_step(gradient, variable, learning_rate, m, v)
            return
        self.assign(m, gradient + self.momentum * m)
        x = self._orthogonal(gradient + self.momentum * m if self.nesterov else m)
        if self.rms_rate is not None:
            x = x * (sqrt(max(variable.shape)) * self.rms_rate)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * x)

    def _adam_step(self, g: Any, variable: Variable, rate: Any, m: Variable, v: Variable) -> None:
        flat = self._flat
        group = flat.groups[flat.place(variable)[0]]
        betas = {"beta_1": self.adam_beta_1, "beta_2": self.adam_beta_2}
        rate = ops.cast(rate, "float32") * self.adam_lr_ratio
        update_adam.adam_rate(rate.data, flat.made, group.rate, **betas)
        arrays = [t.data.reshape(-1) for t in (variable, g, m, v)]
        update_adam.adam(flat.always, *arrays, group.rate, **betas, epsilon=self.epsilon)

    def _orthogonal(self, x: Tensor) -> Tensor:
        """About U Vᵀ of x = U Σ Vᵀ, by Newton and Schulz."""
        rows, columns = x.shape
        if rows > columns:
            return ops.transpose(self._orthogonal(ops.transpose(x)))
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
        for _ in range(self.ns_steps):
            A = ops.matmul(x, ops.transpose(x))
            B = self.muon_b * A + self.muon_c * ops.matmul(A, A)
            x = self.muon_a * x + ops.matmul(B, x)
        return x
