"""Labels that no class has are found on the host, with a message that helps."""

import numpy as np
import pytest

from gpunn.losses.checks import check_labels


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32", "bool"])
def test_good_labels_pass(dtype):
    check_labels("loss", np.array([[0], [1], [1]]).astype(dtype), 2)


def test_nothing_to_check_passes():
    check_labels("loss", np.zeros(0, int), 3)
    check_labels("loss", np.full(4, -1), 3, ignore_class=-1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3, 1], r"loss: found label 3, but the output has 3 classes, so labels must be from 0 "
                    r"to 2 \(they are from 0 to 3\).*more units"),
        ([1, 2, 3], r"found label 3.*from 1 to 3.*Do they start at 1\? Subtract 1"),
        ([0, -1], r"found label -1, .*from -1 to 0"),
        ([-1, 7], r"found label -1 and 7, .*from 0 to 2"),
        ([0.0, np.nan, 1.0], r"1 of 3 labels are NaN"),
        ([0.0, 1.5], r"must be whole numbers, found 1.5.*categorical_crossentropy"),
    ],
)  # fmt: skip
def test_bad_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels("loss", np.array(labels), 3)


def test_ignored_labels_are_left_out():
    check_labels("loss", np.array([0, 255, 2]), 3, ignore_class=255)
    with pytest.raises(ValueError, match="found label 9"):
        check_labels("loss", np.array([0, 255, 9]), 3, ignore_class=255)
