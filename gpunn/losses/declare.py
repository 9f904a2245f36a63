"""Classes made of functions: their constructors, options and configs follow from a signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any

from gpunn.arguments import real_number, true_or_false
from gpunn.objects import Configurable

#: What a value must be, by the type of the option's default.
_CHECKS: dict[type, Callable[..., Any]] = {bool: true_or_false, float: real_number}

_COMMON = {
    "reduction": Parameter(
        "reduction",
        Parameter.POSITIONAL_OR_KEYWORD,
        default="sum_over_batch_size",
        annotation="str | None",
    ),
    "name": Parameter("name", Parameter.POSITIONAL_OR_KEYWORD, annotation="str | None"),
    "dtype": Parameter("dtype", Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation="Any"),
}


class OfFunction(Configurable):
    """Mixin of wrappers `Wrapper(fn, ..., **options)`: a subclass names its function, that is all.

    >>> class Huber(StandardLoss, of=huber, name="huber_loss"):
    ...     "The mean of e²/2 where |e| ≤ delta, else delta (|e| - delta/2)."

    Its constructor takes the options of the function behind y_true and y_pred, with their defaults,
    and what the wrapper takes; each option is an attribute and stands in the config.

    `order`: the names of the arguments in Keras' order, `*` for all options not named.
    `check`: a function called with the options as keywords, that raises where one is wrong.
    Other keywords are defaults that differ from the function's; the default name is the function's.
    """

    _order = "*"

    def __init_subclass__(
        cls,
        of: Callable[..., Any] | None = None,
        order: str | None = None,
        check: Callable[..., None] | None = None,
        **defaults: Any,
    ):
        super().__init_subclass__()
        if of is None:
            return
        signature = _signature(of, order or cls._order, {"name": of.__name__, **defaults})
        cls.__init__ = _constructor(cls, of, signature, check)  # type: ignore[method-assign]
        for option in set(signature.parameters) - {"self", *_COMMON}:
            setattr(cls, option, _option(option))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: the function is the class's own."""
        return {key: value for key, value in super().get_config().items() if key != "fn"}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An object with this config."""
        return cls(**config)


def _signature(fn: Callable[..., Any], order: str, defaults: Mapping[str, Any]) -> Signature:
    """`(self, ...)` with the arguments in their order."""
    _, _, *options = inspect.signature(fn).parameters.values()
    known = {p.name: p for p in options} | _COMMON
    rest = [p.name for p in options if p.name not in order.split()]
    names = order.replace("*", " ".join(rest)).split()
    changed = {n: known[n].replace(default=defaults[n]) for n in names if n in defaults}
    me = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    return Signature([me, *({**known, **changed}[name] for name in names)])


def _constructor(
    cls: Any, fn: Callable[..., Any], signature: Signature, check: Callable[..., None] | None
) -> Any:
    """An `__init__` of this signature that hands its arguments to the wrapper."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        try:
            given = signature.bind(self, *args, **kwargs)
        except TypeError as error:
            known = ", ".join(list(signature.parameters)[1:])
            raise TypeError(f"{cls.__name__}: {error}. Its arguments are: {known}.") from None
        given.apply_defaults()
        arguments = {k: _plain(v) for k, v in given.arguments.items() if k != "self"}
        if check is not None:
            check(cls.__name__, **{k: v for k, v in arguments.items() if k not in _COMMON})
        for option, value in arguments.items():
            expected = _CHECKS.get(type(signature.parameters[option].default))
            if expected is not None and not isinstance(value, list):  # one for each class
                expected(f"{cls.__name__}: {option}", value)
        super(cls, self).__init__(fn, **arguments)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    return __init__


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's, so that configs are plain and can be compared."""
    return value.tolist() if type(value).__module__ == "numpy" else value


def _option(name: str) -> property:
    """An option as an attribute; a new value makes recorded steps stale, as `options` does."""

    def put(self: Any, value: Any) -> None:
        self.options = {**self.options, name: value}

    return property(lambda self: self.options[name], put, doc=f"The option `{name}`.")
