"""Connectionist temporal classification: labels without positions, as in reading and speech."""

import numpy as np

import gpunn as keras
from gpunn import layers, ops

TIME, SYMBOLS = 12, 4  # symbols 1, 2, 3; 0 is the blank


def make_data(count, rng):
    """Signals in which each symbol shows for one or two steps, with pauses between."""
    x = rng.normal(scale=0.2, size=(count, TIME, SYMBOLS)).astype("float32")
    labels = np.zeros((count, 3), dtype="int32")
    for signal, label in zip(x, labels, strict=True):
        length, at = rng.integers(1, 4), 0
        label[:length] = rng.integers(1, SYMBOLS, size=length)
        for symbol in label[:length]:
            at += rng.integers(0, 2)
            shown = rng.integers(1, 3)
            signal[at : at + shown, symbol] += 2.0
            at += shown + 1
            signal[at - 1, 0] += 2.0
    return x, labels


class CTCLayer(layers.Layer):
    """Computes the loss in training and passes its predictions on."""

    def call(self, y_true, y_pred):
        batch_size, time = ops.shape(y_pred)[0], ops.shape(y_pred)[1]
        label_length = ops.sum(ops.cast(y_true > 0, "int32"), axis=-1)
        input_length = time * ops.ones((batch_size,), dtype="int32")
        loss = ops.ctc_loss(y_true, y_pred, label_length, input_length, mask_index=0)
        self.add_loss(ops.mean(loss))
        return y_pred


def spell(rows):
    return [[int(s) for s in row if s > 0] for row in np.asarray(rows)]


def main():
    keras.utils.set_random_seed(19)
    x, labels = make_data(64, np.random.default_rng(19))

    signal = keras.Input(shape=(TIME, SYMBOLS), name="signal")
    target = keras.Input(shape=(None,), name="label", dtype="int32")
    hidden = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(signal)
    logits = layers.Dense(SYMBOLS, name="logits")(hidden)
    output = CTCLayer(name="ctc_loss")(target, logits)
    model = keras.models.Model(inputs=[signal, target], outputs=output)
    model.compile(optimizer=keras.optimizers.Adam(0.03))
    history = model.fit({"signal": x, "label": labels}, epochs=8, batch_size=32, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.6 * losses[0]

    reader = keras.models.Model(signal, model.get_layer(name="logits").output)
    predicted = reader.predict(x, verbose=0)
    assert predicted.shape == (64, TIME, SYMBOLS)

    by_class = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(SYMBOLS)])
    by_class.compile(keras.optimizers.Adam(0.1), loss=keras.losses.CTC())
    simple = by_class.fit(x, labels, epochs=30, batch_size=32, verbose=0).history["loss"]
    assert simple[-1] < 0.1 * simple[0]
    logits = by_class.predict(x, verbose=0)
    lengths = np.full(64, TIME, dtype="int32")
    decoded, scores = ops.ctc_decode(logits, lengths, strategy="greedy", mask_index=0)
    read = spell(decoded[0])
    right = np.mean([a == b for a, b in zip(read, spell(labels), strict=True)])
    assert right > 0.9 and scores.shape == (64, 1)
    beams, _ = ops.ctc_decode(
        logits[:8], lengths[:8], strategy="beam_search", beam_width=10, top_paths=2, mask_index=0
    )
    assert beams.shape[:2] == (2, 8)
    return {"loss": losses, "simple": simple, "right": right}
