// Random numbers by counter. One thread makes one Philox block at a time, in a grid-stride loop, and
// writes the 4 or 8 neighbouring numbers it holds. state = [seed, draws].
// Deterministic and independent of the launch geometry. Python twins: gpunn/backend/random.py.
#include <cuda_fp16.h>
#include "common.cuh"
#include "philox.cuh"

#define FOR_BLOCKS(b, per_thread)                                                             \
  for (long long b = blockIdx.x * (long long)blockDim.x + threadIdx.x; b * (per_thread) < size; \
       b += (long long)gridDim.x * blockDim.x)

template <class T> __global__ void random_uniform(const unsigned int* state, T* out, long long size) {
  const int count = Uniform<T>::per_block;
  FOR_BLOCKS(b, count) {
    PhiloxBlock block = philox(b, state);
    for (int i = 0; i < count && b * count + i < size; i++)
      out[b * count + i] = Uniform<T>::of(block, i);
  }
}

template <class T> __global__ void random_normal(const unsigned int* state, T* out, long long size) {
  const int count = Uniform<T>::per_block / 2;
  FOR_BLOCKS(b, count) {
    PhiloxBlock block = philox(b, state);
    for (int i = 0; i < count && b * count + i < size; i++) {
      T u = Uniform<T>::of(block, 2 * i), v = Uniform<T>::of(block, 2 * i + 1);
      out[b * count + i] = sqrt(T(-2) * log1p(-u)) * cos(T(6.28318530717958647692) * v);
    }
  }
}

template <class T>
__global__ void dropout_mask(const unsigned int* state, T* out, long long size, double rate) {
  const int count = Uniform<float>::per_block;
  typedef typename compute<T>::type C;
  T kept = T(C(1) / (C(1) - C(rate)));
  FOR_BLOCKS(b, count) {
    PhiloxBlock block = philox(b, state);
    for (int i = 0; i < count && b * count + i < size; i++)
      out[b * count + i] = Uniform<float>::of(block, i) >= (float)rate ? kept : T(0);
  }
}
