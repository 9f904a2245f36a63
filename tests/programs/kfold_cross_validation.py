"""Cross-validation with scikit-learn's folds, by hand and through the estimator's interface."""

import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

import gpunn as keras
from gpunn import layers


def build_model(num_features):
    model = keras.Sequential(
        [
            layers.Dense(8, activation="relu", input_shape=(num_features,)),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate.assign(0.02)
    return model


def main():
    keras.utils.set_random_seed(26)
    x, y = load_wine(return_X_y=True)
    targets = keras.utils.to_categorical(y)
    assert targets.shape == (178, 3)

    scores, out_of_fold = [], np.zeros_like(targets)
    folds = StratifiedKFold(n_splits=4, shuffle=True, random_state=0)
    for train, test in folds.split(x, y):
        keras.backend.clear_session()
        scaler = StandardScaler().fit(x[train])
        model = build_model(x.shape[1])
        model.fit(
            scaler.transform(x[train]), targets[train],
            epochs=8, batch_size=32, verbose=0,
            class_weight={0: 1.0, 1: 0.8, 2: 1.2},
        )  # fmt: skip
        _, accuracy = model.evaluate(scaler.transform(x[test]), targets[test], verbose=0)
        scores.append(accuracy)
        out_of_fold[test] = model.predict(scaler.transform(x[test]), verbose=0)
        assert model.layers[0].name == "dense"  # names start again in each fold
    assert np.mean(scores) > 0.85
    np.testing.assert_allclose(out_of_fold.sum(axis=1), 1.0, rtol=1e-5)
    by_hand = (out_of_fold.argmax(axis=1) == y).mean()
    assert abs(by_hand - np.mean(scores)) < 0.01

    histories = []
    scaled = StandardScaler().fit_transform(x)
    template = build_model(x.shape[1])
    initial = template.get_weights()
    for train, test in KFold(3, shuffle=True, random_state=1).split(scaled):
        template.set_weights(initial)
        history = template.fit(
            scaled[train], targets[train], epochs=3, batch_size=32, verbose=0,
            validation_data=(scaled[test], targets[test]),
        ).history  # fmt: skip
        histories.append(history["val_accuracy"])
    mean_curve = np.mean(histories, axis=0)
    assert mean_curve.shape == (3,) and mean_curve[-1] >= mean_curve[0]
    return {"scores": scores, "mean_curve": mean_curve}
