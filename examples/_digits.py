"""What the examples on handwritten digits share: the data.

The digits are real: 1797 images of 8 x 8 pixels from the UCI repository, which come with
scikit-learn. 68 % are for training, 12 % to watch while it trains, 20 % for the test.
"""

from __future__ import annotations

import numpy as np

from gpunn.errors import MissingExtraError

try:
    import matplotlib  # noqa: F401  # the examples draw with it
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
except ModuleNotFoundError as error:
    missing = (error.name or "matplotlib").split(".")[0]
    raise MissingExtraError(missing, "examples", "This example") from None

Data = tuple[np.ndarray, np.ndarray]

SPLIT_SEED = 1  # the same test images in every run, whatever --seed is


def load(*shape: int) -> tuple[Data, Data, Data]:
    """Training, validation and test data: x (n, *shape), grey values from 0 to 1; y (n,) labels.

    Stratified: each part has the same share of every digit.
    """
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype("float32").reshape(-1, *shape), y.astype("int32")
    x, x_test, y, y_test = train_test_split(
        x, y, test_size=0.2, stratify=y, random_state=SPLIT_SEED
    )
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.15, stratify=y, random_state=SPLIT_SEED)
    return (x, y), (x_val, y_val), (x_test, y_test)
