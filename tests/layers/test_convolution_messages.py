"""What convolutional layers say of wrong arguments and inputs."""

import numpy as np
import pytest

from gpunn import layers
from gpunn.errors import ShapeError

PLANAR = ["Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D"]
LAST, FIRST = {"data_format": "channels_last"}, {"data_format": "channels_first"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv2D(0, 3), "Conv2D: filters must be a positive integer, received 0"),
        (lambda: layers.Conv2D(2.5, 3), "Conv2D: filters must be a positive integer"),
        (lambda: layers.Conv2D(4, 0), "Conv2D: kernel_size must be a positive .* or 2 of them"),
        (lambda: layers.Conv3D(4, (3, 3)), "Conv3D: kernel_size must be .* or 3 of them"),
        (lambda: layers.Conv1D(4, 3, strides=-1), "Conv1D: strides must be .* received -1"),
        (lambda: layers.Conv2D(4, 3, 1, "same", None, 0), "Conv2D: dilation_rate must be"),
        (lambda: layers.Conv2D(4, 3, groups=0), "Conv2D: groups must be a positive integer"),
        (
            lambda: layers.Conv2D(4, 3, groups=3),
            "Conv2D: filters must be a multiple of groups, received filters=4 and groups=3",
        ),
        (
            lambda: layers.Conv2D(4, 3, strides=2, dilation_rate=(1, 2)),
            r"Conv2D: strides > 1 cannot be .* strides \(2, 2\) and dilation_rate \(1, 2\)",
        ),
        (lambda: layers.Conv2D(4, 3, padding="smae"), "of Conv2D: 'smae'. Did you mean 'same'"),
        (lambda: layers.Conv2D(4, 3, padding="causal"), "of Conv2D: 'causal'.* Known: same, valid"),
        (lambda: layers.Conv1D(4, 3, padding="full"), "'full'.* Known: causal, same, valid"),
        (lambda: layers.Conv1DTranspose(4, 3, padding="causal"), "of Conv1DTranspose: 'causal'"),
        (lambda: layers.DepthwiseConv1D(3, padding="causal"), "of DepthwiseConv1D: 'causal'"),
        (
            lambda: layers.Conv2D(4, 3, padding=((1, 1), (2, 2))),
            r"padding of Conv2D: \(\(1, 1\), \(2, 2\)\).* Known: same, valid.* ZeroPadding2D",
        ),
        (lambda: layers.Conv2D(4, 3, padding=[1, 1]), "of Conv2D: .* ZeroPadding2D"),
        (
            lambda: layers.Conv2D(4, 3, padding=1),
            "of Conv2D: 1. Known: same, valid. .* ZeroPadding2D",
        ),
        (lambda: layers.Conv2D(4, 3, data_format="first"), "Unknown data_format: 'first'"),
        (
            lambda: layers.Conv1DTranspose(4, 3, 2, output_padding=2),
            r"output_padding must be 0 or more and smaller .*\(strides \(2,\)\), received 2",
        ),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier must be"),
        (lambda: layers.Conv2D(4, 3, activation="rleu"), "'rleu'. Did you mean 'relu'"),
        (lambda: layers.Conv2D(4, 3, filter=3), "argument of Conv2D: 'filter'. Did you mean"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", PLANAR)
def test_wrong_inputs(name):
    def made(**options):
        options |= {"filters": 4} if name[0] != "D" else {}
        return getattr(layers, name)(kernel_size=3, name="conv", **options)

    with pytest.raises(ShapeError, match="'conv' is incompatible .* min_ndim=4, found"):
        made()(np.ones((2, 5, 3)))
    with pytest.raises(ShapeError, match="'conv' is incompatible .* max_ndim=4, found"):
        made()(np.ones((2, 5, 5, 5, 3)))
    for order, axis in ((LAST, -1), (FIRST, 1)):
        layer = made(**order)
        layer(np.ones((2, 5, 5, 5)))
        with pytest.raises(ShapeError, match=f"expected axis {axis} to have length 5, found 6"):
            layer(np.ones((2, 6, 6, 6)))
        unknown = [None, 5, 5, 5]
        unknown[axis] = None
        with pytest.raises(ValueError, match=f"{name} 'conv': the channels of the input must be k"):
            made(**order).build(tuple(unknown))


def test_groups_that_do_not_divide_the_channels():
    with pytest.raises(ValueError, match="'c': the channels of the input must be a multiple of gr"):
        layers.Conv2D(4, 3, groups=2, name="c")(np.ones((2, 5, 5, 3)))


def test_a_kernel_that_does_not_fit():
    with pytest.raises(ShapeError, match="conv: a window of 5 .* axis of length 4"):
        layers.Conv2D(4, 5)(np.ones((2, 8, 4, 3)))
    with pytest.raises(ShapeError, match="depthwise_conv: a window of 5 .* axis of length 4"):
        layers.SeparableConv2D(4, 5).compute_output_shape((None, 8, 4, 3))
