"""A bidirectional LSTM over padded sentences: the padding is masked and changes nothing."""

import numpy as np

import gpunn as keras
from gpunn.layers import LSTM, Bidirectional, Dense, Embedding
from gpunn.models import Sequential
from gpunn.utils import pad_sequences

ON_SIMULATED_GPU = True
VOCABULARY, MAXLEN = 20, 7


def sentences(count, seed):
    """Positive when there are more words above 10 than below."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(1, VOCABULARY, size=rng.integers(2, 7)).tolist() for _ in range(count)]
    labels = np.array([np.mean(np.array(text) >= 10) > 0.5 for text in texts], dtype="int32")
    return texts, labels


def main():
    keras.utils.clear_session()
    keras.utils.set_random_seed(6)
    texts, labels = sentences(160, seed=0)
    x = pad_sequences(texts, maxlen=MAXLEN, padding="post")
    assert x.shape == (160, MAXLEN) and x.dtype == "int32"

    model = Sequential()
    model.add(keras.Input(shape=(None,), dtype="int32"))
    model.add(Embedding(VOCABULARY, 8, mask_zero=True))
    model.add(Bidirectional(LSTM(8, return_sequences=True)))
    model.add(Bidirectional(LSTM(4), merge_mode="sum"))
    model.add(Dense(1, activation="sigmoid"))
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = 0.02
    history = model.fit(x, labels, batch_size=40, epochs=5, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]

    mask = model.layers[0].compute_mask(x)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(mask), x != 0)
    longer = pad_sequences(texts, maxlen=MAXLEN + 5, padding="post")
    short, long = model.predict(x, verbose=0), model.predict(longer, verbose=0)
    np.testing.assert_allclose(short, long, atol=1e-5)
    assert short.shape == (160, 1)

    config = model.layers[1].get_config()
    assert config["merge_mode"] == "concat" and model.layers[1].name == "bidirectional"
    return {"loss": history.history["loss"][-1], "probabilities": short}


if __name__ == "__main__":
    print(main())
