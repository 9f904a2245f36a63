"""A model's variables as nested dicts, by their paths, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.errors import unknown_name

_FORMATS = ("backend_tensor", "numpy_array")


class StateTree:
    """`get_state_tree` and `set_state_tree` of models."""

    def _variables_by_kind(self: Any) -> dict[str, Sequence[Variable]]:
        return {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": self.optimizer.variables if self.compiled else [],
            "metrics_variables": self.metrics_variables,
        }

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, dict]:
        """{"trainable_variables": {"dense": {"kernel": ...}}, "non_trainable_variables": ...,
        "optimizer_variables": ..., "metrics_variables": ...}, copies of the values.

        `value_format`: "backend_tensor", or "numpy_array".

        >>> twin.set_state_tree(model.get_state_tree())
        """
        if value_format not in _FORMATS:
            raise unknown_name("value_format", value_format, _FORMATS)
        as_numpy = value_format == "numpy_array"
        tree: dict[str, dict] = {}
        for kind, variables in self._variables_by_kind().items():
            tree[kind] = {}
            for path, variable in _by_path(variables).items():
                *folders, name = path.split("/")
                place = tree[kind]
                for folder in folders:
                    place = place.setdefault(folder, {})
                place[name] = variable.numpy().copy() if as_numpy else _copy(variable)
        return tree

    def set_state_tree(self, state_tree: Mapping[str, Mapping]) -> None:
        """Set the variables that a tree of `get_state_tree` names; the others stay. All fit, or
        none is set.
        """
        known = self._variables_by_kind()
        pairs = []
        for kind, tree in state_tree.items():
            if kind not in known:
                raise unknown_name("part of a state tree", kind, known)
            variables = _by_path(known[kind])
            for path, value in _leaves(tree):
                if path not in variables:
                    raise unknown_name(f"path in {kind}", path, variables)
                pairs.append((variables[path], value))
        for variable, value in pairs:
            shape = tuple(getattr(value, "shape", ()))
            if shape != tuple(variable.shape):
                raise ValueError(
                    f"set_state_tree: '{variable.path}' has shape {tuple(variable.shape)}, "
                    f"received a value of shape {shape}."
                )
        for variable, value in pairs:
            variable.assign(value)


def _copy(variable: Variable) -> Tensor:
    return Tensor(variable.data.copy())


def _by_path(variables: Sequence[Variable]) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    for variable in variables:
        if variable.path in found:
            raise ValueError(
                f"State tree: two variables have the path '{variable.path}'. Give layers and "
                f"metrics names of their own."
            )
        found[variable.path] = variable
    return found


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of each leaf."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}/")
        else:
            yield f"{above}{name}", value
