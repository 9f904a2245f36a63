"""Checks of the arguments that all optimizers share."""

from __future__ import annotations

from typing import Any

from gpunn.arguments import is_number


def within(
    owner: Any, *names: str, low: float = 0, high: float = 1, open_end: bool = False
) -> None:
    """Attributes of an optimizer that are numbers in [low, high], or [low, high)."""
    for name in names:
        value = getattr(owner, name)
        if not is_number(value) or not low <= value <= high or (open_end and value == high):
            raise ValueError(
                f"{type(owner).__name__}: {name} must lie in [{low}, {high}"
                f"{')' if open_end else ']'}, received {value!r}."
            )


def not_negative(owner: Any, *names: str) -> None:
    """Attributes of an optimizer that are numbers of at least 0."""
    for name in names:
        value = getattr(owner, name)
        if not is_number(value) or not value >= 0:
            raise ValueError(
                f"{type(owner).__name__}: {name} must be a number of at least 0, received "
                f"{value!r}."
            )


def positive(**values: Any) -> None:
    """Numbers above 0, or None."""
    for name, value in values.items():
        if value is not None and not (is_number(value) and value > 0):
            raise ValueError(f"{name} must be positive, received {value!r}.")


def clips(**values: Any) -> None:
    """At most one of them, and that positive."""
    given = {name: value for name, value in values.items() if value is not None}
    if len(given) > 1:
        raise ValueError(
            f"At most one of clipnorm, clipvalue and global_clipnorm can be set, received {given}."
        )
    positive(**given)


def weight_decay(value: Any) -> None:
    """A number of at least 0, or None."""
    if value is not None and not (is_number(value) and value >= 0):
        raise ValueError(
            f"weight_decay must be a number of at least 0 or None, received {value!r}."
        )


def averages(use_ema: bool, momentum: Any, overwrite: Any) -> None:
    """The settings of the moving average of weights."""
    if not use_ema:
        return
    if not is_number(momentum) or not 0 <= momentum <= 1:
        raise ValueError(f"ema_momentum must lie in [0, 1], received {momentum!r}.")
    if overwrite and (type(overwrite) is not int or overwrite < 1):
        raise ValueError(
            f"ema_overwrite_frequency must be a positive integer or None, received {overwrite!r}."
        )


def accumulation(steps: Any) -> None:
    """A number of steps whose gradients are summed up, or None."""
    if steps and (type(steps) is not int or steps < 2):
        raise ValueError(
            f"gradient_accumulation_steps must be an integer of at least 2, received {steps!r}."
        )
