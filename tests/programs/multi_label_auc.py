"""Several labels for a sample: sigmoid outputs, AUC per label and over all, precision, recall."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import average_precision_score, roc_auc_score

import gpunn as keras
from gpunn import layers


def main():
    keras.utils.set_random_seed(17)
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    labels = np.stack([y == 0, x[:, 1] > 0.5, x[:, 9] + x[:, 8] > 0.8], axis=1).astype("float32")
    x += np.random.default_rng(17).normal(scale=1.0, size=x.shape).astype("float32")

    model = keras.Sequential(
        [keras.Input((30,)), layers.Dense(16, activation="relu"), layers.Dense(3)]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy"),
            keras.metrics.AUC(multi_label=True, num_labels=3, from_logits=True, name="auc"),
            keras.metrics.AUC(multi_label=False, from_logits=True, name="auc_of_all"),
            keras.metrics.AUC(curve="PR", from_logits=True, num_thresholds=1000, name="pr_auc"),
            keras.metrics.Precision(thresholds=0.0, name="precision"),
            keras.metrics.Recall(thresholds=0.0, class_id=1, name="recall_of_1"),
            keras.metrics.F1Score(average="macro", threshold=0.5, name="f1"),
        ],
    )
    history = model.fit(x, labels, batch_size=64, epochs=5, verbose=0).history
    assert history["auc"][-1] > history["auc"][0]

    results = model.evaluate(x, labels, verbose=0, return_dict=True)
    logits = model.predict(x, verbose=0)
    positive = logits > 0
    each = [roc_auc_score(labels[:, k], logits[:, k]) for k in range(3)]
    np.testing.assert_allclose(results["auc"], np.mean(each), atol=0.01)
    np.testing.assert_allclose(
        results["auc_of_all"], roc_auc_score(labels.ravel(), logits.ravel()), atol=0.01
    )
    np.testing.assert_allclose(
        results["pr_auc"], average_precision_score(labels.ravel(), logits.ravel()), atol=0.01
    )
    np.testing.assert_allclose(results["accuracy"], (positive == labels).mean(), rtol=1e-5)
    np.testing.assert_allclose(results["precision"], labels[positive].mean(), rtol=1e-5)
    is_1 = labels[:, 1] == 1
    np.testing.assert_allclose(results["recall_of_1"], positive[is_1, 1].mean(), rtol=1e-5)

    single = keras.metrics.AUC(multi_label=True, label_weights=[1.0, 0.0, 0.0])
    single.update_state(labels, 1 / (1 + np.exp(-logits)))
    np.testing.assert_allclose(single.result(), each[0], atol=0.01)
    return results
