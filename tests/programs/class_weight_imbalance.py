"""A rare class: class weights move the balance of precision and recall."""

import numpy as np

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def transactions(count, seed):
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.06).astype("uint8")
    features = rng.normal(size=(count, 6)) + 0.9 * labels[:, None]
    return features.astype("float32"), labels[:, None]


def make_model():
    return keras.Sequential(
        [
            keras.Input(shape=(6,)),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(1, activation="sigmoid", bias_initializer=keras.initializers.Constant(-2)),
        ]
    )


def metrics():
    return [
        keras.metrics.FalseNegatives(name="fn"),
        keras.metrics.FalsePositives(name="fp"),
        keras.metrics.TrueNegatives(name="tn"),
        keras.metrics.TruePositives(name="tp"),
        keras.metrics.Precision(name="precision"),
        keras.metrics.Recall(name="recall"),
        keras.metrics.AUC(name="prc", curve="PR"),
    ]


def main():
    train_features, train_targets = transactions(800, seed=0)
    val_features, val_targets = transactions(400, seed=1)
    counts = np.bincount(train_targets[:, 0])
    class_weight = {0: 1.0 / counts[0], 1: 1.0 / counts[1]}
    results = {}
    for name, weights in (("plain", None), ("weighted", class_weight)):
        keras.utils.set_random_seed(19)
        model = make_model()
        model.compile(
            optimizer=keras.optimizers.Adam(1e-2), loss="binary_crossentropy", metrics=metrics()
        )
        history = model.fit(
            train_features, train_targets, batch_size=100, epochs=4, verbose=0,
            validation_data=(val_features, val_targets), class_weight=weights,
        ).history  # fmt: skip
        assert history["loss"][-1] < history["loss"][0]
        results[name] = model.evaluate(val_features, val_targets, verbose=0, return_dict=True)
        found = results[name]
        assert found["tp"] + found["fn"] == val_targets.sum()
        assert found["fp"] + found["tn"] == (1 - val_targets.astype(int)).sum()
        np.testing.assert_allclose(
            found["recall"], found["tp"] / (found["tp"] + found["fn"]), rtol=1e-5
        )
    assert results["weighted"]["recall"] > results["plain"]["recall"]
    assert results["weighted"]["fp"] > results["plain"]["fp"]

    # A class weight is a sample weight.
    sample_weight = np.where(train_targets[:, 0] == 1, class_weight[1], class_weight[0])
    keras.utils.set_random_seed(19)
    other = make_model()
    other.compile(optimizer=keras.optimizers.Adam(1e-2), loss="binary_crossentropy")
    losses = other.fit(
        train_features, train_targets, sample_weight=sample_weight, batch_size=100, epochs=4,
        verbose=0,
    ).history["loss"]  # fmt: skip
    np.testing.assert_allclose(losses, history["loss"], rtol=1e-4)
    return {f"{name}_{key}": results[name][key] for name in results for key in ("recall", "prc")}


if __name__ == "__main__":
    print(main())
