"""Is a film review kind? A bidirectional LSTM reads the words, and says how likely.

    python examples/sentiment.py --data aclImdb [--device cpu|gpu] [--epochs N] [--seed N]

The reviews are the Large Movie Review Dataset (IMDB; Maas et al. 2011), 25,000 for training and
25,000 for the test, which nothing ships. Get it once (84 MB):

    curl -O https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz
    tar -xzf aclImdb_v1.tar.gz

The folder given by --data has the folders `train` and `test`, each with `neg` and `pos`, and in
these one `.txt` file for each review; any texts in such folders will do. On the CPU an epoch of the
whole of IMDB takes several minutes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from _shared import start
from rich.console import Console

import gpunn as keras

WORDS = 20_000  # in the vocabulary
LENGTH = 200  # words of a review that are read
BATCH = 128
CLASSES = ["neg", "pos"]
MISSING = """There are no reviews in {folder}. Get them once (84 MB):

    curl -O https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz
    tar -xzf aclImdb_v1.tar.gz

and say where they are: python examples/sentiment.py --data aclImdb"""
KNOWN = (
    "A wonderful film, moving and beautifully played.",
    "A dull and stupid waste of two hours.",
)

Data = tuple[np.ndarray, np.ndarray]


def check(folder: Path | None) -> Path:
    """The folder, if it has the parts it should have; else the script ends with instructions."""
    folder = Path("aclImdb") if folder is None else folder
    if not all((folder / part / kind).is_dir() for part in ("train", "test") for kind in CLASSES):
        raise SystemExit(MISSING.format(folder=folder))
    return folder


def plain(texts: Any) -> np.ndarray:
    """Without the line breaks of web pages, which IMDB's reviews have."""
    return np.array([re.sub(r"<br ?/?>", " ", text) for text in texts], object)


def load(folder: Path, seed: int) -> tuple[Data, Data, Data]:
    """Texts and labels (0 unkind, 1 kind) for training, validation (a fifth) and test."""
    read = keras.utils.text_dataset_from_directory
    train, validation = read(
        folder / "train", class_names=CLASSES, validation_split=0.2, subset="both", seed=seed
    )
    test = read(folder / "test", class_names=CLASSES, shuffle=False)
    return gathered(train), gathered(validation), gathered(test)


def gathered(batches: Any) -> Data:
    """All batches as one."""
    texts, labels = zip(*batches, strict=True)
    return plain(np.concatenate(texts)), np.concatenate(labels)


def make_model(words: int) -> Any:
    """Words (n, LENGTH), 0 where a review has ended -> how likely it is kind (n, 1)."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int64"),
            layers.Embedding(words, 32, mask_zero=True),
            layers.Bidirectional(layers.LSTM(32)),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.002),
        loss="binary_crossentropy",
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy")],
    )
    return model


def main(arguments: list[str] | None = None) -> float:
    """Train, test, read two reviews; returns the accuracy on the test reviews."""
    options = start(
        __doc__, epochs=4, arguments=arguments, pictures=False,
        data="folder with train/neg, train/pos, test/neg and test/pos (default: aclImdb)",
    )  # fmt: skip
    console = Console(highlight=False)
    parts = load(check(options.data), options.seed)
    vectorize = keras.layers.TextVectorization(WORDS, output_sequence_length=LENGTH)
    vectorize.adapt(parts[0][0])
    train, validation, test = (
        (keras.ops.convert_to_numpy(vectorize(texts)), labels.astype("float32")[:, None])
        for texts, labels in parts
    )
    model = make_model(vectorize.vocabulary_size())
    model.summary()
    model.fit(
        *train, batch_size=BATCH, epochs=options.epochs, validation_data=validation, verbose=2
    )
    _, accuracy = model.evaluate(*test, batch_size=BATCH, verbose=0)
    console.print(f"Test accuracy: {accuracy:.2%}")

    likely = model.predict(keras.ops.convert_to_numpy(vectorize(list(KNOWN))), verbose=0)[:, 0]
    for text, share in zip(KNOWN, likely, strict=True):
        console.print(f"{share:.0%} kind: {text}")
    return accuracy


if __name__ == "__main__":
    main()
