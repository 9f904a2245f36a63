"""ContrastLimitedAdaptiveHistogramEqualization: contrast, tile by tile."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.layers.augmentation_color import checked_range
from gpunn.layers.augmentation_tone import _Determined
from gpunn.ops.windows import per_axis

_LEVELS = 256


class ContrastLimitedAdaptiveHistogramEqualization(_Determined):
    """y = 255 (F(x) - F(0)) / (1 - F(0)), F the share of values up to x in the tile around a pixel,
    linear between the middles of tiles; in training and at inference (CLAHE).

    A level's share of a tile is held to `clip_limit` / 256 (0: not at all), the rest is given to
    all levels alike. `tile_grid_size`: how many tiles (along the height, along the width); images
    are mirrored at their ends to fit. Each channel is by itself.  Pizer et al. 1987

    >>> gpunn.layers.ContrastLimitedAdaptiveHistogramEqualization(value_range=(0, 1), clip_limit=2)
    """

    settings = ("value_range", "clip_limit", "tile_grid_size")
    _uses_lengths = True

    def __init__(
        self, value_range: Any = (0, 255), clip_limit: float = 4.0, tile_grid_size: Any = (8, 8),
        data_format: str | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(None, data_format, **kwargs)
        kind = type(self).__name__
        self.value_range = checked_range(kind, value_range)
        if isinstance(clip_limit, bool) or not isinstance(clip_limit, (int, float)):
            raise ValueError(f"{kind}: clip_limit must be a number, received {clip_limit!r}.")
        self.clip_limit = clip_limit
        self.tile_grid_size = per_axis(kind, "tile_grid_size", tile_grid_size, 2)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        axis = 3 if self.data_format == "channels_last" else 1
        x = self._bytes(ops.moveaxis(ops.cast(images, "float32"), axis, 1))
        y = self._bytes(ops.moveaxis(self._equalized(x), 1, axis), back=True)
        return ops.cast(y, images.dtype)

    def _equalized(self, x: Any) -> Any:
        """x (N, C, H, W), values from 0 to 255."""
        n, channels, *lengths = x.shape
        grid = self.tile_grid_size
        tile = tuple(-(-length // k) for length, k in zip(lengths, grid))
        for axis, (length, k, size) in enumerate(zip(lengths, grid, tile), start=2):
            x = _mirrored(x, axis, k * size - length)
        levels = ops.cast(ops.clip(x, 0.0, 255.0), "int32")
        table = self._table(levels, tile)
        (rows, down), (columns, right) = map(_between, grid, tile)
        image = ops.reshape(ops.arange(n * channels), (n, channels, 1, 1)) * (grid[0] * grid[1])
        y: Any = 0.0
        for row, tall in zip(rows, (1 - down, down)):
            for column, wide in zip(columns, (1 - right, right)):
                at = image + ops.expand_dims(row * grid[1], -1) + column
                weight = ops.expand_dims(tall, -1) * wide
                y = ops.take(table, at * _LEVELS + levels) * weight + y
        return y[:, :, : lengths[0], : lengths[1]]

    def _table(self, levels: Any, tile: tuple[int, ...]) -> Any:
        """The new value of each level in each tile, all in one row."""
        (n, channels), (rows, columns) = levels.shape[:2], self.tile_grid_size
        parts = ops.reshape(levels, (n, channels, rows, tile[0], columns, tile[1]))
        pixels = tile[0] * tile[1]
        parts = ops.reshape(ops.transpose(parts, (0, 1, 2, 4, 3, 5)), (-1, pixels))
        counts = ops.token_counts(parts, _LEVELS, dtype="float32")
        if self.clip_limit > 0:
            held = ops.minimum(counts, self.clip_limit * pixels / _LEVELS)
            counts = held + ops.sum(counts - held, axis=-1, keepdims=True) / _LEVELS
        sums = ops.cumsum(counts, axis=-1)
        lowest = sums[:, :1]
        rest = pixels - lowest
        table = (sums - lowest) * 255 / ops.where(ops.equal(rest, 0.0), 1.0, rest)
        return ops.reshape(ops.clip(table, 0.0, 255.0), (-1,))


def _between(tiles: int, size: int) -> tuple[tuple[Any, Any], Any]:
    """The tiles whose middles are before and after each pixel, and how far it is between them."""
    place = (ops.cast(ops.arange(tiles * size), "float32") - size / 2) / size
    before = ops.floor(place)
    share, first = place - before, ops.cast(before, "int32")
    return (ops.clip(first, 0, tiles - 1), ops.clip(first + 1, 0, tiles - 1)), share


def _mirrored(x: Any, axis: int, missing: int) -> Any:
    """x with so many more elements at the end of an axis: ... b c d | d c b a a b ..."""
    while missing > 0:
        more = min(missing, x.shape[axis])
        pads = [(0, more if a == axis else 0) for a in range(4)]
        x, missing = ops.pad(x, pads, mode="symmetric"), missing - more
    return x
