"""A count of what makes recorded steps stale: settings that changed, weights that moved."""

from __future__ import annotations


class _Changes:
    """`count` goes up with each change; a recording remembers the count at which it was made."""

    count = 0


changes = _Changes()


def note_change() -> None:
    """Say that recordings made so far may not mean what the code would do now."""
    changes.count += 1
