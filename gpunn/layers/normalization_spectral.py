"""SpectralNormalization: a wrapper that keeps the largest singular value of a kernel at 1."""

from __future__ import annotations

from typing import Any

from gpunn import config, initializers, ops
from gpunn.arguments import whole_number
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tape import uncast
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.layers.wrapper import Wrapper
from gpunn.ops import normalization


class SpectralNormalization(Wrapper):
    """In training W ← W / σ, σ = v W uᵀ by power iteration, before the layer computes.

    v = u Wᵀ / ‖u Wᵀ‖ and u = v W / ‖v W‖, `power_iterations` times; W is the kernel (or the
    embeddings) of the layer as a matrix (..., units). A kernel of zeros stays.  arXiv:1802.05957

    >>> gpunn.layers.SpectralNormalization(gpunn.layers.Dense(10))
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any):
        super().__init__(layer, **kwargs)
        self.power_iterations = whole_number(
            "SpectralNormalization: power_iterations", power_iterations
        )

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        name = next((n for n in ("kernel", "embeddings") if hasattr(self.layer, n)), None)
        if name is None:
            raise ValueError(
                f"SpectralNormalization: {type(self.layer).__name__} '{self.layer.name}' has "
                f"neither a kernel nor embeddings. Wrap a layer that has one of them."
            )
        self.kernel = getattr(self.layer, name)
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})
        self.vector_u = self.add_weight(
            (1, self.kernel.shape[-1]),
            initializers.TruncatedNormal(stddev=0.02),
            dtype=self.kernel.dtype,
            trainable=False,
            name="vector_u",
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training and not isinstance(inputs, SymbolicTensor):
            with ops.no_grad(), uncast():  # W itself, not what the layer sees of it in 16 bits
                self._normalize_kernel()
        return ops.cast(self.layer(inputs), inputs.dtype)

    def _normalize_kernel(self) -> None:
        kernel, first = normalization.wide(self.kernel), normalization.wide(self.vector_u)
        weights, u = ops.reshape(kernel, (-1, kernel.shape[-1])), first
        transposed = ops.transpose(weights)
        for _ in range(self.power_iterations):
            v = ops.normalize(ops.matmul(u, transposed), epsilon=config.epsilon())
            u = ops.normalize(ops.matmul(v, weights), epsilon=config.epsilon())
        sigma = ops.reshape(ops.matmul(ops.matmul(v, weights), ops.transpose(u)), ())
        is_zero = ops.all(ops.equal(weights, 0))
        self.vector_u.assign(ops.where(is_zero, first, u))
        self.kernel.assign(kernel / ops.where(is_zero, ops.ones_like(sigma), sigma))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}
