"""Where a kernel's arrays lie during a launch.

Each array is copied into a staging area with 64 KiB of nothing around it, so that an index that
runs out of one array cannot land in another. Arrays that share memory are copied as one.
"""

import ctypes
from dataclasses import dataclass, field

import numpy as np

_GAP = 1 << 16
_ALIGNMENT = 256  # of cudaMalloc


@dataclass
class _Span:
    """A stretch of host memory [begin, end) that one or more arguments lie in."""

    begin: int
    end: int
    granularity: int
    readonly: bool
    names: list
    arguments: list = field(default_factory=list)  # (position, address of its first element)
    staged: int = 0

    @property
    def nbytes(self):
        return self.end - self.begin

    def absorb(self, other):
        self.begin, self.end = min(self.begin, other.begin), max(self.end, other.end)
        self.granularity = min(self.granularity, other.granularity)
        self.readonly = self.readonly and other.readonly
        self.names = other.names + self.names
        self.arguments += other.arguments


class _Area:
    """Memory for the copies; grows, and is used again by the next launch."""

    buffer = np.empty(0, np.uint8)

    @classmethod
    def address(cls, nbytes):
        if cls.buffer.nbytes < nbytes:
            cls.buffer = np.empty(2 * nbytes, np.uint8)
        return cls.buffer.ctypes.data


class Staging:
    """The arrays of one launch: add() each, place() all, bring_back() what was written."""

    def __init__(self):
        self._spans = []

    def add(self, position, array, name, readonly):
        begin = end = array.ctypes.data
        if array.size:
            begin, end = np.lib.array_utils.byte_bounds(array)
        span = _Span(begin, end, array.itemsize, readonly, [name], [(position, array.ctypes.data)])
        apart = []
        for other in self._spans:
            if other.begin < span.end and span.begin < other.end:
                span.absorb(other)
            else:
                apart.append(other)
        self._spans = [*apart, span]

    def place(self, library):
        """Copy everything, tell the runtime, and return {position: address}."""
        size = sum(span.nbytes + _GAP + 2 * _ALIGNMENT for span in self._spans) + _GAP
        free = _Area.address(size) + _GAP
        addresses = {}
        for span in self._spans:
            # as well aligned as it was on the host, up to what cudaMalloc promises
            span.staged = free + (span.begin - free) % _ALIGNMENT
            ctypes.memmove(span.staged, span.begin, span.nbytes)
            free = span.staged + span.nbytes + _GAP
            library.emu_add_array(
                ctypes.c_void_p(span.staged),
                ctypes.c_size_t(span.nbytes),
                ctypes.c_size_t(span.granularity),
                " or ".join(span.names).encode(),
                int(span.readonly),
            )
            for position, address in span.arguments:
                addresses[position] = span.staged + address - span.begin
        return addresses

    def bring_back(self):
        for span in self._spans:
            if not span.readonly:
                ctypes.memmove(span.begin, span.staged, span.nbytes)
