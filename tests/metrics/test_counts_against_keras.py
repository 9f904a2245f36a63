"""Metrics that count, and those of regression, against Keras: batches, weights, resets, configs."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect

import numpy as np
import pytest

from gpunn import metrics

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
N, C = 6, 4  # one shape for all: JAX compiles for each
SCORES = np.round(RNG.uniform(0, 1, (2, N, C)) * 20).astype("float32") / 20  # some at a threshold
SCORES[:, :, 1] = SCORES[:, :, 0]  # ties
BITS = (RNG.uniform(0, 1, (2, N, C)) > 0.5).astype("float32")
LABELS = RNG.integers(0, C, (2, N))
ONE_HOT = np.eye(C, dtype="float32")[LABELS]
GUESSES = RNG.integers(0, C, (2, N))
REALS, NEAR = RNG.normal(size=(2, 2, N, C)).astype("float32")
NEAR += REALS
DATA = {
    "flat": (BITS[..., 0], SCORES[..., 0]), "column": (BITS[..., :1], SCORES[..., 0]),
    "scores": (BITS, SCORES), "one_hot": (ONE_HOT, SCORES), "logits": (BITS, NEAR * 3),
    "ids": (LABELS, GUESSES), "images": (LABELS.reshape(2, N, 1), GUESSES.reshape(2, N, 1)),
    "ids_scores": (LABELS, SCORES), "hot_ids": (ONE_HOT, GUESSES), "reals": (REALS, NEAR),
}  # fmt: skip
COUNTS = ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")
EVEN = [0.0, 0.25, 0.5, 0.75, 1.0]
CLASS_WEIGHTS = [1.0, 2.0, 0.0, 0.5]
CASES = [
    *((name, {"thresholds": [0.9, 0.1]}, "flat") for name in COUNTS),
    *((name, {"thresholds": EVEN}, "flat") for name in COUNTS),
    ("TruePositives", {}, "column"),
    *(
        ("Precision", options, data)
        for options, data in (
            ({}, "scores"), ({"thresholds": EVEN}, "logits"), ({"top_k": 2}, "one_hot"),
            ({"class_id": 2}, "scores"), ({"top_k": 3, "class_id": 1}, "one_hot"),
            ({"thresholds": 0.3, "top_k": 2}, "scores"),
        )
    ),
    ("Recall", {}, "flat"), ("Recall", {"thresholds": [0.9, 0.1]}, "scores"),
    ("Recall", {"top_k": 2}, "one_hot"),
    *(
        (name, {argument: value, **options}, "flat")
        for name, argument in (
            ("SensitivityAtSpecificity", "specificity"), ("PrecisionAtRecall", "recall"),
            ("SpecificityAtSensitivity", "sensitivity"), ("RecallAtPrecision", "precision"),
        )
        for value, options in ((0.7, {"num_thresholds": 5}),)
    ),
    ("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 1}, "flat"),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, "flat"),
    ("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 5, "class_id": 3}, "scores"),
    *(
        ("AUC", {"curve": curve, "summation_method": method, "num_thresholds": 5}, "flat")
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
    ),
    ("AUC", {"thresholds": [0.8, 0.15, 0.4]}, "flat"), ("AUC", {}, "flat"),
    *(
        ("AUC", {"num_thresholds": 5, **options}, data)
        for options, data in (
            ({"from_logits": True}, "logits"), ({}, "logits"),
            ({"label_weights": CLASS_WEIGHTS}, "scores"),
            ({"multi_label": True, "num_labels": 4, "label_weights": CLASS_WEIGHTS}, "scores"),
            ({"multi_label": True, "curve": "PR", "label_weights": CLASS_WEIGHTS}, "scores"),
            ({"multi_label": True, "curve": "PRGAIN"}, "scores"),
        )
    ),
    *(("F1Score", {"average": a}, "one_hot") for a in (None, "micro", "macro", "weighted")),
    ("F1Score", {"threshold": 0.4}, "one_hot"),
    ("FBetaScore", {"beta": 2.0, "average": "macro"}, "scores"),
    ("FBetaScore", {"beta": 0.5, "average": "micro", "threshold": 0.4}, "scores"),
    ("IoU", {"num_classes": C, "target_class_ids": [0, 2]}, "ids"),
    ("IoU", {"num_classes": C, "target_class_ids": (1,), "ignore_class": 2}, "images"),
    ("IoU", {"num_classes": C, "target_class_ids": [3], "sparse_y_pred": False}, "ids_scores"),
    ("MeanIoU", {"num_classes": C}, "ids"),
    ("MeanIoU", {"num_classes": C, "ignore_class": 0, "dtype": "float32"}, "ids"),
    ("BinaryIoU", {}, "flat"), ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, "column"),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [1, 2]}, "one_hot"),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [1], "sparse_y_pred": True}, "hot_ids"),
    ("OneHotMeanIoU", {"num_classes": C, "ignore_class": 3}, "one_hot"),
    *(
        ("R2Score", {"class_aggregation": how, "num_regressors": regressors}, "reals")
        for how, regressors in (
            (None, 0), ("uniform_average", 2), ("variance_weighted_average", 0),
            ("uniform_average", 47), ("uniform_average", 48),
        )
    ),
    ("PearsonCorrelation", {}, "reals"), ("ConcordanceCorrelation", {}, "reals"),
    ("PearsonCorrelation", {"axis": 0}, "reals"), ("ConcordanceCorrelation", {"axis": 1}, "reals"),
]  # fmt: skip


def state(metric):
    return [(v.path.split("/")[-1], np.asarray(v)) for v in metric.variables]


def agree(ours, theirs):
    for (name, a), (expected, b) in zip(state(ours), state(theirs), strict=True):
        assert name == expected and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-5)
    found, expected = np.asarray(ours.result()), np.asarray(theirs.result())
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*adjusted R2:UserWarning", "ignore:Division by zero")
@pytest.mark.parametrize(("name", "options", "data"), CASES)
def test_batches_with_and_without_weights(name, options, data):
    ours, theirs = getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)
    weights = np.arange(N)[::-1].astype("int32" if "IoU" in name else "float32")
    if options.get("axis") == 0:
        weights = None  # they would weigh samples, over which it sums
    for t, y, w in zip(*DATA[data], (None, weights), strict=True):
        for metric in (ours, theirs):
            metric.update_state(t, y, w)
    agree(ours, theirs)
    ours.reset_state()
    assert all(not a.any() for _, a in state(ours))


@pytest.mark.parametrize(("name", "options", "data"), CASES)
def test_config_round_trips_and_equals_that_of_keras(name, options, data):
    ours = getattr(metrics, name)(**options, name="mine")
    config, theirs = ours.get_config(), getattr(keras.metrics, name)(**options, name="mine")
    expected = theirs.get_config()
    assert config.keys() == expected.keys()
    for key, value in expected.items():
        if value is None or key == "thresholds":
            assert config[key] == value
        else:
            np.testing.assert_array_equal(config[key], np.asarray(value))
    again = type(ours).from_config(config)
    assert again == ours and again.get_config() == config
    assert metrics.deserialize(metrics.serialize(ours)) == ours


SHAPES = [((6, 4), (6, 4)), ((6, 4), (6, 1)), ((6, 4), ()), ((3, 2, 4), (3, 2))]


@pytest.mark.parametrize(("shape", "weights"), SHAPES)
def test_weights_of_other_shapes(shape, weights):
    ours, theirs = metrics.Recall(), keras.metrics.Recall()
    t, p, w = RNG.integers(0, 2, shape), RNG.uniform(0, 1, shape), RNG.uniform(0, 2, weights)
    for metric in (ours, theirs):
        metric.update_state(t, p.astype("float32"), w.astype("float32"))
    agree(ours, theirs)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_names_arguments_and_defaults(name):
    ours, theirs = getattr(metrics, name), getattr(keras.metrics, name)
    found, expected = (inspect.signature(cls).parameters for cls in (ours, theirs))
    assert [(p.name, p.default) for p in found.values()] == [
        (p.name, p.default) for p in expected.values()
    ]
    required = [p for p in expected.values() if p.default is p.empty]
    if not required:
        known = keras.metrics.get(name).name.rstrip("_0123456789")
        assert type(metrics.get(name)) is ours is type(metrics.get(known.replace("fb", "f_b")))
        assert metrics.get(name).name.rstrip("_0123456789") == known


@pytest.mark.parametrize("name", ["pearson_correlation", "concordance_correlation"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_functions(name, axis):
    found = getattr(metrics, name)(REALS, NEAR, axis=axis)
    expected = getattr(keras.metrics, name)(REALS, NEAR, axis=axis)
    np.testing.assert_allclose(found.numpy(), np.asarray(expected), rtol=1e-5, atol=1e-6)


def test_a_state_that_is_made_late():
    """Without a first batch the number of classes is not known."""
    for name, options in (("F1Score", {}), ("AUC", {"multi_label": True})):
        ours, theirs = getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)
        assert ours.variables == [] == theirs.variables
        found, expected = (
            [np.asarray(v) for v in m.stateless_update_state([], ONE_HOT[0], SCORES[0])]
            for m in (ours, theirs)
        )
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        assert all(not a.any() for _, a in state(ours))
        assert ours.stateless_result(found).shape == theirs.stateless_result(expected).shape
