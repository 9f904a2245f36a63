"""A count of what makes recorded steps stale: settings that changed, weights that moved."""

from __future__ import annotations


class _Changes:
    """`count` goes up with each change; a recording remembers the count at which it was made."""

    def __init__(self) -> None:
        self.count = self.newest = 0
        self.switched: frozenset[int] = frozenset()  # whose switch is not as at the last change
        self.counts = {self.switched: 0}


changes = _Changes()


def note_change() -> None:
    """Say that recordings made so far may not mean what the code would do now."""
    changes.count = changes.newest = changes.newest + 1
    changes.switched = frozenset()
    changes.counts = {changes.switched: changes.count}


def note_switch(owner: object) -> None:
    """A change that can be taken back: with all switches as before, the count is as before.

    So both halves of a GAN stay recorded, although one of them is frozen and thawed in each step.
    """
    changes.switched ^= {id(owner)}  # a new owner of an old id is itself a change
    if changes.switched not in changes.counts:
        changes.newest += 1
        changes.counts[changes.switched] = changes.newest
    changes.count = changes.counts[changes.switched]
