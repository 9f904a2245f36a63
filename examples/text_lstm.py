"""Write like the Python manual: an LSTM that guesses the next character.

    python examples/text_lstm.py [--device cpu|gpu] [--epochs N] [--seed N]

The text is real: the language reference that comes with Python (`help("topics")`, in
`pydoc_data.topics`), some 300,000 characters of technical English. Some of its paragraphs come
more than once; only the first of them is kept, so that the last tenth, on which the model is
tested, holds nothing that it has read. Perplexity, the number of equally likely characters that
would be as hard to guess, is compared with that of a bigram model with add-one smoothing. Then the
network writes by itself, at three temperatures T: character k comes with probability ∝ e^(z_k / T).
"""

from __future__ import annotations

import math
import re
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from _shared import start
from rich.console import Console

import gpunn as keras

STEPS = 100  # characters in a sequence
BATCH = 32
UNITS = 128
TEMPERATURES = (0.5, 0.8, 1.1)
PROMPT = "The class "


def load() -> tuple[str, str]:
    """The text for training and the text for the test: printable ASCII, paragraphs in lines."""
    found: dict[str, None] = {}  # in the order of their first coming
    for _, topic in sorted(topics.items()):
        for paragraph in re.split(r"\n\s*\n", topic):
            plain = re.sub(r"[^ -~]|[*=~^-]{3,}", " ", re.sub(r"\s+", " ", paragraph))
            if len(plain) > 40:
                found[re.sub(" +", " ", plain).strip()] = None
    text = "\n".join(found)
    cut = text.index("\n", len(text) * 9 // 10)
    return text[:cut], text[cut:]


def windows(text: str, characters: str) -> tuple[np.ndarray, np.ndarray]:
    """x, y (n, STEPS) int32: the characters as numbers, and those that come next."""
    numbers = np.array([characters.index(c) for c in text], "int32")
    n = (len(numbers) - 1) // STEPS
    return (
        numbers[: n * STEPS].reshape(n, STEPS),
        numbers[1 : n * STEPS + 1].reshape(n, STEPS),
    )


def bigram_perplexity(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray, classes: int
) -> float:
    """Of P(y | x) = (number of x y in training + 1) / (number of x in training + classes)."""
    counts = np.ones((classes, classes))
    np.add.at(counts, (x.ravel(), y.ravel()), 1)
    likely = counts / counts.sum(1, keepdims=True)
    return math.exp(-np.log(likely[x_test, y_test]).mean())


def make_layers(classes: int, stateful: bool = False) -> list[Any]:
    """Characters (n, T) -> logits of the next ones (n, T, classes)."""
    layers = keras.layers
    return [
        layers.Embedding(classes, 32),
        layers.LSTM(UNITS, return_sequences=True, stateful=stateful),
        layers.Dense(classes),
    ]


def make_model(classes: int, updates: int) -> Any:
    """For training: the learning rate falls to zero along a cosine within so many updates."""
    model = keras.Sequential([keras.Input((STEPS,), dtype="int32"), *make_layers(classes)])
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, updates)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def make_writer(model: Any, classes: int) -> Any:
    """The same network for one character at a time, which remembers what came before."""
    first = keras.Input(batch_shape=(1, 1), dtype="int32")
    writer = keras.Sequential([first, *make_layers(classes, stateful=True)])
    writer.set_weights(model.get_weights())
    return writer


def write(
    writer: Any, characters: str, prompt: str, length: int, temperature: float, seed: int
) -> str:
    """The prompt and `length` characters that the network draws after it."""
    seeds = keras.random.SeedGenerator(seed)
    writer.layers[1].reset_state()
    text = prompt
    for position in range(len(prompt) + length - 1):
        logits = writer(np.array([[characters.index(text[position])]], "int32"))
        if position + 1 == len(text):
            drawn = keras.random.categorical(logits[:, 0] / temperature, 1, seed=seeds)
            text += characters[int(drawn[0, 0])]
    return text


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Train, test, write; returns the perplexities of the network and of the bigram model."""
    options = start(__doc__, epochs=8, arguments=arguments, pictures=False)
    console = Console(highlight=False)
    text, test = load()
    characters = "".join(sorted(set(text) | set(test)))
    x, y = windows(text, characters)
    x_test, y_test = windows(test, characters)
    console.print(f"{len(text):,} characters to learn from, {len(test):,} to test with,")
    console.print(f"{len(characters)} different ones.")

    model = make_model(len(characters), updates=options.epochs * -(-len(x) // BATCH))
    model.summary()
    model.fit(x, y, batch_size=BATCH, epochs=options.epochs, verbose=2)
    perplexity = math.exp(model.evaluate(x_test, y_test, batch_size=BATCH, verbose=0))
    bigrams = bigram_perplexity(x, y, x_test, y_test, len(characters))
    console.print(f"Perplexity: LSTM {perplexity:.2f}, bigrams {bigrams:.2f}")

    writer = make_writer(model, len(characters))
    for temperature in TEMPERATURES:
        written = write(writer, characters, PROMPT, 300, temperature, options.seed)
        console.print(f"\n[bold]Temperature {temperature}[/bold]")
        console.print(written, markup=False)
    return perplexity, bigrams


if __name__ == "__main__":
    main()
