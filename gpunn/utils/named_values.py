"""Config: named values as attributes and items."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from gpunn.errors import unknown_name


class Config(MutableMapping):
    """A dict whose values are attributes, too; `freeze` protects it against changes.

    Iterating gives the names in alphabetical order.

    >>> settings = gpunn.utils.Config(rate=0.1)
    >>> settings.epochs = 20
    >>> settings.freeze()
    >>> settings.to_json()
    '{"rate": 0.1, "epochs": 20}'
    """

    _values: dict[str, Any]
    _frozen: bool

    def __init__(self, **kwargs: Any):
        vars(self).update(_values=kwargs, _frozen=False)

    # --- freezing ---

    @property
    def frozen(self) -> bool:
        """Whether changes are refused."""
        return self._frozen

    def freeze(self) -> None:
        """Refuse changes from now on."""
        vars(self)["_frozen"] = True

    def unfreeze(self) -> None:
        """Take changes again."""
        vars(self)["_frozen"] = False

    def _changeable(self) -> dict[str, Any]:
        if self._frozen:
            raise ValueError("Config: it is frozen. Call unfreeze() before changing it.")
        return self._values

    # --- as a dict ---

    def as_dict(self) -> dict[str, Any]:
        """The values in a dict of its own."""
        return dict(self._values)

    def to_json(self) -> str:
        """The values as JSON."""
        return json.dumps(self._values)

    def get(self, keyname: str, value: Any = None) -> Any:
        """The value of this name, or `value`."""
        return self._values.get(keyname, value)

    def pop(self, *args: Any) -> Any:
        """Take a value out: of the name, or the default after it."""
        return self._changeable().pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set values, as `dict.update`."""
        self._changeable().update(*args, **kwargs)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, item: Any) -> None:
        self._changeable()[key] = item

    def __delitem__(self, key: str) -> None:
        del self._changeable()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._values))

    def __len__(self) -> int:
        return len(self._values)

    # --- as attributes ---

    def __getattr__(self, name: str) -> Any:
        values = vars(self).get("_values", {})  # not there yet while it is copied
        if name not in values:
            raise AttributeError(str(unknown_name("name in Config", name, values)))
        return values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise AttributeError(
                f"Config: '{name}' is what it does or is. Write config[{name!r}] = ... for a value "
                f"of this name."
            )
        self[name] = value

    def __repr__(self) -> str:
        return f"<Config {self._values}>"
