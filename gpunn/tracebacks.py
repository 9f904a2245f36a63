"""Tracebacks that end at the user's line: gpunn's own frames are left out of them."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from gpunn import config

_F = TypeVar("_F", bound=Callable[..., Any])

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STANDARD = sysconfig.get_paths()["stdlib"] + os.sep
_SITE = tuple(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))


def filter_traceback(function: _F) -> _F:
    """`function`, for users to call: what is raised in it shows only the user's own frames.

    A frame goes when its code is gpunn's, or the standard library's on gpunn's behalf. Where none
    would remain, the innermost one stays. `gpunn.config.disable_traceback_filtering()` keeps all.
    The exception itself stays the same object, and so do its causes, whose frames are filtered too.
    """

    @functools.wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if config.is_traceback_filtering_enabled():
                _filter_chain(error)
            raise

    return filtered  # type: ignore[return-value]


def _filter_chain(error: BaseException) -> None:
    """Filter the frames of an error, of its causes, and of what was being handled."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            found.__traceback__ = _users_frames(found.__traceback__)
            waiting += [found.__cause__, found.__context__]


def _users_frames(traceback: TracebackType | None) -> TracebackType | None:
    """The same traceback without gpunn's frames; only the innermost if there are no others."""
    entries = list(_entries(traceback))
    kept, inside = [], False
    for entry in entries:
        path = entry.tb_frame.f_code.co_filename
        inside = path.startswith(_OURS) or (inside and _is_standard(path))
        if not inside:
            kept.append(entry)
    following = None
    for entry in reversed(kept or entries[-1:]):
        following = TracebackType(following, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return following


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_standard(path: str) -> bool:
    return path.startswith((_STANDARD, "<frozen ")) and not path.startswith(_SITE)


def warn_user(message: str) -> None:
    """A warning that names the innermost line outside of gpunn."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
