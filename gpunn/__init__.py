"""gpunn: deep learning with Keras' interface, on NVIDIA GPUs by CuPy and on any laptop by NumPy.

>>> import gpunn as keras
"""

from gpunn import (
    activations,
    callbacks,
    config,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    preprocessing,
    random,
    regularizers,
    utils,
)
from gpunn.autodiff.symbolic import SymbolicTensor as KerasTensor
from gpunn.autodiff.tape import GradientTape, grad, no_grad, value_and_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable, name_scope
from gpunn.backend.devices import device
from gpunn.backend.memory import memory_stats, release_cache
from gpunn.initializers import Initializer
from gpunn.layers import Input, Layer
from gpunn.losses import Loss
from gpunn.metrics import Metric
from gpunn.models import Model, Sequential
from gpunn.optimizers import Optimizer
from gpunn.regularizers import Regularizer
from gpunn.training.function import function
from gpunn.version import __version__

__all__ = [name for name in dir() if not name.startswith("_")]
