"""Models: layers of layers that learn."""

from gpunn.layers import make_known
from gpunn.models.cloning import clone_model
from gpunn.models.model import Model, model_from_json
from gpunn.models.sequential import Sequential

make_known(Model, Sequential, Functional=Model)

__all__ = ["Model", "Sequential", "clone_model", "model_from_json"]
