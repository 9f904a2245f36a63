"""A convolution as a matrix product: the sizes that its CUDA routes share."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from gpunn.backend.cuda import contiguous
from gpunn.backend.protocol import Array
from gpunn.ops.windows import Windows

_BLOCKS = 256  # that keep a GPU busy; fewer tiles than that are split along the inner dimension
_SHORTEST = 256  # part of an inner dimension that is worth a block of its own
_LONGEST = 2**31 - 1  # rows, columns and inner dimension are 32-bit integers


class Product(NamedTuple):
    """out (rows, columns) = a (rows, inner) b (inner, columns), in each of the groups."""

    rows: int
    columns: int
    inner: int
    channels: int  # of all groups
    filters: int
    groups: int

    def grid(self, tile: int) -> tuple[int, int, int]:
        """Tiles of the rows, tiles of the columns, groups."""
        return -(-self.rows // tile), -(-self.columns // tile), self.groups

    def splits(self, tile: int) -> int:
        """Parts of the inner dimension that fill a GPU where the tiles of the result do not."""
        return max(1, min(_BLOCKS // prod(self.grid(tile)), self.inner // _SHORTEST))


def product_of(
    mode: str, a: Array, b: Array, *rest: Array | None, windows: Windows, groups: int
) -> Product | None:
    """What FORWARD, BACKWARD_INPUT or BACKWARD_KERNEL multiplies, None if no route may."""
    out = rest[-1]
    given = [x for x in (a, b, *rest) if x is not None]
    if out is None or any(x.size == 0 for x in given) or not contiguous(*given):
        return None
    taps = prod(windows.kernel)
    if mode == "BACKWARD_KERNEL":
        channels, filters = a.shape[-1], b.shape[-1]
        rows, columns, inner = taps * channels // groups, filters, b.size // filters
    else:
        channels, filters = b.shape[-2] * groups, b.shape[-1]
        rows, columns = out.size // out.shape[-1], out.shape[-1]
        inner = taps * a.shape[-1] // groups
    if max(rows, a.size // a.shape[-1] * taps) > _LONGEST:
        return None
    return Product(rows, columns // groups, inner, channels, filters, groups)
