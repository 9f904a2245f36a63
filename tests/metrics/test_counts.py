"""Metrics that count, against scikit-learn and plain loops; their errors; exactness."""

import numpy as np
import pytest

from gpunn import metrics, ops
from gpunn.errors import ShapeError

sklearn = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(4)
T = RNG.integers(0, 2, 203)
P = np.clip(RNG.normal(0.4 + 0.2 * T, 0.2), 0, 1).astype("float32")
W = RNG.uniform(0, 2, 203).astype("float32")
LABELS, GUESSES = RNG.integers(0, 5, (2, 203))
LABELS[:90] = GUESSES[:90]


def fed(metric, *arrays):
    """The metric after batches of 64, the last one smaller."""
    for start in range(0, 203, 64):
        metric.update_state(*(None if a is None else a[start : start + 64] for a in arrays))
    return metric.result().numpy()


@pytest.mark.parametrize("w", [None, W])
def test_scikit_learn_on_two_classes(w):
    called = P > 0.5
    for name in ("precision", "recall", "f1"):
        oracle = getattr(sklearn, f"{name}_score")
        if name == "f1":
            found = fed(metrics.F1Score(threshold=0.5), T[:, None], P[:, None], w)[0]
        else:
            found = fed(getattr(metrics, name.title())(), T, P, w)
        assert found == pytest.approx(oracle(T, called, sample_weight=w), rel=1e-5)
    both = fed(metrics.BinaryIoU(dtype="float32"), T, P, w)
    expected = sklearn.jaccard_score(T, P >= 0.5, sample_weight=w, average="macro")
    assert both == pytest.approx(expected, rel=1e-5)
    counts = sklearn.confusion_matrix(T, called, sample_weight=w).ravel()
    for name, count in zip(("TrueNegatives", "FalsePositives", "FalseNegatives", "TruePositives"),
                           counts, strict=True):  # fmt: skip
        assert fed(getattr(metrics, name)(), T, P, w) == pytest.approx(count, rel=1e-5)


@pytest.mark.parametrize("w", [None, W])
def test_areas_of_scikit_learn(w):
    """With thresholds between all scores the sums are the exact areas."""
    scores = np.round(P * 50) / 50
    cuts = (np.arange(50) + 0.5) / 50
    roc = fed(metrics.AUC(thresholds=cuts), T, scores, w)
    assert roc == pytest.approx(sklearn.roc_auc_score(T, scores, sample_weight=w), rel=1e-5)
    fpr, tpr, _ = sklearn.roc_curve(T, scores, sample_weight=w, drop_intermediate=False)
    lower = np.sum(np.diff(fpr) * tpr[:-1])
    found = fed(metrics.AUC(thresholds=cuts, summation_method="minoring"), T, scores, w)
    assert found == pytest.approx(lower, rel=1e-5)
    precision, recall, _ = sklearn.precision_recall_curve(T, scores, sample_weight=w)
    options = {"curve": "PR", "summation_method": "majoring", "thresholds": cuts}
    upper = np.sum(-np.diff(recall) * np.maximum(precision[:-1], precision[1:]))
    last = recall[-2] * (1 - precision[-2])  # Keras' curve ends at precision 0, not 1
    assert fed(metrics.AUC(**options), T, scores, w) == pytest.approx(upper - last, rel=1e-4)


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_scores_of_scikit_learn_on_many_classes(average):
    hot, guessed = np.eye(5)[LABELS], np.eye(5)[GUESSES]
    for metric, beta in ((metrics.F1Score(average), 1.0), (metrics.FBetaScore(average, 2.0), 2.0)):
        expected = sklearn.fbeta_score(LABELS, GUESSES, beta=beta, average=average, sample_weight=W)
        np.testing.assert_allclose(fed(metric, hot, guessed, W), expected, rtol=1e-5)


def test_intersections_of_scikit_learn():
    shares = sklearn.jaccard_score(LABELS, GUESSES, average=None)
    assert fed(metrics.MeanIoU(5), LABELS, GUESSES) == pytest.approx(shares.mean(), rel=1e-5)
    some = metrics.IoU(5, target_class_ids=[3, 1])
    assert fed(some, LABELS, GUESSES) == pytest.approx(shares[[1, 3]].mean(), rel=1e-5)
    np.testing.assert_array_equal(some.total_cm.numpy(), sklearn.confusion_matrix(LABELS, GUESSES))
    kept = LABELS != 2
    oracle = sklearn.jaccard_score(LABELS[kept], GUESSES[kept], average=None, labels=range(5))
    found = fed(metrics.MeanIoU(5, ignore_class=2, dtype="float32"), LABELS, GUESSES)
    assert found == pytest.approx(oracle.mean(), rel=1e-5)


@pytest.mark.parametrize("w", [None, W])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(None, "raw_values"), ("uniform_average",) * 2,
     ("variance_weighted_average", "variance_weighted")],
)  # fmt: skip
def test_r2_of_scikit_learn(ours, theirs, w):
    t = RNG.normal(size=(203, 3))
    y = t + RNG.normal(size=(203, 3)) * (0.3, 1, 2)
    expected = sklearn.r2_score(t, y, sample_weight=w, multioutput=theirs)
    np.testing.assert_allclose(fed(metrics.R2Score(ours), t, y, w), expected, rtol=1e-5, atol=1e-6)


def test_correlations_by_numpy():
    t, y = RNG.normal(size=(2, 4, 30))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(t, y)]
    np.testing.assert_allclose(metrics.pearson_correlation(t, y).numpy(), expected, rtol=1e-6)
    slopes = [
        2 * np.cov(a, b, ddof=0)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
        for a, b in zip(t, y)
    ]
    np.testing.assert_allclose(metrics.concordance_correlation(t, y).numpy(), slopes, rtol=1e-5)
    metric = metrics.ConcordanceCorrelation()
    assert metric(t, y).item() == pytest.approx(np.mean(slopes), rel=1e-5)


@pytest.mark.parametrize("thresholds", [[0.5], [0.7, 0.2, 0.7], [0, 0.5, 1]])
def test_a_plain_loop(thresholds):
    """NaN is above no threshold; a score at a threshold is not above it."""
    t, p = [1, 1, 0, 0, 2, 0], [0.2, 0.5, 0.7, np.nan, 0.71, 0.0]
    metric = metrics.TruePositives(thresholds=thresholds)
    expected = [sum(a != 0 and b > np.float32(c) for a, b in zip(t, p)) for c in thresholds]
    found = metric(np.float32(t), np.float32(p)).numpy()
    np.testing.assert_array_equal(found, expected if len(expected) > 1 else expected[0])


def test_ties_among_the_largest_go_to_the_left():
    metric = metrics.Precision(top_k=2)
    assert metric([[0, 1, 1, 0]], [[0.3, 0.3, 0.3, 0.1]]).item() == 0.5


def test_counts_beyond_the_precision_of_float32_within_a_batch():
    """Ones are not added one by one in float32."""
    metric = metrics.TruePositives()
    metric.accumulator.assign([2.0**24])
    metric.update_state(np.ones(1000, "float32"), np.ones(1000, "float32"))
    assert metric.result().item() == 2**24 + 1000
    pairs = metrics.MeanIoU(2)
    pairs.total_cm.assign(np.full((2, 2), 2**24 + 1, "int32"))
    pairs.update_state([1], [1])
    assert pairs.total_cm.numpy().tolist() == [[2**24 + 1] * 2, [2**24 + 1, 2**24 + 2]]


def test_results_of_nothing():
    assert metrics.Precision().result().item() == 0 == metrics.AUC().result().item()
    assert metrics.MeanIoU(3).result().item() == 0
    assert metrics.Recall(thresholds=[0.2, 0.4]).result().numpy().tolist() == [0, 0]
    constant = metrics.R2Score(None)
    found = constant([[1.0, 1.0, 1.0], [1.0, 1.0, 2.0]], [[1.0, 2.0, 1.0], [1.0, 2.0, 2.0]])
    np.testing.assert_array_equal(found.numpy(), [np.nan, 0, 1])
    for metric, what in (
        (metrics.F1Score(), "classes"), (metrics.R2Score(), "outputs"),
        (metrics.AUC(multi_label=True), "labels"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"before the first batch, as the number of {what}"):
            metric.result()


def test_a_result_does_not_change_with_the_state():
    metric = metrics.TruePositives(thresholds=[0.2, 0.4])
    first = metric([1], [0.9])
    metric([1], [0.9])
    assert first.numpy().tolist() == [1, 1]


def test_classes_that_are_none_do_not_count():
    metric = metrics.MeanIoU(3)
    metric.update_state([0, 1, 2, 3, -1, 1], [0, 1, 3, 1, 1, -2])
    assert metric.total_cm.numpy().sum() == 2 and metric.result().item() == pytest.approx(1)


def test_float_weights_of_a_metric_that_counts_in_integers():
    with pytest.warns(UserWarning, match="lose their fractions.*dtype='float32'"):
        metrics.MeanIoU(2).update_state([0, 1], [0, 1], np.array([0.5, 1.5]))


SMALL = np.zeros((3, 2), "float32")
BAD_ARGUMENTS = [
    (lambda: metrics.Precision(thresholds=1.5), r"Precision: thresholds .* \[0, 1\], received"),
    (lambda: metrics.TruePositives([0.1, None]), r"TruePositives: thresholds .*received \[None\]"),
    (lambda: metrics.Recall(thresholds=[]), r"Recall: thresholds must lie .*received \[\]"),
    (lambda: metrics.Recall(top_k=0), "Recall: top_k must be a positive integer or None, rec.* 0"),
    (lambda: metrics.SensitivityAtSpecificity(1.2), "specificity must lie in .*received 1.2"),
    (lambda: metrics.RecallAtPrecision(-1), "RecallAtPrecision: precision must lie in"),
    (lambda: metrics.PrecisionAtRecall(0.5, 0), "num_thresholds must be a positive.* received 0"),
    (lambda: metrics.AUC(num_thresholds=1), "AUC: num_thresholds must be an integer > 1, rec"),
    (lambda: metrics.AUC(curve="RO"), "Unknown curve: 'RO'. Did you mean 'ROC'"),
    (lambda: metrics.AUC(summation_method="major"), "Unknown summation_method: .*'majoring'"),
    (lambda: metrics.AUC(num_labels=2), "AUC: num_labels=2 needs multi_label=True"),
    (lambda: metrics.F1Score("makro"), "Unknown average of F1Score: .* mean 'macro'"),
    (lambda: metrics.FBetaScore(beta=1), "FBetaScore: beta must be a float > 0, received 1"),
    (lambda: metrics.F1Score(threshold=2.0), r"threshold must be a float in \(0, 1\] or None"),
    (lambda: metrics.IoU(2, [2]), r"IoU: target_class_ids .*\[0, 2\), received \[2\]"),
    (lambda: metrics.R2Score("uniform"), "Unknown class_aggregation of R2Score: .*'uniform_av"),
    (lambda: metrics.R2Score(num_regressors=-1), "num_regressors must be >= 0, received -1"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD_ARGUMENTS)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


BAD_SHAPES = [
    (metrics.Precision(), (3,), (3, 2), None, r"differ in shape \(y_true \(3,\), y_pred \(3, 2\)"),
    (metrics.Recall(class_id=2), (3, 2), (3, 2), None, r"class_id=2 needs an axis of more classes"),
    (metrics.Recall(class_id=0), (3,), (3,), None, r"class_id=0 needs an axis of more classes"),
    (metrics.AUC(), (3, 2), (3, 2), (2,), r"sample_weight does not fit the values"),
    (metrics.AUC(multi_label=True), (3,), (3,), None, r"\(samples, labels\), received \(3,\)"),
    (metrics.AUC(multi_label=True, num_labels=4), (3, 2), (3, 2), None, r"\(samples, 4\), rec"),
    (metrics.F1Score(), (3,), (3, 2), None, r"received y_true \(3,\) and y_pred \(3, 2\)"),
    (metrics.F1Score(), (3,), (3,), None, r"both have shape \(samples, classes\)"),
    (metrics.IoU(2, [0]), (3,), (3, 2), None, r"differ in size \(y_true \(3,\), y_pred \(3, 2\)"),
    (metrics.R2Score(), (3,), (3,), None, r"must have shape \(samples, outputs\), received y_true"),
    (metrics.PearsonCorrelation(), (3, 2), (3, 4), None, "pearson_correlation: y_true and y_pred"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "t", "p", "w", "message"), BAD_SHAPES)
def test_shapes_that_do_not_fit(metric, t, p, w, message):
    weights = None if w is None else np.ones(w, "float32")
    with pytest.raises(ShapeError, match=message):
        metric.update_state(np.zeros(t, "float32"), np.zeros(p, "float32"), weights)


def test_float16_state_and_predictions():
    y = ops.cast(ops.convert_to_tensor(P), "float16")
    for dtype in ("float16", "float64"):
        metric = metrics.Precision(dtype=dtype)
        metric.update_state(T, y)
        expected = sklearn.precision_score(T, P.astype("float16") > 0.5)
        assert metric.result().dtype == dtype
        assert metric.result().item() == pytest.approx(expected, rel=1e-3)
