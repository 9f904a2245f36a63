"""Encoder and decoder LSTMs learn to reverse a sequence; inference models pass the states on."""

import numpy as np

import gpunn as keras
from gpunn import layers

TOKENS, START, LENGTH, LATENT = 6, 5, 3, 40


def main():
    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(5)
    source = rng.integers(0, TOKENS - 1, size=(256, LENGTH))
    target = source[:, ::-1]
    shifted = np.concatenate([np.full((256, 1), START), target[:, :-1]], axis=1)
    encoder_data, decoder_data, target_data = (
        keras.utils.to_categorical(a, num_classes=TOKENS) for a in (source, shifted, target)
    )

    encoder_inputs = keras.Input(shape=(None, TOKENS), name="encoder_inputs")
    encoder = layers.LSTM(LATENT, return_state=True)
    _, state_h, state_c = encoder(encoder_inputs)
    encoder_states = [state_h, state_c]

    decoder_inputs = keras.Input(shape=(None, TOKENS), name="decoder_inputs")
    decoder_lstm = layers.LSTM(LATENT, return_sequences=True, return_state=True)
    decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
    decoder_dense = layers.Dense(TOKENS, activation="softmax")
    decoder_outputs = decoder_dense(decoder_outputs)

    model = keras.Model([encoder_inputs, decoder_inputs], decoder_outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(0.03),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        [encoder_data, decoder_data],
        target_data,
        batch_size=32,
        epochs=12,
        validation_split=0.2,
        verbose=0,
    )

    # Inference: the encoder alone, and the decoder with its states as inputs and outputs.
    encoder_model = keras.Model(encoder_inputs, encoder_states)
    states_inputs = [keras.Input(shape=(LATENT,)), keras.Input(shape=(LATENT,))]
    outputs, h, c = decoder_lstm(decoder_inputs, initial_state=states_inputs)
    decoder_model = keras.Model([decoder_inputs] + states_inputs, [decoder_dense(outputs), h, c])

    count = 20
    states = encoder_model.predict(encoder_data[:count], verbose=0)
    token = np.zeros((count, 1, TOKENS))
    token[:, 0, START] = 1.0
    decoded = []
    for _ in range(LENGTH):
        probabilities, *states = decoder_model.predict([token] + list(states), verbose=0)
        decoded.append(probabilities[:, -1].argmax(axis=-1))
        token = np.eye(TOKENS)[decoded[-1]][:, None]
    decoded = np.stack(decoded, axis=1)
    accuracy = np.mean(decoded == target[:count])
    assert decoded.shape == (count, LENGTH)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert accuracy > 0.6
    return {
        "loss": history.history["loss"][-1],
        "val_accuracy": history.history["val_accuracy"][-1],
        "decoded_accuracy": float(accuracy),
    }


if __name__ == "__main__":
    print(main())
