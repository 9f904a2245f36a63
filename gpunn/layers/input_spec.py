"""InputSpec: what a layer accepts, checked before it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.errors import ShapeError
from gpunn.tree import flatten


class InputSpec:
    """Rank, lengths and dtype that an input must have.

    `shape`: all lengths, None for any; `ndim`: the exact rank; `min_ndim`, `max_ndim`: its bounds;
    `axes`: length by axis. `optional`: None may be given. `allow_last_axis_squeeze`: a last axis
    of length 1 may be missing or too much.

    >>> InputSpec(min_ndim=2, axes={-1: 64})
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: SymbolicShape | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ):
        self.dtype = None if dtype is None else as_dtype(dtype).name
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(axis): length for axis, length in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name, self.optional = name, optional

    def check(self, x: Any, layer_name: str) -> None:
        """Raise a ShapeError if the shape of `x` does not fit, a ValueError if its dtype."""
        shape = tuple(x.shape)
        problem = self._problem(shape)
        if problem:
            raise ShapeError(
                f"Input of layer '{layer_name}' is incompatible with the layer: {problem}. "
                f"Full shape received: {shape}.{self._remedy(shape)}"
            )
        if self.dtype is not None and as_dtype(x.dtype).name != self.dtype:
            raise ValueError(
                f"Input of layer '{layer_name}' is incompatible with the layer: expected "
                f"dtype={self.dtype}, found dtype={as_dtype(x.dtype).name}. Cast it."
            )

    def _problem(self, shape: SymbolicShape) -> str | None:
        if self.shape is not None and self.allow_last_axis_squeeze:
            shape = _as_long(shape, self.shape)
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            return f"expected ndim={self.ndim}, found ndim={rank}"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"expected min_ndim={self.min_ndim}, found ndim={rank}"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"expected max_ndim={self.max_ndim}, found ndim={rank}"
        for axis, length in self.axes.items():
            if length is not None and shape[axis] not in (length, None):
                return f"expected axis {axis} to have length {length}, found {shape[axis]}"
        for length, found in zip(self.shape or (), shape):
            if None not in (length, found) and length != found:
                return f"expected shape={self.shape}, found shape={shape}"
        return None

    def _remedy(self, shape: SymbolicShape) -> str:
        """What is missing most often."""
        wanted = self.min_ndim if self.ndim is None else self.ndim
        if wanted != len(shape) + 1:
            return ""
        steps = " a recurrent layer before it needs return_sequences=True;" if wanted == 3 else ""
        return (
            f" One axis is missing:{steps} x[None] is a batch of one, x[..., None] has a channel."
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> InputSpec:
        """The spec with this config."""
        return cls(**config)

    def __repr__(self) -> str:
        given = {k: v for k, v in vars(self).items() if v}
        return f"InputSpec({', '.join(f'{k}={v}' for k, v in given.items())})"

    def __eq__(self, other: Any) -> bool:
        return type(other) is InputSpec and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def _as_long(shape: SymbolicShape, wanted: SymbolicShape) -> SymbolicShape:
    """The shape with a last axis of 1 less or more, where that makes its rank the wanted one."""
    if len(shape) == len(wanted) + 1 and shape[-1] == 1:
        return shape[:-1]
    if len(shape) == len(wanted) - 1 and wanted[-1] == 1:
        return (*shape, 1)
    return shape


def nothing_received(layer_name: str) -> ValueError:
    """The error of a layer that is called with None."""
    return ValueError(
        f"Layer '{layer_name}' takes tensors or arrays, received None. Does the call() of the "
        f"layer before it return nothing?"
    )


def no_tensor(layer_name: str, value: Any) -> ValueError:
    """The error of a layer that is called with something else, by position."""
    remedy = "Pass settings by keyword, lists of numbers as np.asarray(...)."
    if hasattr(value, "compute_output_shape"):  # a layer
        remedy = "Call that layer first, and pass on what it returns."
    return ValueError(
        f"Layer '{layer_name}' takes tensors or arrays as positional arguments, received "
        f"{value!r} ({type(value).__name__}). {remedy}"
    )


def missing_inputs(
    layer_name: str, parameters: Sequence[str] = (), names: Sequence[str] = ()
) -> Exception:
    """The error of a layer without inputs, or without those for these parameters of `build`."""
    absent = [parameter.removesuffix("_shape") for parameter in parameters]
    if not absent:
        return TypeError(f"Layer '{layer_name}' was called without inputs: write layer(x).")
    if set(absent) <= set(names):
        return TypeError(f"Layer '{layer_name}' was called without {', '.join(absent)}.")
    return ValueError(
        f"Layer '{layer_name}': build() asks for {list(parameters)}, but call() has the arguments "
        f"{list(names)}. Name the parameters of build() <argument>_shape."
    )


def check_inputs(specs: Any, value: Any, layer_name: str) -> None:
    """Check a layer's first argument: one tensor, or a structure of such for several specs."""
    if isinstance(specs, InputSpec):
        if not hasattr(value, "shape"):
            if value is None:
                raise nothing_received(layer_name)
            many = f" of {len(value)}" if isinstance(value, (list, tuple, dict)) else ""
            raise ValueError(
                f"Layer '{layer_name}' takes one tensor, received a "
                f"{type(value).__name__}{many}. Give it a tensor."
            )
        specs.check(value, layer_name)
        return
    wanted, given = flatten(specs), flatten(value)
    if len(wanted) != len(given):
        raise ValueError(
            f"Layer '{layer_name}' takes {len(wanted)} tensors, received {len(given)}. "
            f"Give one for each InputSpec."
        )
    for spec, x in zip(wanted, given, strict=True):
        if spec is None or (x is None and spec.optional):
            continue
        check_inputs(spec, x, layer_name)
