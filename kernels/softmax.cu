// Softmax and log-softmax over the rows of a C-contiguous (rows, n) array, and their gradients.
//
// Grid (rows), block a multiple of 32; every kernel reads a row from global memory a few times, the
// cache serves the later ones. Deterministic. Python twins: gpunn/ops/softmax.py.
#include <cuda_fp16.h>
#include "common.cuh"

#define FOR_ROW(j) for (int j = threadIdx.x; j < n; j += blockDim.x)

// The maximum of a row and log Σ e^(x - max).
template <class C, class T> __device__ void row_statistics(const T* x, int n, C& top, C& log_sum) {
  __shared__ C scratch[32];
  C value = identity<Max, C>::of();
  FOR_ROW(j) value = Max::apply(value, C(x[j]));
  top = block_reduce<Max>(value, scratch);
  value = C(0);
  FOR_ROW(j) value += exp(C(x[j]) - top);
  log_sum = log(block_reduce<Sum>(value, scratch));
}

template <class T> __global__ void softmax_forward(const T* x, T* y, int n) {
  typedef typename compute<T>::type C;
  x += (size_t)blockIdx.x * n;
  y += (size_t)blockIdx.x * n;
  C top, log_sum;
  row_statistics(x, n, top, log_sum);
  FOR_ROW(j) y[j] = T(exp(C(x[j]) - top - log_sum));
}

template <class T> __global__ void log_softmax_forward(const T* x, T* y, int n) {
  typedef typename compute<T>::type C;
  x += (size_t)blockIdx.x * n;
  y += (size_t)blockIdx.x * n;
  C top, log_sum;
  row_statistics(x, n, top, log_sum);
  FOR_ROW(j) y[j] = T(C(x[j]) - top - log_sum);
}

template <class T> __global__ void softmax_backward(const T* y, const T* dy, T* dx, int n) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  size_t row = (size_t)blockIdx.x * n;
  C inner = C(0);
  FOR_ROW(j) inner += C(y[row + j]) * C(dy[row + j]);
  inner = block_reduce<Sum>(inner, scratch);
  FOR_ROW(j) dx[row + j] = T(C(y[row + j]) * (C(dy[row + j]) - inner));
}

template <class T> __global__ void log_softmax_backward(const T* y, const T* dy, T* dx, int n) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  size_t row = (size_t)blockIdx.x * n;
  C total = C(0);
  FOR_ROW(j) total += C(dy[row + j]);
  total = block_reduce<Sum>(total, scratch);
  FOR_ROW(j) dx[row + j] = T(C(dy[row + j]) - exp(C(y[row + j])) * total);
}
