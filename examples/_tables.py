"""What the examples on tables share: real data that scikit-learn ships, and standardization."""

from __future__ import annotations

import numpy as np

from gpunn.errors import MissingExtraError

try:
    import matplotlib  # noqa: F401  # the examples draw with it
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import train_test_split
except ModuleNotFoundError as error:
    missing = (error.name or "matplotlib").split(".")[0]
    raise MissingExtraError(missing, "examples", "This example") from None

Data = tuple[np.ndarray, np.ndarray]

SPLIT_SEED = 1  # the same test rows in every run, whatever --seed is


def diabetes() -> Data:
    """442 patients (Efron et al. 2004): x (442, 10) age, sex, body mass index, blood pressure and
    six measurements of the blood; y (442,) how far the disease had come a year later, 25 to 346.
    """
    x, y = load_diabetes(return_X_y=True, scaled=False)
    return x.astype("float32"), y.astype("float32")


def split(data: Data, test: float = 0.2) -> tuple[Data, Data]:
    """The data without its test part, and the test part."""
    x, x_test, y, y_test = train_test_split(*data, test_size=test, random_state=SPLIT_SEED)
    return (x, y), (x_test, y_test)


def standardized(known: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """(x - μ) / σ of each array, with the mean and standard deviation of `known`'s columns only."""
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    return [(x - mean) / deviation for x in (known, *others)]
