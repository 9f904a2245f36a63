"""The losses as classes: a function of this package, its options, a reduction.

Each line of declaration makes a constructor: see `gpunn.losses.declare.OfFunction`.
"""

from __future__ import annotations

from gpunn.losses.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from gpunn.losses.declare import OfFunction
from gpunn.losses.focal import binary_focal_crossentropy, categorical_focal_crossentropy
from gpunn.losses.hinge import categorical_hinge, hinge, squared_hinge
from gpunn.losses.loss import LossFunctionWrapper
from gpunn.losses.overlap import dice, tversky
from gpunn.losses.probability import (
    categorical_generalized_cross_entropy,
    check_q,
    kl_divergence,
    poisson,
)
from gpunn.losses.regression import (
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from gpunn.losses.sequence import ctc
from gpunn.losses.similarity import circle, cosine_similarity


class StandardLoss(OfFunction, LossFunctionWrapper):
    """A loss whose class says which function it reduces."""

    _order = "* reduction name dtype"


# --- regression ---


class MeanSquaredError(StandardLoss, of=mean_squared_error):
    """The mean of (t - x)².

    >>> gpunn.losses.MeanSquaredError()([[0.0, 2.0]], [[1.0, 2.0]])  # 0.5
    """


class MeanAbsoluteError(StandardLoss, of=mean_absolute_error):
    """The mean of |t - x|.

    >>> gpunn.losses.MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 2.0]])  # 0.5
    """


class MeanAbsolutePercentageError(StandardLoss, of=mean_absolute_percentage_error):
    """The mean of 100 |t - x| / |t|. See `mean_absolute_percentage_error`.

    >>> gpunn.losses.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 5.0]])  # 37.5
    """


class MeanSquaredLogarithmicError(StandardLoss, of=mean_squared_logarithmic_error):
    """The mean of (log(1 + t) - log(1 + x))². See `mean_squared_logarithmic_error`.

    >>> gpunn.losses.MeanSquaredLogarithmicError()([[0.0]], [[1.0]])  # (log 2)²
    """


class Huber(StandardLoss, of=huber, name="huber_loss"):
    """The mean of e²/2 where |e| ≤ delta, else delta (|e| - delta/2), of errors e = t - x.

    >>> gpunn.losses.Huber(delta=2.0)([[0.0, 0.0]], [[1.0, 3.0]])  # (0.5 + 4) / 2
    """


class LogCosh(StandardLoss, of=log_cosh):
    """The mean of log cosh(x - t): e²/2 near 0, |e| - log 2 far away.

    >>> gpunn.losses.LogCosh()([[0.0, 0.0]], [[0.0, 1.0]])  # 0.21689
    """


# --- probabilities ---


class BinaryCrossentropy(StandardLoss, of=binary_crossentropy):
    """The mean of -t log p - (1 - t) log(1 - p): two classes, or several independent ones.

    `from_logits`: p = σ(y_pred), safer than a sigmoid in the model. See `binary_crossentropy`.

    >>> gpunn.losses.BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])  # log 2
    """


class CategoricalCrossentropy(StandardLoss, of=categorical_crossentropy):
    """The mean of -Σ t log p: one of several classes, targets one-hot.

    `from_logits`: p = softmax(y_pred), safer than a softmax in the model. See
    `categorical_crossentropy`.

    >>> gpunn.losses.CategoricalCrossentropy(from_logits=True)([[0.0, 1.0]], [[0.0, 0.0]])  # log 2
    """


class SparseCategoricalCrossentropy(
    StandardLoss,
    of=sparse_categorical_crossentropy,
    order="from_logits ignore_class reduction axis name dtype",
):
    """The mean of -log p[t]: one of several classes, targets integer labels.

    `ignore_class`: samples with this label do not count. See `sparse_categorical_crossentropy`.

    >>> gpunn.losses.SparseCategoricalCrossentropy(from_logits=True)([1], [[0.0, 0.0]])  # log 2
    """


class BinaryFocalCrossentropy(StandardLoss, of=binary_focal_crossentropy):
    """The mean binary cross-entropy with what is already right counting less, by a power `gamma`.

    `apply_class_balancing`: positives count `alpha`, negatives 1 - `alpha`. See
    `binary_focal_crossentropy`.

    >>> gpunn.losses.BinaryFocalCrossentropy(gamma=1.0)([[1.0]], [[0.5]])  # log 2 / 2
    """


class CategoricalFocalCrossentropy(StandardLoss, of=categorical_focal_crossentropy):
    """The mean categorical cross-entropy with what is already right counting less.

    `alpha`: the weight of all classes, or a list of one a class. See
    `categorical_focal_crossentropy`.

    >>> gpunn.losses.CategoricalFocalCrossentropy(alpha=1.0)([[0.0, 1.0]], [[0.5, 0.5]])  # log 2/4
    """


class CategoricalGeneralizedCrossEntropy(
    StandardLoss, of=categorical_generalized_cross_entropy, q=0.5, check=check_q
):
    """The mean of (1 - p[t]^q) / q, for integer labels some of which are wrong.

    `q` in (0, 1): near 0 the cross-entropy, near 1 the absolute error. See
    `categorical_generalized_cross_entropy`.

    >>> gpunn.losses.CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]])  # 1.0
    """


class KLDivergence(StandardLoss, of=kl_divergence):
    """The mean of Σ t log(t / p). See `kl_divergence`.

    >>> gpunn.losses.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])  # 0.14384
    """


class Poisson(StandardLoss, of=poisson):
    """The mean of x - t log x, for counts t. See `poisson`.

    >>> gpunn.losses.Poisson()([[1.0, 2.0]], [[1.0, 2.0]])  # 0.80685
    """


# --- margins ---


class Hinge(StandardLoss, of=hinge):
    """The mean of max(1 - t x, 0), for targets -1 and 1 (or 0 and 1).

    >>> gpunn.losses.Hinge()([[-1.0, 1.0]], [[0.5, 0.5]])  # 1.0
    """


class SquaredHinge(StandardLoss, of=squared_hinge):
    """The mean of max(1 - t x, 0)², for targets -1 and 1 (or 0 and 1).

    >>> gpunn.losses.SquaredHinge()([[-1.0, 1.0]], [[0.5, 0.5]])  # 1.25
    """


class CategoricalHinge(StandardLoss, of=categorical_hinge):
    """The mean of max(1 + max (1 - t) x - Σ t x, 0), for one-hot targets.

    >>> gpunn.losses.CategoricalHinge()([[0.0, 1.0]], [[0.3, 0.6]])  # 0.7
    """


# --- sets, directions, sequences ---


class Dice(StandardLoss, of=dice, order="reduction name axis dtype"):
    """1 - 2 Σ t x / (Σ t + Σ x): how far two sets of pixels are apart.

    `axis`: the axes that are summed, by default all. See `dice`.

    >>> gpunn.losses.Dice()([[1.0, 0.0]], [[1.0, 1.0]])  # 1/3
    """


class Tversky(StandardLoss, of=tversky, order="alpha beta reduction name axis dtype"):
    """1 - Σ t x / (Σ t x + alpha Σ t (1 - x) + beta Σ (1 - t) x): Dice with two weights.

    `axis`: the axes that are summed, by default all. See `tversky`.

    >>> gpunn.losses.Tversky(beta=1.0)([[1.0, 0.0]], [[1.0, 1.0]])  # 0.5
    """


class CosineSimilarity(StandardLoss, of=cosine_similarity):
    """The mean of -Σ t x / (‖t‖ ‖x‖): -1 where the directions are one. See `cosine_similarity`.

    >>> gpunn.losses.CosineSimilarity()([[0.0, 1.0]], [[3.0, 4.0]])  # -0.8
    """


class Circle(
    StandardLoss, of=circle, order="gamma margin remove_diagonal reduction name dtype", gamma=80.0
):
    """Pulls embeddings of one label together, pushes others apart. See `circle`.

    Targets are integer labels, y_pred `(batch, n)` has rows of length 1 (`UnitNormalization`).
    `gamma` scales similarities; `margin`: how far from 1 and from 0 they may stay.

    >>> gpunn.losses.Circle(gamma=1.0)([0, 0, 1], [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])  # 1.4497
    """


class CTC(StandardLoss, of=ctc):
    """The mean of -log P(labels | logits) over all alignments of labels to steps. See `ctc`.

    Targets `(batch, L)`: labels from 1 on, filled up with zeros; y_pred `(batch, T, classes)`.

    >>> gpunn.losses.CTC()([[1, 0]], [[[0.0, 0.0], [0.0, 0.0]]])  # -log 3/4
    """
