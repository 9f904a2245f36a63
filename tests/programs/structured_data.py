"""A functional model over named columns: strings, categories and numbers, each encoded."""

import numpy as np

import gpunn as keras
from gpunn import layers


def table(count):
    rng = np.random.default_rng(11)
    age = rng.integers(20, 80, size=count)
    chol = rng.normal(230.0, 40.0, size=count)
    chest_pain = rng.integers(0, 4, size=count)
    thal = rng.choice(["normal", "fixed", "reversible"], size=count)
    risk = 0.05 * (age - 50) + 0.01 * (chol - 230) + (thal == "reversible") + (chest_pain == 3)
    features = {"age": age, "chol": chol, "chest_pain": chest_pain, "thal": thal}
    return features, (risk > 0.5).astype("float32")


def main():
    keras.utils.clear_session()
    keras.utils.set_random_seed(11)
    features, target = table(240)

    normalization = {}
    for name in ("age", "chol"):
        normalization[name] = layers.Normalization(axis=None)
        normalization[name].adapt(features[name].astype("float32"))
    lookup = layers.StringLookup(output_mode="int")
    lookup.adapt(features["thal"])
    assert set(lookup.get_vocabulary()) == {"[UNK]", "normal", "fixed", "reversible"}
    assert lookup.get_vocabulary()[0] == "[UNK]"
    encoded = dict(features, thal=np.array(lookup(features["thal"])))
    np.testing.assert_array_equal(np.array(lookup(["never seen"])), [0])

    inputs = {
        "age": keras.Input(shape=(1,), name="age"),
        "chol": keras.Input(shape=(1,), name="chol"),
        "chest_pain": keras.Input(shape=(1,), name="chest_pain", dtype="int64"),
        "thal": keras.Input(shape=(1,), name="thal", dtype="int64"),
    }
    columns = [
        normalization["age"](inputs["age"]),
        normalization["chol"](inputs["chol"]),
        layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")(inputs["chest_pain"]),
        layers.CategoryEncoding(num_tokens=lookup.vocabulary_size())(inputs["thal"]),
    ]
    x = layers.concatenate(columns)
    assert x.shape == (None, 1 + 1 + 4 + 4)
    x = layers.Dense(32, activation="relu")(x)
    x = layers.Dropout(0.1)(x)
    output = layers.Dense(1, activation="sigmoid")(x)
    model = keras.Model(inputs, output)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC()])
    history = model.fit(encoded, target, epochs=8, batch_size=16, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["auc"][-1] > 0.8

    sample = {"age": [60], "chol": [233.0], "chest_pain": [3], "thal": ["fixed"]}
    sample["thal"] = lookup(sample["thal"])
    prediction = model.predict({k: np.array(v) for k, v in sample.items()}, verbose=0)
    assert prediction.shape == (1, 1) and 0.0 < prediction[0, 0] < 1.0
    bins = layers.Discretization(bin_boundaries=[35.0, 50.0, 65.0])(features["age"])
    assert np.array(bins).max() == 3
    return {"loss": history["loss"][-1], "auc": history["auc"][-1], "prediction": prediction}


if __name__ == "__main__":
    print(main())
