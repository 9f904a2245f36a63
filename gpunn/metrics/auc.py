"""The area under the ROC, the precision-recall or the precision-recall-gain curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn import config, ops
from gpunn.arguments import is_whole
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError, unknown_name
from gpunn.losses.alignment import as_tensor
from gpunn.metrics.confusion import ConfusionMetric, even_thresholds
from gpunn.ops.accumulate import divide_no_nan
from gpunn.ops.confusion import KINDS

_CURVES = ("ROC", "PR", "PRGAIN")
_HEIGHTS: dict[str, Any] = {
    "interpolation": lambda a, b: ops.multiply(ops.add(a, b), 0.5),
    "minoring": lambda a, b: ops.minimum(a, b),
    "majoring": lambda a, b: ops.maximum(a, b),
}


def _one_of(kind: str, value: Any, known: Sequence[str]) -> str:
    """The known name, whose letters may be small or large; an Enum counts as its value."""
    name = str(getattr(value, "value", value))
    found = [k for k in known if k.lower() == name.lower()]
    if not found:
        raise unknown_name(kind, value, known)
    return found[0]


class AUC(ConfusionMetric):
    """∫ y dx along a curve that thresholds θ draw, by Riemann sums::

        ROC     x = fp / (fp + tn)       y = tp / (tp + fn)
        PR      x = tp / (tp + fn)       y = tp / (tp + fp)
        PRGAIN  x = 1 - π fn / tp        y = 1 - π fp / tp,    π = (tp + fn) / (tn + fp)

    `summation_method`: the height of a step is the mean ("interpolation"), the smaller
    ("minoring") or the larger ("majoring") of its two y; "interpolation" of PR does not
    interpolate y but tp and fp (Davis & Goadrich 2006, The relationship between PR and ROC curves).
    PRGAIN: Flach & Kull 2015, Precision-Recall-Gain curves.

    `thresholds` (else `num_thresholds` even ones) get one more on each side. `multi_label`: y_pred
    `(n, labels)`, and the result is the mean of the labels' areas, weighted by `label_weights`;
    without it, these weigh the elements of the last axis. `from_logits`: y_pred are logits of p.

    >>> gpunn.metrics.AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])  # 0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ):
        self._given = None if thresholds is None else sorted(thresholds)
        if self._given is not None:
            inner = [float(t) for t in self._given]
        elif is_whole(num_thresholds, 2):
            inner = even_thresholds(num_thresholds)[1:-1]
        else:
            raise ValueError(
                f"AUC: num_thresholds must be an integer > 1, received {num_thresholds!r}."
            )
        if num_labels and not multi_label:
            raise ValueError(
                f"AUC: num_labels={num_labels!r} needs multi_label=True. Leave out one of them."
            )
        self.curve = _one_of("curve", curve, _CURVES)
        self.summation_method = _one_of("summation_method", summation_method, tuple(_HEIGHTS))
        self.thresholds = [-config.epsilon(), *inner, 1 + config.epsilon()]
        super().__init__(self.thresholds, name, dtype)
        self.num_thresholds = len(self.thresholds)
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights = None
        if label_weights is not None:
            self.label_weights = Tensor(asarray(label_weights, self._dtype))
        self._from_logits = from_logits
        if num_labels or not multi_label:
            self._add_counts(*KINDS, labels=num_labels)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; weights have the shape of the targets, or that of their first axes."""
        with no_grad():
            p = as_tensor(y_pred, self._dtype, like=self._cuts)
            if self.multi_label:
                self._check_labels(p)
            if self._from_logits:
                p = ops.sigmoid(p)
            weights = None if self.multi_label else self.label_weights
            self._count(y_true, p, sample_weight, None, None, weights, self.multi_label)

    def _check_labels(self, p: Tensor) -> None:
        """Make the counts where they are missing; predictions must fit them."""
        if p.ndim == 2 and not self._counts:
            self._add_counts(*KINDS, labels=p.shape[1])
        expected = None if not self._counts else self._counts[KINDS[0]].shape[1]
        if p.ndim != 2 or p.shape[1] != expected:
            raise ShapeError(
                f"{self.name}: with multi_label, y_pred must have shape (samples, "
                f"{expected or 'labels'}), received {p.shape}."
            )

    def result(self) -> Tensor:
        """The area so far, a number."""
        if not self._counts:
            raise ValueError(
                f"{self.name}: there is no result before the first batch, as the number of labels "
                f"is not known. Give num_labels=... or call update_state first."
            )
        with no_grad():
            if (self.curve, self.summation_method) == ("PR", "interpolation"):
                areas = self._interpolated_areas()
            else:
                x, y = self._curve()
                heights = _HEIGHTS[self.summation_method](y[:-1], y[1:])
                areas = ops.multiply(ops.subtract(x[:-1], x[1:]), heights)
            if not self.multi_label:
                return ops.sum(areas)
            areas = ops.sum(areas, axis=0)
            if self.label_weights is None:
                return ops.mean(areas)
            total = ops.sum(ops.multiply(areas, self.label_weights))
            return divide_no_nan(total, ops.sum(self.label_weights))

    def _curve(self) -> tuple[Tensor, Tensor]:
        """x and y at each threshold."""
        tp, fp, tn, fn = (self._counts[kind] for kind in KINDS)
        recall = self._share("true_positives", "false_negatives")
        if self.curve == "ROC":
            return self._share("false_positives", "true_negatives"), recall
        if self.curve == "PR":
            return recall, self._share("true_positives", "false_positives")
        ratio = divide_no_nan(ops.add(tp, fn), ops.add(tn, fp))
        x = ops.subtract(1.0, ops.multiply(ratio, divide_no_nan(fn, tp)))
        y = ops.subtract(1.0, ops.multiply(ratio, divide_no_nan(fp, tp)))
        none = ops.equal(tp, 0)
        return ops.maximum(ops.where(none, 0.0, x), 0.0), ops.where(none, 1.0, y)

    def _interpolated_areas(self) -> Tensor:
        """The steps of the PR curve. On one, with P = tp + fp, tp = a + s P for constants a and s,
        so that ∫ tp/P dtp = s (Δtp + a ln(P_i / P_{i+1})).
        """
        tp, fp, fn = (self._counts[kind] for kind in (KINDS[0], KINDS[1], KINDS[3]))
        positive = ops.add(tp, fp)
        upper, lower = positive[:-1], positive[1:]
        dtp = ops.subtract(tp[:-1], tp[1:])
        slope = divide_no_nan(dtp, ops.maximum(ops.subtract(upper, lower), 0.0))
        intercept = ops.subtract(tp[1:], ops.multiply(slope, lower))
        both = ops.logical_and(ops.greater(upper, 0), ops.greater(lower, 0))
        ratio = ops.where(both, divide_no_nan(upper, lower), 1.0)
        areas = ops.multiply(slope, ops.add(dtp, ops.multiply(intercept, ops.log(ratio))))
        return divide_no_nan(areas, ops.add(tp[1:], fn[1:]))

    def get_config(self) -> dict[str, Any]:
        weights = self.label_weights
        config = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if weights is None else np.asarray(weights).tolist(),
            "from_logits": self._from_logits,
        }
        if self._given is not None:
            config["thresholds"] = self._given
        return {**super().get_config(), **config}
