"""Models: layers of layers that learn."""

from gpunn.models.model import Model
from gpunn.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
