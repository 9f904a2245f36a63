"""What `compile` was given, as plain values and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn.saving.serialization import deserialize_keras_object, serialize_keras_object


class CompileConfig:
    """`get_compile_config` and `compile_from_config` of models."""

    _compile_given: Mapping[str, Any] = {}  # the arguments of `compile`

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile` as plain values; empty before it."""
        return {name: serialize_keras_object(v) for name, v in self._compile_given.items()}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile with what `get_compile_config` gave.

        >>> twin.compile_from_config(model.get_compile_config())
        """
        if config:
            self.compile(**{k: deserialize_keras_object(v) for k, v in config.items()})  # type: ignore[attr-defined]
