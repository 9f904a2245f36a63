"""Layers that pad, crop and enlarge images of one to three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpunn import ops
from gpunn.arguments import is_whole
from gpunn.errors import ShapeError, unknown_name
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.ops.enlarge import enlarge
from gpunn.ops.resample import FUNCTIONS
from gpunn.ops.windows import data_format as checked_format
from gpunn.ops.windows import per_axis, split_shape

Pairs = tuple[tuple[int, int], ...]


def _pairs(owner: str, what: str, value: Any, rank: int) -> Pairs:
    """(before, after) for each axis: of a number, or of a number or pair for each axis."""
    given = (value,) if rank == 1 else value  # one axis has its pair without an outer one
    each = tuple(given) if isinstance(given, Sequence) else (given,) * rank
    pairs = tuple(tuple(v) if isinstance(v, Sequence) else (v, v) for v in each)
    if len(pairs) != rank or not all(len(p) == 2 and all(is_whole(n, 0) for n in p) for p in pairs):
        axes = "a pair (before, after)" if rank == 1 else f"{rank} integers or {rank} pairs"
        raise ValueError(
            f"{owner}: {what} must be a non-negative integer or {axes}, received {value!r}."
        )
    return tuple((int(a), int(b)) for a, b in pairs)


class _Spatial(Layer):
    """Base of layers for (N, *sizes, C), or (N, C, *sizes) with channels_first."""

    rank: int  # how many spatial axes

    def __init__(self, data_format: str | None, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = checked_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _full(self, values: Sequence[Any], other: Any) -> tuple:
        """One value an axis of the input: `values` for the spatial ones."""
        if self.data_format == "channels_last":
            return (other, *values, other)
        return (other, other, *values)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class _ZeroPadding(_Spatial):
    """Base of the layers that put zeros around images."""

    def __init__(self, padding: Any, data_format: str | None, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self._pairs = _pairs(type(self).__name__, "padding", padding, self.rank)
        self.padding = self._pairs[0] if self.rank == 1 else self._pairs

    def call(self, inputs: Any) -> Any:
        return ops.pad(inputs, self._full(self._pairs, (0, 0)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": self.padding}


class ZeroPadding1D(_ZeroPadding):
    """Zeros around (N, T, C): T -> before + T + after.

    >>> gpunn.layers.ZeroPadding1D((2, 0))
    """

    rank = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any):
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding2D(_ZeroPadding):
    """Zeros around (N, H, W, C): `padding` is a number, one for each axis, or pairs.

    >>> gpunn.layers.ZeroPadding2D(((1, 0), (2, 2)))
    """

    rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any):
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding3D(_ZeroPadding):
    """Zeros around (N, D, H, W, C): `padding` is a number, one for each axis, or pairs."""

    rank = 3

    def __init__(
        self,
        padding: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(padding, data_format, **kwargs)


class _Cropping(_Spatial):
    """Base of the layers that cut off the borders of images."""

    def __init__(self, cropping: Any, data_format: str | None, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self._pairs = _pairs(type(self).__name__, "cropping", cropping, self.rank)
        self.cropping = self._pairs[0] if self.rank == 1 else self._pairs

    def call(self, inputs: Any) -> Any:
        key = []
        for n, (before, after) in zip(inputs.shape, self._full(self._pairs, (0, 0)), strict=True):
            if n is not None and before + after >= n and before + after:
                raise ShapeError(
                    f"{type(self).__name__} '{self.name}': cropping {self.cropping} leaves nothing "
                    f"of an axis of length {n} (input {tuple(inputs.shape)}). Crop less."
                )
            key.append(slice(before or None, -after or None))
        return ops.getitem(inputs, tuple(key))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cropping": self.cropping}


class Cropping1D(_Cropping):
    """(N, T, C) without the first and last steps.

    >>> gpunn.layers.Cropping1D((2, 0))
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any):
        super().__init__(cropping, "channels_last", **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]  # Keras has no other order here
        return config


class Cropping2D(_Cropping):
    """(N, H, W, C) without borders: `cropping` is a number, one for each axis, or pairs.

    >>> gpunn.layers.Cropping2D(((1, 0), (2, 2)))
    """

    rank = 2

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ):
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """(N, D, H, W, C) without borders: `cropping` is a number, one for each axis, or pairs."""

    rank = 3

    def __init__(
        self,
        cropping: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(cropping, data_format, **kwargs)


class _UpSampling(_Spatial):
    """Base of the layers that make images larger by whole factors."""

    def __init__(self, size: Any, data_format: str | None, **kwargs: Any):
        super().__init__(data_format, **kwargs)
        self._factors = per_axis(type(self).__name__, "size", size, self.rank)
        self.size: Any = self._factors

    def call(self, inputs: Any) -> Any:
        return enlarge(inputs, factors=self._full(self._factors, 1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


class UpSampling1D(_UpSampling):
    """(N, T, C) -> (N, size · T, C): each step `size` times.

    >>> gpunn.layers.UpSampling1D(3)
    """

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any):
        super().__init__(size, "channels_last", **kwargs)
        self.size = self._factors[0]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]  # Keras has no other order here
        return config


class UpSampling2D(_UpSampling):
    """(N, H, W, C) -> (N, a H, b W, C) for size (a, b), or a number for both.

    `interpolation`: "nearest" repeats pixels; "bilinear", "bicubic", "lanczos3" and "lanczos5" are
    those of `gpunn.ops.image.resize`.

    >>> gpunn.layers.UpSampling2D(2, interpolation="bilinear")
    """

    rank = 2
    _uses_lengths = True

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ):
        super().__init__(size, data_format, **kwargs)
        known = (*FUNCTIONS, "nearest")
        if str(interpolation).lower() not in known:
            raise unknown_name("interpolation of UpSampling2D", interpolation, known)
        self.interpolation = interpolation.lower()

    def call(self, inputs: Any) -> Any:
        if self.interpolation == "nearest":
            return super().call(inputs)
        _, sizes, _ = split_shape(inputs.shape, self.data_format)
        new = tuple(n * f for n, f in zip(sizes, self._factors, strict=True))
        return ops.image.resize(inputs, new, self.interpolation, data_format=self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "interpolation": self.interpolation}


class UpSampling3D(_UpSampling):
    """(N, D, H, W, C) -> (N, a D, b H, c W, C) for size (a, b, c), or a number for all."""

    rank = 3

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any):
        super().__init__(size, data_format, **kwargs)
