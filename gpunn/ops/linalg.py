"""The functions of `keras.ops.linalg`: of matrices, or batches of them."""

from gpunn.ops.custom_gradient import jvp
from gpunn.ops.eigen import eig, eigh, lstsq, pinv, svd
from gpunn.ops.factorizations import cholesky, lu_factor, qr
from gpunn.ops.matrices import cholesky_inverse, det, inv, solve, solve_triangular
from gpunn.ops.norms import matrix_rank, norm
