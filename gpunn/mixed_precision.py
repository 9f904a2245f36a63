"""Keras' older names for dtype policies."""

from gpunn.config import DTypePolicy, dtype_policy, set_dtype_policy
from gpunn.optimizers import LossScaleOptimizer

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy

__all__ = ["DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy",
           "set_dtype_policy", "set_global_policy"]  # fmt: skip
