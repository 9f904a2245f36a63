"""Correlations of targets and predictions, as classes."""

from __future__ import annotations

from gpunn.metrics.functions import concordance_correlation, pearson_correlation
from gpunn.metrics.standard import StandardMetric


class PearsonCorrelation(StandardMetric, of=pearson_correlation):
    """The mean of cov(t, y) / (σ_t σ_y), taken along an axis. See `pearson_correlation`.

    >>> gpunn.metrics.PearsonCorrelation()([[0.0, 1.0, 0.5]], [[0.1, 0.9, 1.0]])  # 0.8109
    """


class ConcordanceCorrelation(StandardMetric, of=concordance_correlation):
    """The mean of 2 cov(t, y) / (σ_t² + σ_y² + (t̄ - ȳ)²), taken along an axis.

    See `concordance_correlation`.

    >>> gpunn.metrics.ConcordanceCorrelation()([[0.0, 1.0, 0.5]], [[0.1, 0.9, 1.0]])  # 0.7477
    """
