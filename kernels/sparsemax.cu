// Sparsemax over the rows of a C-contiguous (rows, n) array, and its gradient.
//
// Grid (rows), block a multiple of 32. The threshold τ is the zero of the convex, piecewise linear
// f(τ) = Σ max(z - τ, 0) - 1 with z = x - max x. Newton's method from τ = -1, where f ≥ 0, climbs
// to it and is exact once the support {z > τ} stands still: no sort, a handful of passes over a row
// that the cache holds. Deterministic. Python twins: gpunn/ops/sparsemax.py.
// Source of the iteration: C. Michelot, J. Optim. Theory Appl. 50 (1986).
#include <cuda_fp16.h>
#include "common.cuh"

#define FOR_ROW(j) for (int j = threadIdx.x; j < n; j += blockDim.x)

template <class T> __global__ void sparsemax_forward(const T* x, T* y, int n) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  x += (size_t)blockIdx.x * n;
  y += (size_t)blockIdx.x * n;
  C top = identity<Max, C>::of();
  FOR_ROW(j) top = Max::apply(top, C(x[j]));
  top = block_reduce<Max>(top, scratch);
  C tau = C(-1);
  for (int step = 0; step < n; step++) {  // each step but the last takes an element away
    C sum = C(0), count = C(0);
    FOR_ROW(j) {
      C z = C(x[j]) - top;
      if (!(z <= tau)) { sum += z; count += C(1); }  // a NaN counts, and spoils the row
    }
    sum = block_reduce<Sum>(sum, scratch);
    count = block_reduce<Sum>(count, scratch);
    C next = (sum - C(1)) / count;
    bool climbs = next > tau;  // alike in all threads, as the sums are; false for NaN
    tau = next;
    if (!climbs) break;
  }
  FOR_ROW(j) {
    C z = C(x[j]) - top;
    y[j] = T(z <= tau ? C(0) : z - tau);
  }
}

template <class T> __global__ void sparsemax_backward(const T* y, const T* dy, T* dx, int n) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  size_t row = (size_t)blockIdx.x * n;
  C sum = C(0), count = C(0);
  FOR_ROW(j)
    if (C(y[row + j]) > C(0)) { sum += C(dy[row + j]); count += C(1); }
  sum = block_reduce<Sum>(sum, scratch);
  count = block_reduce<Sum>(count, scratch);
  C mean = sum / count;
  FOR_ROW(j) dx[row + j] = C(y[row + j]) > C(0) ? T(C(dy[row + j]) - mean) : T(0);
}
