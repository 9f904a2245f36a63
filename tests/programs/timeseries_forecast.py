"""Windows of a temperature series and a small LSTM that beats yesterday's value."""

import numpy as np

import gpunn as keras
from gpunn import layers


def main():
    keras.utils.set_random_seed(12)
    rng = np.random.default_rng(12)
    hours = np.arange(900)
    temperature = 10 + 8 * np.sin(2 * np.pi * hours / 24) + rng.normal(0, 0.3, 900)
    pressure = 1000 + 5 * np.cos(2 * np.pi * hours / 48)
    raw = np.stack([temperature, pressure], axis=-1)
    num_train = 600
    raw -= raw[:num_train].mean(axis=0)
    raw /= raw[:num_train].std(axis=0)

    sequence_length, sampling_rate, delay = 8, 3, 3 * 8 + 3
    common = {
        "sampling_rate": sampling_rate,
        "sequence_length": sequence_length,
        "batch_size": 32,
    }
    train_dataset = keras.utils.timeseries_dataset_from_array(
        raw[:-delay], targets=raw[delay:, 0], shuffle=True, seed=1,
        start_index=0, end_index=num_train, **common,
    )  # fmt: skip
    val_dataset = keras.utils.timeseries_dataset_from_array(
        data=raw[:-delay], targets=raw[delay:, 0], start_index=num_train, **common
    )
    for samples, targets in val_dataset:
        assert tuple(samples.shape) == (32, 8, 2) and tuple(targets.shape) == (32,)
        first = np.array(samples)[0]
        np.testing.assert_allclose(first, raw[num_train : num_train + 24 : 3], rtol=1e-5)
        np.testing.assert_allclose(np.array(targets)[0], raw[num_train + delay, 0], rtol=1e-5)
        break

    inputs = keras.Input(shape=(sequence_length, raw.shape[-1]))
    x = layers.LSTM(12, recurrent_dropout=0.1)(inputs)
    x = layers.Dropout(0.1)(x)
    outputs = layers.Dense(1)(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=keras.optimizers.RMSprop(0.01), loss="mse", metrics=["mae"])
    stop = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    history = model.fit(
        train_dataset, epochs=6, validation_data=val_dataset, callbacks=[stop], verbose=0
    ).history

    naive = []
    for samples, targets in val_dataset:
        naive.append(np.abs(np.array(samples)[:, -1, 0] - np.array(targets)))
    naive_mae = float(np.mean(np.concatenate(naive)))
    val_mae = model.evaluate(val_dataset, verbose=0)[1]
    assert history["loss"][-1] < history["loss"][0]
    assert val_mae < naive_mae
    return {"val_mae": val_mae, "naive_mae": naive_mae}


if __name__ == "__main__":
    print(main())
