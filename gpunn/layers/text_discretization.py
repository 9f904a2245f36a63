"""Discretization: numbers as the bins they fall in, by given boundaries or by quantiles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.dtypes import is_float
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.layers.text_host import ENCODINGS, HostLayer, batches_of, output_mode, refuse

#: Values in ascending order and the weights (counts) that lie at or below each: two float32 rows.
Summary = np.ndarray


class Discretization(HostLayer):
    """Bin i of x: boundaries[i - 1] <= x < boundaries[i]; the first and last bins are open.

    `bin_boundaries` are given, or `num_bins` bins of about equal counts are learned by `adapt` to
    within the share `epsilon` of the data. Output int32 in mode "int"; "one_hot", "multi_hot" and
    "count" give (..., bins) of floats.

    >>> gpunn.layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0])([[-1.5, 1.0, 3.4]])
    """

    _summary: Summary

    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(dtype=dtype, name=name, **kwargs)
        refuse("Discretization", sparse=sparse)
        if (num_bins is None) == (bin_boundaries is None):
            raise ValueError(
                f"Discretization: give either num_bins, to adapt(), or bin_boundaries, received "
                f"num_bins={num_bins!r} and bin_boundaries={bin_boundaries!r}."
            )
        if num_bins is not None and num_bins < 1:
            raise ValueError(f"Discretization: num_bins must be at least 1, received {num_bins}.")
        if not 0 < epsilon < 1:
            raise ValueError(f"Discretization: epsilon must lie in (0, 1), received {epsilon!r}.")
        self.num_bins, self.epsilon = num_bins, epsilon
        self.output_mode = _mode(output_mode)
        self.sparse = False
        self.reset_state()
        self._set(None if bin_boundaries is None else np.asarray(bin_boundaries).tolist())

    def _set(self, boundaries: list[float] | None) -> None:
        if boundaries is not None and np.any(np.diff(boundaries) < 0):
            raise ValueError(f"Discretization: bin_boundaries must ascend, received {boundaries}.")
        self.bin_boundaries = boundaries
        self._constants: dict[str, Tensor] = {}

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the boundaries of an array, or of an iterable of batches, of which `steps` count.

        A list is an iterable of batches, as in Keras.
        """
        if self.num_bins is None:
            raise ValueError(
                f"Discretization '{self.name}' was given its bin_boundaries and cannot adapt(). "
                f"Use num_bins."
            )
        self.reset_state()
        for batch, _ in batches_of(self, iter(data) if isinstance(data, list) else data, steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Take the values of a batch into account."""
        values = data.numpy() if isinstance(data, Tensor) else np.asarray(data)
        new = summarize(values.astype(np.float32), self.epsilon)
        self._summary = merge([new, self._summary], self.epsilon)

    def finalize_state(self) -> None:
        """Make the boundaries of what was seen."""
        if not self._summary.size or self.num_bins is None:
            raise ValueError(f"Discretization '{self.name}': adapt() received no data.")
        self._set(compress(self._summary, 1 / self.num_bins)[0, :-1].tolist())

    def reset_state(self) -> None:
        """Forget what was seen."""
        self._summary = np.empty((2, 0), np.float32)

    @property
    def _depth(self) -> int:
        return self.num_bins or 0 if self.bin_boundaries is None else len(self.bin_boundaries) + 1

    def call(self, inputs: Any) -> Any:
        if self.bin_boundaries is None:
            raise ValueError(
                f"Discretization '{self.name}' has no boundaries yet. Call adapt() with data, or "
                f"give bin_boundaries."
            )
        x = ops.convert_to_tensor(inputs)
        if not is_float(x.dtype):
            x = ops.cast(x, "float32")
        bins = ops.digitize(x, self._boundaries(x))
        return (
            bins if self.output_mode == "int" else self.encoded(bins, self.output_mode, self._depth)
        )

    def _boundaries(self, x: Any) -> Any:
        """As a tensor on the device of x; made once."""
        backend = devices.current() if isinstance(x, SymbolicTensor) else devices.backend_of(x.data)
        key = str(backend.device)
        if key not in self._constants:
            array = np.asarray(self.bin_boundaries, np.float32)
            self._constants[key] = Tensor(backend.asarray(array))
        return self._constants[key]

    def compute_output_shape(self, input_shape: Any) -> tuple:
        if self.output_mode == "int":
            return tuple(input_shape)
        return self.encoded_shape(input_shape, self.output_mode, self._depth)

    def get_config(self) -> dict[str, Any]:
        own = {"bin_boundaries": self.bin_boundaries, "num_bins": self.num_bins,
               "epsilon": self.epsilon, "output_mode": self.output_mode,
               "sparse": False}  # fmt: skip
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: Any) -> Discretization:
        learned = config.get("num_bins") is not None and config.get("bin_boundaries") is not None
        if not learned:
            return cls(**config)
        layer = cls(**{**config, "bin_boundaries": None})
        layer._set(list(config["bin_boundaries"]))
        return layer


def _mode(mode: str) -> str:
    return output_mode("Discretization", mode, ("int", *ENCODINGS))


def summarize(values: np.ndarray, epsilon: float) -> Summary:
    """About 1 / epsilon of the values at equal distances in their order, and as many weights."""
    ordered = np.sort(values, axis=None)
    step = max(ordered.size * epsilon, 1.0)
    kept = ordered[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def merge(summaries: Iterable[Summary], epsilon: float) -> Summary:
    """One summary of several."""
    both = np.concatenate(list(summaries), axis=1)
    return compress(both[:, np.argsort(both[0])], epsilon)


def compress(summary: Summary, epsilon: float) -> Summary:
    """The summary at the shares epsilon, 2 epsilon, ... 1 of its weight, by interpolation."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    below = summary[1].cumsum()
    part = below / below[-1]
    values, weights = np.interp(shares, part, summary[0]), np.interp(shares, part, below)
    return np.stack([values, np.diff(weights, prepend=0)]).astype(np.float32)
