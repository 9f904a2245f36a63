// Hits of classifiers, and running sums: what metrics add up on the device.
//
// label_hits: grid (rows), block a multiple of 32. The running sums: one block of 1024 threads, so
// that the order of the additions, and with it the result, is fixed; batches are short.
// Deterministic. Python twins: gpunn/ops/hits.py, gpunn/ops/accumulate.py.
#include <cuda_fp16.h>
#include "common.cuh"

// hits[row] = 1 if fewer than k entries of the row stand before x[label], else 0.
// Larger entries stand before it and, with EARLIER, equal ones to the left of it; so do NaNs.
template <class T, class H, bool EARLIER>
__global__ void label_hits(const T* x, const int* labels, H* hits, int n, int k) {
  typedef typename compute<T>::type C;
  __shared__ int scratch[32];
  x += (size_t)blockIdx.x * n;
  int label = labels[blockIdx.x], before = 0;
  bool valid = label >= 0 && label < n;
  C score = C(x[valid ? label : 0]);
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    C value = C(x[j]);
    before += !(value <= score) || (EARLIER && value == score && j < label);
  }
  before = block_reduce<Sum>(before, scratch);
  if (threadIdx.x == 0) hits[blockIdx.x] = H(valid && before < k ? 1.0f : 0.0f);
}

// Σ values of a whole array, by one block.
template <class C, class T> __device__ C sum_of(const T* values, int n, C* scratch) {
  C sum = C(0);
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += C(values[i]);
  return block_reduce<Sum>(sum, scratch);
}

template <class T> __global__ void add_sum(T* total, const T* values, int n) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  C sum = sum_of(values, n, scratch);
  if (threadIdx.x == 0) total[0] = T(C(total[0]) + sum);
}

template <class T>
__global__ void add_mean(T* total, T* count, const T* values, int n, double scale, double rows) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  C sum = sum_of(values, n, scratch);
  if (threadIdx.x == 0) {
    total[0] = T(C(total[0]) + C(scale) * sum);
    count[0] = T(C(count[0]) + C(rows));
  }
}

template <class T>
__global__ void add_weighted_mean(T* total, T* count, const T* values, const T* weights, int n,
                                  double scale) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  C sum = C(0);
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += C(values[i]) * C(weights[i]);
  sum = block_reduce<Sum>(sum, scratch);
  C weight = sum_of(weights, n, scratch);
  if (threadIdx.x == 0) {
    total[0] = T(C(total[0]) + C(scale) * sum);
    count[0] = T(C(count[0]) + C(scale) * weight);
  }
}
