"""Raw strings in, a sentiment out: TextVectorization before the net and inside the final model."""

import re
import string

import numpy as np

import gpunn as keras
from gpunn import layers
from gpunn.layers import TextVectorization

GOOD = "a truly <br /> wonderful film|I loved it!|great, great acting|what a lovely story|brilliant"
BAD = "a boring film|I hated it...|awful acting; terrible|what a dull <br />story|Dreadful!"


def main():
    keras.utils.set_random_seed(10)
    rng = np.random.default_rng(10)
    texts, labels = [], []
    for label, lines in enumerate((BAD.split("|"), GOOD.split("|"))):
        for _ in range(60):
            pair = rng.choice(len(lines), size=2)
            texts.append(" ".join(lines[i] for i in pair))
            labels.append(label)
    order = rng.permutation(len(texts))
    texts, labels = np.array(texts, dtype=object)[order], np.array(labels)[order]
    clean = [
        re.sub(f"[{re.escape(string.punctuation)}]", "", t.lower().replace("<br />", " "))
        for t in texts
    ]

    vectorize = TextVectorization(max_tokens=40, output_mode="int", output_sequence_length=12)
    vectorize.adapt(clean)
    vocabulary = vectorize.get_vocabulary()
    assert vocabulary[:2] == ["", "[UNK]"] and "film" in vocabulary
    assert len(vocabulary) == vectorize.vocabulary_size() <= 40
    x = np.array(vectorize(clean))
    assert x.shape == (120, 12)

    inputs = keras.Input(shape=(None,), dtype="int64")
    h = layers.Embedding(40, 8)(inputs)
    h = layers.Dropout(0.2)(h)
    h = layers.Conv1D(16, 3, padding="valid", activation="relu")(h)
    h = layers.GlobalMaxPooling1D()(h)
    predictions = layers.Dense(1, activation="sigmoid", name="predictions")(h)
    model = keras.Model(inputs, predictions)
    model.compile(keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, labels, batch_size=16, epochs=4, validation_split=0.25, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert history.history["val_accuracy"][-1] > 0.8

    # Bags of words, with weights of terms by their rarity.
    multi_hot = TextVectorization(output_mode="multi_hot", vocabulary=["film", "story"])
    bag = np.array(multi_hot(["a film, a STORY", "story"]))
    np.testing.assert_array_equal(bag, [[1, 1, 1], [0, 0, 1]])
    tf_idf = TextVectorization(output_mode="tf_idf", ngrams=2)
    tf_idf.adapt(clean)
    rare = np.array(tf_idf(["what a dull story"]))
    assert rare.shape == (1, tf_idf.vocabulary_size()) and np.count_nonzero(rare) >= 4

    new = model.predict(np.array(vectorize(["loved the wonderful acting", "dull"])), verbose=0)
    assert new.shape == (2, 1) and new[0, 0] > new[1, 0]
    return {"loss": history.history["loss"][-1], "tokens": x, "new": new}


if __name__ == "__main__":
    print(main())
