"""gpunn: deep learning with Keras' interface, on NVIDIA GPUs by CuPy and on any laptop by NumPy.

>>> import gpunn as keras
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from gpunn import (
    activations,
    config,
    constraints,
    initializers,
    losses,
    metrics,
    ops,
    optimizers,
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
from gpunn.losses import Loss
from gpunn.metrics import Metric
from gpunn.optimizers import Optimizer
from gpunn.regularizers import Regularizer
from gpunn.version import __version__

if _TYPE_CHECKING:
    from gpunn import callbacks, layers, models, preprocessing
    from gpunn.layers import Input, Layer
    from gpunn.models import Model, Sequential
    from gpunn.training.function import function

#: Imported at first use, so that `import gpunn` is quick: the name and where it is.
_LATER = {
    "callbacks": "gpunn.callbacks", "layers": "gpunn.layers", "models": "gpunn.models",
    "preprocessing": "gpunn.preprocessing", "Input": "gpunn.layers", "Layer": "gpunn.layers",
    "Model": "gpunn.models", "Sequential": "gpunn.models", "function": "gpunn.training.function",
}  # fmt: skip

__all__ = sorted({name for name in dir() if not name.startswith("_")} | set(_LATER))


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        raise AttributeError(f"module 'gpunn' has no attribute '{name}'")
    module = _import_module(_LATER[name])
    value = module if _LATER[name] == f"gpunn.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
