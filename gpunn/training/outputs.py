"""Outputs: what a model returns, as a list under names, and what belongs to each part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn.structure import leaves


class Outputs:
    """The form of a model's outputs: one tensor, a list, or a dict (in the order of its keys).

    `names`: those of a model made of symbolic outputs; a dict brings its own.
    """

    def __init__(self, y_pred: Any, names: Sequence[str] | None = None):
        self.keys = sorted(y_pred) if isinstance(y_pred, Mapping) else None
        self.count = len(self.flat(y_pred))
        found = self.keys or names
        self.names = None if found is None or len(found) != self.count else list(found)

    def flat(self, y_pred: Any) -> list[Any]:
        """The outputs as a list."""
        if self.keys is not None:
            return [part for key in self.keys for part in leaves(y_pred[key])]
        return leaves(y_pred) if isinstance(y_pred, (list, tuple)) else [y_pred]

    def spread(self, what: str, value: Any, share: bool = False) -> list[Any]:
        """The part of each output: of a list in this order, or of a dict by names.

        `share`: a single value is that of all outputs.
        """
        if value is None:
            return [None] * self.count
        if isinstance(value, Mapping):
            return self._by_name(what, value)
        if isinstance(value, (list, tuple)):
            if len(value) != self.count:
                raise ValueError(
                    f"The model has {self.count} outputs{self._listed()}, received {len(value)} "
                    f"for {what}. Give one for each output, None where there is none."
                )
            return list(value)
        if self.count > 1 and not share:
            raise ValueError(
                f"The model has {self.count} outputs{self._listed()}, received a single value for "
                f"{what}. Give a list or a dict of {self.count}."
            )
        return [value] * self.count

    def _by_name(self, what: str, value: Mapping[str, Any]) -> list[Any]:
        if self.names is None:
            raise ValueError(
                f"{what} is a dict ({sorted(value)}), but the model's outputs have no names. "
                f"Give a list, or let the model return a dict."
            )
        unknown = [key for key in value if key not in self.names]
        if unknown:
            raise ValueError(
                f"{what} has the key '{unknown[0]}', but the outputs are {self.names}. Use their "
                f"names."
            )
        return [value.get(name) for name in self.names]

    def _listed(self) -> str:
        return f" ({', '.join(self.names)})" if self.names else ""
