"""gpunn: deep learning with Keras' interface, on NVIDIA GPUs by CuPy and on any laptop by NumPy.

>>> import gpunn as keras
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from gpunn.version import __version__

if _TYPE_CHECKING:
    from gpunn import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        dtype_policies,
        initializers,
        layers,
        losses,
        metrics,
        mixed_precision,
        models,
        ops,
        optimizers,
        preprocessing,
        random,
        regularizers,
        saving,
        tree,
        utils,
        wrappers,
    )
    from gpunn.autodiff.symbolic import SymbolicTensor as KerasTensor
    from gpunn.autodiff.tape import GradientTape, grad, no_grad, value_and_grad
    from gpunn.autodiff.tensor import Tensor
    from gpunn.autodiff.variable import Variable, name_scope
    from gpunn.backend.devices import device
    from gpunn.backend.memory import memory_stats, release_cache
    from gpunn.config import DTypePolicy
    from gpunn.dtype_policies import FloatDTypePolicy
    from gpunn.initializers import Initializer
    from gpunn.layers import Input, InputSpec, Layer
    from gpunn.losses import Loss
    from gpunn.metrics import Metric
    from gpunn.models import Model, Sequential
    from gpunn.optimizers import Optimizer
    from gpunn.regularizers import Regularizer
    from gpunn.training.function import function

_MODULES = (
    "activations", "backend", "callbacks", "config", "constraints", "dtype_policies",
    "initializers", "layers", "losses", "metrics", "mixed_precision", "models", "ops",
    "optimizers", "preprocessing", "random", "regularizers", "saving", "tree", "utils", "wrappers",
)  # fmt: skip

#: Where the names are. All is imported at first use, so that `import gpunn` is quick.
_NAMES = {
    "gpunn.autodiff.symbolic": ("KerasTensor",),
    "gpunn.autodiff.tape": ("GradientTape", "grad", "no_grad", "value_and_grad"),
    "gpunn.autodiff.tensor": ("Tensor",),
    "gpunn.autodiff.variable": ("Variable", "name_scope"),
    "gpunn.backend.devices": ("device",),
    "gpunn.backend.memory": ("memory_stats", "release_cache"),
    "gpunn.config": ("DTypePolicy",),
    "gpunn.dtype_policies": ("FloatDTypePolicy",),
    "gpunn.initializers": ("Initializer",),
    "gpunn.layers": ("Input", "InputSpec", "Layer"),
    "gpunn.losses": ("Loss",),
    "gpunn.metrics": ("Metric",),
    "gpunn.models": ("Model", "Sequential"),
    "gpunn.optimizers": ("Optimizer",),
    "gpunn.regularizers": ("Regularizer",),
    "gpunn.training.function": ("function",),
}
_WHERE = {name: module for module, names in _NAMES.items() for name in names}

_OTHER_NAMES = {"KerasTensor": "SymbolicTensor"}

__all__ = sorted({"__version__", "version", *_MODULES, *_WHERE})


def version() -> str:
    """The version of gpunn. (It hides the module of that name, whose content is above.)"""
    return __version__


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        value: _Any = _import_module(f"gpunn.{name}")
    elif name in _WHERE:
        _import_module("gpunn.ops")  # gives tensors their operators
        value = getattr(_import_module(_WHERE[name]), _OTHER_NAMES.get(name, name))
    else:
        raise AttributeError(
            f"module 'gpunn' has no attribute '{name}'. What Keras has and gpunn has not stands in "
            f"docs/keras-differences.md."
        )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
