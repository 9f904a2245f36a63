"""How layers describe themselves: by the arguments they were made with, by the shapes they saw."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gpunn.layers.signature import build_parameters
from gpunn.objects import serialize

_PLAIN = (str, bool, int, float, type(None))


class Described:
    """`get_config`, `get_build_config` and the way back from the latter."""

    name: str
    built: bool
    build: Callable[..., None]
    _given: tuple[tuple, dict[str, Any]]  # the constructor's arguments
    _build_shapes: dict[str, Any] | None = None  # the arguments of `build`

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls)
        if not _tells_all(cls):  # else nobody asks for them
            object.__setattr__(layer, "_given", (args, kwargs))
        return layer

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain values.

        Where a subclass has arguments of its own and no `get_config`, they are what it was given;
        NotImplementedError if these are not plain.
        """
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}  # type: ignore[attr-defined]
        config["dtype"] = self._dtype_policy.name  # type: ignore[attr-defined]
        if self.activity_regularizer is not None:  # type: ignore[attr-defined]
            config["activity_regularizer"] = serialize(self.activity_regularizer)  # type: ignore[attr-defined]
        if not _tells_all(type(self)):
            return self._with_own_arguments(config)
        return config

    def _with_own_arguments(self, config: dict[str, Any]) -> dict[str, Any]:
        signature = inspect.signature(type(self).__init__)
        args, kwargs = self._given
        given = signature.bind(self, *args, **kwargs).arguments
        own: dict[str, Any] = {}
        takes_any = False
        for position, parameter in enumerate(signature.parameters.values()):
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_any = True
                own.update(given.get(parameter.name, {}))
            elif position and parameter.name in given:
                own[parameter.name] = given[parameter.name]
        for name, value in own.items():
            if name not in config and not _is_plain(value):
                raise NotImplementedError(
                    f"Layer '{self.name}' ({type(self).__name__}) was made with {name}={value!r}, "
                    f"which is not a plain value. Write a get_config() method for this class."
                )
        known = {k: v for k, v in config.items() if takes_any or k in signature.parameters}
        return {**own, **known}

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that `build` was called with, as `build_from_config` takes them."""
        shapes = self._build_shapes
        if not shapes:
            return None
        if len(build_parameters(type(self).build)) == 1:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": dict(shapes)}

    def build_from_config(self, config: Mapping[str, Any] | None) -> None:
        """Build the layer with the shapes that `get_build_config` gave."""
        if not config or self.built:
            return
        if "input_shape" in config:
            self.build(_as_shape(config["input_shape"]))
        elif "shapes_dict" in config:
            self.build(**{name: _as_shape(s) for name, s in config["shapes_dict"].items()})


def _tells_all(cls: type) -> bool:
    """Whether get_config knows the arguments of the constructor: no user's one comes after it."""
    for parent in cls.__mro__:
        if "get_config" in vars(parent):
            return True
        if "__init__" in vars(parent) and not parent.__module__.startswith("gpunn."):
            return False
    return True


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return isinstance(value, _PLAIN)


def _as_shape(value: Any) -> Any:
    """Shapes that have become lists, as those of JSON, as tuples again."""
    if isinstance(value, dict):
        return {name: _as_shape(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        numbers = all(n is None or isinstance(n, int) for n in value)
        return tuple(value) if numbers else [_as_shape(part) for part in value]
    return value
