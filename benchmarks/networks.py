"""Known networks, in the words of `benchmarks.layers`."""

from __future__ import annotations

from benchmarks.layers import BatchNorm, Conv, Dense, Depthwise, GlobalPool, Layer, Residual


def normalized(filters: int, size: int, stride: int = 1, relu: bool = True) -> tuple[Layer, ...]:
    """A convolution without bias, batch normalization, ReLU or nothing."""
    return Conv(filters, size, stride=stride, bias=False), BatchNorm(relu)


def basic_block(filters: int, stride: int = 1, project: bool = False) -> Residual:
    """Two convolutions beside x, or beside a projection of x where the shape changes."""
    path = (*normalized(filters, 3, stride), *normalized(filters, 3, relu=False))
    return Residual(path, normalized(filters, 1, stride, relu=False) if project else ())


def resnet(classes: int) -> tuple[Layer, ...]:
    """ResNet-18 for small images: a 3x3 stem without pooling.  arXiv:1512.03385"""
    stages = [
        (basic_block(n, stride=1 if n == 64 else 2, project=n > 64), basic_block(n))
        for n in (64, 128, 256, 512)
    ]
    blocks = tuple(block for stage in stages for block in stage)
    return (*normalized(64, 3), *blocks, GlobalPool(), Dense(classes))


def mobilenet(classes: int, width: float) -> tuple[Layer, ...]:
    """MobileNetV1.  arXiv:1704.04861 (Table 1)"""
    stages = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
    found = [*normalized(int(32 * width), 3, stride=2)]
    for filters, stride in (*stages, (1024, 2), (1024, 1)):
        found += [Depthwise(3, stride, bias=False), BatchNorm(relu=True)]
        found += normalized(int(filters * width), 1)
    return (*found, GlobalPool(), Dense(classes))
