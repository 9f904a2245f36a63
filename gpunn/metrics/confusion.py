"""Counts of true and false positives and negatives at thresholds, and shares of them.

With targets t, predictions p and weights w, at a threshold θ::

    true positives  Σ w [t ≠ 0] [p > θ]     false positives  Σ w [t = 0] [p > θ]
    false negatives Σ w [t ≠ 0] [p ≤ θ]     true negatives   Σ w [t = 0] [p ≤ θ]

As in Keras, a mask of `y_pred` does not matter here: give weights of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn import config, ops
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError
from gpunn.losses.alignment import as_tensor, same_rank
from gpunn.metrics.metric import Metric
from gpunn.metrics.reduction import broadcasting
from gpunn.ops.accumulate import divide_no_nan
from gpunn.ops.confusion import KINDS, accumulate_confusion, largest_kept

_BELOW_ALL = -1e10  # the threshold of `top_k`: all that is kept counts as positive


def threshold_list(name: str, thresholds: Any, default: float = 0.5) -> list[float]:
    """The thresholds as a list: of one or many, all in [0, 1]; None stands for the default."""
    if thresholds is None:
        return [default]
    listed = list(thresholds) if np.ndim(thresholds) else [thresholds]
    wrong = [t for t in listed if t is None or not 0 <= t <= 1]
    if wrong or not listed:
        raise ValueError(
            f"{name}: thresholds must lie in [0, 1], received {wrong or thresholds!r}. Give a "
            f"number or a list of numbers."
        )
    return listed


def even_thresholds(n: int) -> list[float]:
    """0, 1/(n - 1), ..., 1"""
    return [i / (n - 1) for i in range(n)]


class ConfusionMetric(Metric):
    """Base of metrics that count hits and errors at thresholds.

    Where the thresholds are even, 0, 1/m, ..., 1, predictions are first clipped to [0, 1], and
    m p > i is what is asked: so Keras rounds.
    """

    def __init__(self, thresholds: Sequence[float], name: str | None, dtype: Any):
        super().__init__(dtype, name)
        cuts = np.array(thresholds, "float64")
        inner = np.clip(cuts, 0, 1)
        n = len(cuts)
        even = n > 2 and np.allclose(inner, even_thresholds(n), atol=config.epsilon())
        self._steps = n - 1 if even else 0
        if even:
            cuts = np.where(cuts < 0, -1, np.arange(n))
        self._cuts = Tensor(asarray(cuts, self._dtype))
        self._counts: dict[str, Variable] = {}

    def _add_counts(self, *kinds: str, labels: int | None = None) -> None:
        """Variables of these kinds, one number for each threshold, or threshold and label."""
        shape = self._cuts.shape if labels is None else (*self._cuts.shape, labels)
        self._counts = dict(zip(kinds, self._add_late(kinds, shape, self._cuts), strict=True))

    def _count(
        self, y_true: Any, y_pred: Any, sample_weight: Any, top_k: int | None = None,
        class_id: int | None = None, label_weights: Tensor | None = None, by_label: bool = False,
    ) -> None:  # fmt: skip
        """Add a batch; of `class_id` only, and with all but the `top_k` of a row as negatives."""
        with no_grad():
            p = as_tensor(y_pred, self._dtype, like=self._cuts)
            t, p = same_rank(as_tensor(y_true, self._dtype, like=p), p)
            if t.shape != p.shape:
                raise ShapeError(
                    f"{self.name}: y_true and y_pred differ in shape (y_true {t.shape}, y_pred "
                    f"{p.shape}). Make them equal (of labels, one-hot vectors); only a trailing "
                    f"axis of length 1 may be missing."
                )
            if top_k is not None:
                p = largest_kept(p, top_k)
            if class_id is not None:
                t, p = _of_class(self.name, t, class_id), _of_class(self.name, p, class_id)
            if self._steps:
                p = ops.multiply(ops.clip(p, 0.0, 1.0), float(self._steps))
            weights = None
            if sample_weight is not None:
                fitted, weights = broadcasting(self.name, p, sample_weight)
                weights = ops.broadcast_to(weights, fitted.shape)
            if label_weights is not None:
                ones = ops.ones_like(p) if weights is None else ops.reshape(weights, p.shape)
                weights = ops.multiply(ones, label_weights)
            accumulate_confusion(self._counts, t, p, weights, self._cuts, by_label)

    def _share(self, part: str, other: str) -> Tensor:
        """part / (part + other) at each threshold, 0 of nothing."""
        with no_grad():
            a, b = self._counts[part], self._counts[other]
            return divide_no_nan(a, ops.add(a, b))


def _of_class(name: str, x: Tensor, class_id: int) -> Tensor:
    if x.ndim < 2 or not -x.shape[-1] <= class_id < x.shape[-1]:
        raise ShapeError(
            f"{name}: class_id={class_id} needs an axis of more classes (y_pred {x.shape}). Give "
            f"y_pred of shape (samples, classes)."
        )
    return x[..., class_id]


def first_if_single(values: Tensor) -> Tensor:
    """A number if there is one, else all of them, apart from the state."""
    return ops.reshape(values, ()) if values.size == 1 else values


class _Count(ConfusionMetric):
    """One of the four counts."""

    _kind: str

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None):
        listed = threshold_list(type(self).__name__, thresholds)
        super().__init__(listed, name, dtype)
        self.init_thresholds, self.thresholds = thresholds, listed
        self.accumulator = self.add_variable(self._cuts.shape, "zeros", name="accumulator")
        self._counts[self._kind] = self.accumulator

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; weights have the shape of the targets, or that of their first axes."""
        self._count(y_true, y_pred, sample_weight)

    def result(self) -> Tensor:
        """A number, or one for each of several thresholds."""
        return first_if_single(Tensor(self.accumulator.data.copy()))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_Count):
    """Σ w [t ≠ 0] [p > θ] at each threshold θ.

    >>> gpunn.metrics.TruePositives()([0, 1, 1, 1], [1, 0, 1, 1])  # 2.0
    """

    _kind = KINDS[0]


class FalsePositives(_Count):
    """Σ w [t = 0] [p > θ] at each threshold θ.

    >>> gpunn.metrics.FalsePositives()([0, 1, 0, 0], [0, 0, 1, 1])  # 2.0
    """

    _kind = KINDS[1]


class TrueNegatives(_Count):
    """Σ w [t = 0] [p ≤ θ] at each threshold θ.

    >>> gpunn.metrics.TrueNegatives()([0, 1, 0, 0], [1, 1, 0, 0])  # 2.0
    """

    _kind = KINDS[2]


class FalseNegatives(_Count):
    """Σ w [t ≠ 0] [p ≤ θ] at each threshold θ.

    >>> gpunn.metrics.FalseNegatives()([0, 1, 1, 1], [0, 1, 0, 0])  # 2.0
    """

    _kind = KINDS[3]


class _Share(ConfusionMetric):
    """tp / (tp + other)"""

    _other: str

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        default = 0.5 if top_k is None else _BELOW_ALL
        listed = threshold_list(type(self).__name__, thresholds, default)
        if top_k is not None and (type(top_k) is not int or top_k < 1):
            raise ValueError(
                f"{type(self).__name__}: top_k must be a positive integer or None, received "
                f"{top_k!r}."
            )
        super().__init__(listed, name, dtype)
        self.init_thresholds, self.thresholds = thresholds, listed
        self.top_k, self.class_id = top_k, class_id
        self._add_counts("true_positives", self._other)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; weights have the shape of the targets, or that of their first axes."""
        self._count(y_true, y_pred, sample_weight, self.top_k, self.class_id)

    def result(self) -> Tensor:
        """A number, or one for each of several thresholds."""
        return first_if_single(self._share("true_positives", self._other))

    def get_config(self) -> dict[str, Any]:
        options = {"thresholds": self.init_thresholds, "top_k": self.top_k}
        return {**super().get_config(), **options, "class_id": self.class_id}


class Precision(_Share):
    """tp / (tp + fp): how many of those called positive are so; 0 if none is called so.

    At each of the `thresholds` (0.5); with `top_k` and no thresholds, the k largest predictions of
    a row count as positive; with `class_id`, only this class of the last axis counts.

    >>> gpunn.metrics.Precision()([0, 1, 1, 1], [1, 0, 1, 1])  # 2 / 3
    """

    _other = "false_positives"


class Recall(_Share):
    """tp / (tp + fn): how many of the positives are called so; 0 if there are none.

    The arguments are those of `Precision`.

    >>> gpunn.metrics.Recall()([0, 1, 1, 1], [1, 0, 1, 1])  # 2 / 3
    """

    _other = "false_negatives"
