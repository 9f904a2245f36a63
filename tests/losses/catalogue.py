"""Every loss of the package, with targets and predictions that suit it, and options to try."""

import numpy as np

from gpunn import losses

#: Class: (function, targets, predictions, options).
LOSSES = {
    "MeanSquaredError": ("mean_squared_error", "real", "real", [{}]),
    "MeanAbsoluteError": ("mean_absolute_error", "real", "real", [{}]),
    "MeanAbsolutePercentageError": ("mean_absolute_percentage_error", "real", "real", [{}]),
    "MeanSquaredLogarithmicError": ("mean_squared_logarithmic_error", "real", "real", [{}]),
    "Huber": ("huber", "real", "real", [{}, {"delta": 0.3}]),
    "LogCosh": ("log_cosh", "real", "real", [{}]),
    "BinaryCrossentropy": (
        "binary_crossentropy", "bits", "shares",
        [{}, {"label_smoothing": 0.2}, {"from_logits": True}],
    ),
    "CategoricalCrossentropy": (
        "categorical_crossentropy", "one_hot", "shares",
        [{}, {"label_smoothing": 0.2}, {"from_logits": True}],
    ),
    "SparseCategoricalCrossentropy": (
        "sparse_categorical_crossentropy", "labels", "shares",
        [{}, {"from_logits": True}, {"ignore_class": 1}],
    ),
    "BinaryFocalCrossentropy": (
        "binary_focal_crossentropy", "bits", "shares",
        [{}, {"apply_class_balancing": True, "alpha": 0.3, "label_smoothing": 0.2},
         {"gamma": 3.0}, {"from_logits": True, "gamma": 1.5}],
    ),
    "CategoricalFocalCrossentropy": (
        "categorical_focal_crossentropy", "one_hot", "shares",
        [{}, {"alpha": [0.1, 0.2, 0.3], "gamma": 1.0}, {"label_smoothing": 0.2},
         {"from_logits": True, "gamma": 3.0}],
    ),
    "CategoricalGeneralizedCrossEntropy": (
        "categorical_generalized_cross_entropy", "labels", "shares", [{"q": 0.5}, {"q": 0.9}],
    ),
    "KLDivergence": ("kl_divergence", "shares", "shares", [{}]),
    "Poisson": ("poisson", "counts", "shares", [{}]),
    "Hinge": ("hinge", "signs", "real", [{}]),
    "SquaredHinge": ("squared_hinge", "signs", "real", [{}]),
    "CategoricalHinge": ("categorical_hinge", "one_hot", "real", [{}]),
    "Dice": ("dice", "bits", "shares", [{}, {"axis": -1}, {"axis": (0, -1)}]),
    "Tversky": (
        "tversky", "bits", "shares",
        [{}, {"alpha": 0.3, "beta": 0.9}, {"axis": -1}, {"alpha": 0.3, "axis": (0, -1)}],
    ),
    "CosineSimilarity": ("cosine_similarity", "real", "real", [{}]),
    "Circle": (
        "circle", "pairs", "unit",
        [{}, {"gamma": 2.0, "margin": 0.2}, {"gamma": 3.0, "remove_diagonal": False}],
    ),
    "CTC": ("ctc", "words", "steps", [{}]),
}  # fmt: skip

NAMES = list(LOSSES)
CASES = [(name, options) for name in NAMES for options in LOSSES[name][3]]
LABELS = [name for name in NAMES if LOSSES[name][1] in ("labels", "pairs", "words")]
#: What has no loss for each row, unless an axis is named.
OVERLAP = ("Dice", "Tversky")


def function(name):
    """The function of a class."""
    return getattr(losses, LOSSES[name][0])


def values(kind, rng, shape):
    """Float64 numbers of a kind; labels for predictions of this shape.

    Sequences have six steps between the two axes.
    """
    x = rng.uniform(0.05, 1, shape)
    if kind == "labels":
        return rng.integers(0, shape[-1], shape[:-1])
    if kind == "pairs":
        return rng.permutation(shape[0]) // 2
    if kind == "words":
        return rng.integers(0, shape[-1], (shape[0], 3))
    if kind == "steps":
        return 4 * rng.uniform(size=(shape[0], 6, shape[-1])) - 2
    if kind == "one_hot":
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    if kind == "bits":
        return np.round(x)
    if kind == "counts":
        return np.floor(4 * x)
    if kind == "signs":
        return np.sign(x - 0.5)
    if kind == "real":
        return 3 * x - 1
    if kind == "unit":
        x = x - 0.5
        return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    return x / x.sum(-1, keepdims=True) if shape[-1] > 1 else x  # shares of 1


def data(name, shape=(4, 3), seed=0, dtype="float32", options=()):
    """Targets and predictions for a loss; of labels, the targets stay integers."""
    _, targets, predictions, _ = LOSSES[name]
    rng = np.random.default_rng(seed)
    y_true, y_pred = values(targets, rng, shape), values(predictions, rng, shape)
    if "from_logits" in options:
        y_pred = np.log(y_pred) * 2
    return y_true if name in LABELS else y_true.astype(dtype), y_pred.astype(dtype)
