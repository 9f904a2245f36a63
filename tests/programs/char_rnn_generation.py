"""A character LSTM learns a short text and writes its own, with temperature sampling."""

import numpy as np

import gpunn as keras
from gpunn import layers

TEXT = "the cat sat on the mat and the rat sat on the hat. " * 6
MAXLEN = 12


def sample(preds, temperature, rng):
    """Helper to sample an index from a probability array."""
    preds = np.asarray(preds).astype("float64")
    preds = np.log(preds) / temperature
    exp_preds = np.exp(preds)
    preds = exp_preds / np.sum(exp_preds)
    probas = rng.multinomial(1, preds, 1)
    return np.argmax(probas)


def main():
    keras.utils.set_random_seed(4)
    rng = np.random.default_rng(0)
    chars = sorted(set(TEXT))
    index = {c: i for i, c in enumerate(chars)}
    starts = range(0, len(TEXT) - MAXLEN, 2)
    x = np.zeros((len(starts), MAXLEN, len(chars)), dtype="bool")
    y = np.zeros((len(starts), len(chars)), dtype="bool")
    for row, i in enumerate(starts):
        for step, char in enumerate(TEXT[i : i + MAXLEN]):
            x[row, step, index[char]] = 1
        y[row, index[TEXT[i + MAXLEN]]] = 1

    model = keras.Sequential(
        [
            keras.Input(shape=(MAXLEN, len(chars))),
            layers.LSTM(32),
            layers.Dense(len(chars), activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.RMSprop(learning_rate=0.02)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer)
    written = []

    class Write(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if (epoch + 1) % 5:
                return
            sentence = TEXT[:MAXLEN]
            for _ in range(8):
                window = np.zeros((1, MAXLEN, len(chars)))
                for step, char in enumerate(sentence[-MAXLEN:]):
                    window[0, step, index[char]] = 1.0
                preds = self.model.predict(window, verbose=0)[0]
                sentence += chars[sample(preds, 0.5, rng)]
            written.append(sentence[MAXLEN:])

    history = model.fit(x, y, batch_size=32, epochs=10, verbose=0, callbacks=[Write()])
    assert len(written) == 2 and all(len(text) == 8 for text in written)
    losses = history.history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    return {"losses": np.array(losses), "written": len(written[-1])}


if __name__ == "__main__":
    print(main())
