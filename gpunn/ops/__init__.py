"""Operations on tensors, under the names of `keras.ops`. They differentiate and infer shapes."""

from gpunn.autodiff.tape import no_grad
from gpunn.ops import core as core
from gpunn.ops import image as image
from gpunn.ops import linalg as linalg
from gpunn.ops import nn as nn
from gpunn.ops import numpy as numpy
from gpunn.ops import operators as _operators
from gpunn.ops.activations import mish
from gpunn.ops.core import *
from gpunn.ops.elementwise import rint
from gpunn.ops.encoding import token_counts
from gpunn.ops.gemm import dense
from gpunn.ops.indexing import getitem
from gpunn.ops.linalg import *
from gpunn.ops.nn import *
from gpunn.ops.noise import dropout
from gpunn.ops.numpy import *
from gpunn.ops.prelu import prelu

_operators.install()

__all__ = [name for name, value in list(globals().items()) if name[0] != "_" and callable(value)]
