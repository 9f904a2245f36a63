"""Wide and deep: one-hot categories beside embeddings and numbers, from made-up data."""

import numpy as np

import gpunn as keras
from gpunn import layers

CITIES = ["Bern", "Lyon", "Oslo", "Rome"]


def make_data(n, seed):
    rng = np.random.default_rng(seed)
    city = rng.integers(0, 4, n)
    hour = rng.integers(0, 24, n)
    price = rng.gamma(2.0, 10.0, n).astype("float32")
    score = (city % 2 == 0) * 1.5 + np.sin(hour / 24 * 2 * np.pi) - price / 20
    label = (score + 0.1 * rng.standard_normal(n) > 0).astype("int32")
    return {"city": np.array(CITIES)[city], "hour": hour, "price": price[:, None]}, label


def main():
    keras.utils.set_random_seed(9)
    features, labels = make_data(800, seed=0)

    lookup = layers.StringLookup(vocabulary=CITIES)
    assert lookup.vocabulary_size() == 5
    features["city"] = np.asarray(lookup(features["city"])).astype("int32")
    assert features["city"].min() == 1

    city = keras.Input(shape=(1,), name="city", dtype="int32")
    hour = keras.Input(shape=(1,), name="hour", dtype="int32")
    price = keras.Input(shape=(1,), name="price")

    wide = layers.Concatenate()(
        [
            layers.CategoryEncoding(num_tokens=5, output_mode="one_hot")(city),
            layers.CategoryEncoding(num_tokens=24, output_mode="one_hot")(hour),
        ]
    )
    deep = layers.Concatenate()(
        [
            layers.Flatten()(layers.Embedding(5, 3)(city)),
            layers.Flatten()(layers.Embedding(24, 4)(hour)),
            layers.Rescaling(1 / 20)(price),
        ]
    )
    for units in (16, 16):
        deep = layers.Dense(units)(deep)
        deep = layers.ReLU()(deep)
        deep = layers.Dropout(0.1)(deep)
    outputs = layers.Dense(1, activation="sigmoid")(layers.concatenate([wide, deep]))
    model = keras.Model(inputs=[city, hour, price], outputs=outputs)
    assert wide.shape == (None, 29) and deep.shape == (None, 16)

    model.compile(
        optimizer=keras.optimizers.Adam(0.02),
        loss="binary_crossentropy",
        metrics=["binary_accuracy", keras.metrics.AUC()],
    )
    # three inputs in a list, a dict to fit: the names decide
    history = model.fit(features, labels, epochs=4, batch_size=50, verbose=0)
    assert history.history["binary_accuracy"][-1] > 0.85
    assert history.history["auc"][-1] > 0.9
    new, truth = make_data(200, seed=1)
    new["city"] = np.asarray(lookup(new["city"]))
    accuracy = np.mean((model.predict(new, verbose=0)[:, 0] > 0.5) == truth)
    assert accuracy > 0.8
    return {"accuracy": accuracy, "loss": history.history["loss"]}


if __name__ == "__main__":
    print(main())
