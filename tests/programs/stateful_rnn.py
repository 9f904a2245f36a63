"""A stateful GRU carries its state over batches until reset_states."""

import numpy as np

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def main():
    keras.utils.set_random_seed(3)
    steps, batch = 6, 4
    t = np.arange(8 * steps + 1)
    waves = np.stack([np.sin(0.3 * t + p) for p in (0.0, 0.7, 1.4, 2.1)]).astype("float32")
    x, y = waves[:, :-1, None], waves[:, 1:, None]

    model = keras.Sequential(name="stateful")
    model.add(keras.Input(batch_shape=(batch, steps, 1)))
    model.add(layers.GRU(10, stateful=True, return_sequences=True))
    model.add(layers.TimeDistributed(layers.Dense(1)))
    model.compile(loss="mse", optimizer=keras.optimizers.RMSprop(learning_rate=0.02))
    assert model.input_shape == (4, 6, 1)
    assert model.output_shape == (4, 6, 1)

    gru = model.layers[0]
    losses = []
    for _ in range(4):
        total = 0.0
        for start in range(0, x.shape[1], steps):
            chunk = slice(start, start + steps)
            total += float(model.train_on_batch(x[:, chunk], y[:, chunk]))
        losses.append(total)
        gru.reset_states()
    assert losses[-1] < losses[0]

    # Two halves with the state kept are the whole sequence at once.
    first = model.predict_on_batch(x[:, :steps])
    kept = model.predict_on_batch(x[:, steps : 2 * steps])
    gru.reset_states()
    forgotten = model.predict_on_batch(x[:, steps : 2 * steps])
    assert np.abs(kept - forgotten).max() > 1e-4

    whole = keras.Sequential(
        [
            keras.Input((None, 1)),
            layers.GRU(10, return_sequences=True),
            layers.TimeDistributed(layers.Dense(1)),
        ]
    )
    whole.set_weights(model.get_weights())
    together = whole.predict(x[:, : 2 * steps], verbose=0)
    np.testing.assert_allclose(np.concatenate([first, kept], axis=1), together, atol=1e-5)
    return {"losses": np.array(losses), "kept": kept}


if __name__ == "__main__":
    print(main())
