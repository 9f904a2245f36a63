// Shared by the recurrent kernels: one thread a unit of a sample, index i = b · H + j.
#pragma once
#include "activations.cuh"

#define FOR_UNITS(i, j, b)                                                                     \
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < (long long)B * H;   \
       i += (long long)gridDim.x * blockDim.x)                                                 \
    for (int j = (int)(i % H), b = (int)(i / H), once = 1; once; once = 0)

// Whether a sample's step counts; without a mask all do.
__device__ __forceinline__ bool counts(const bool* mask, int b) { return !mask || mask[b]; }

// Waits until all blocks of the grid have come here `turn` times (from 1). `arrived` starts at 0.
// All blocks must be resident, which a cooperative launch sees to.
__device__ __forceinline__ void grid_barrier(unsigned int* arrived, unsigned int turn) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    atomicAdd(arrived, 1u);
    volatile unsigned int* count = arrived;
    while (*count < turn * gridDim.x) __nanosleep(20);
    __threadfence();
  }
  __syncthreads();
#ifdef GPUNN_EMU  // its race check does not see that atomics make a barrier
  cooperative_groups::this_grid().sync();
#endif
}

// What the persistent kernels share. A launch of ceil(H / 4) blocks of 256 threads, for B <= 64, does
// all steps: a block owns 4 units, whose weights stay in its shared memory, and a thread one of them
// for one sample. After each step a block waits for the others, whose results it reads then.
#define PERSISTENT_THREAD                                                                      \
  extern __shared__ __align__(16) unsigned char shared[];                                      \
  const int first = blockIdx.x * 4, b = threadIdx.x >> 2, unit = first + (threadIdx.x & 3);    \
  const bool live = b < B && unit < H;                                                         \
  const size_t k = (size_t)b * H + unit, size = (size_t)B * H;

// w[G · 4][H + 1]: row 4 g + j is the column of U (H, G · H) of gate g and unit first + j.
template <int G, class C, class T>
__device__ __forceinline__ void load_columns(const T* U, C* w, int first, int H) {
  for (int i = threadIdx.x; i < 4 * G * H; i += 256) {
    int row = i / (4 * G), c = i % (4 * G), unit = first + (c & 3);
    w[c * (H + 1) + row] = unit < H ? C(U[(size_t)row * G * H + (c >> 2) * H + unit]) : C(0);
  }
}

// w[4][n + 1]: row j is that of U (H, n) of unit first + j.
template <class C, class T>
__device__ __forceinline__ void load_rows(const T* U, C* w, int first, int H, int n) {
  for (int i = threadIdx.x; i < 4 * n; i += 256) {
    int j = i / n, c = i % n;
    w[j * (n + 1) + c] = first + j < H ? C(U[(size_t)(first + j) * n + c]) : C(0);
  }
}

// sum[g] = x[b] · w[4 g + j] for this thread's sample b and unit j; x (B, n) is staged through
// part[64][33], past the first-level cache, since other blocks wrote it.
template <int G, class C, class T>
__device__ __forceinline__ void products(const T* x, const C* w, C* part, int B, int n, C* sum) {
  for (int g = 0; g < G; g++) sum[g] = C(0);
  for (int k0 = 0; k0 < n; k0 += 32) {
    __syncthreads();
    for (int i = threadIdx.x; i < 64 * 32; i += 256) {
      int r = i >> 5, k = i & 31;
      part[r * 33 + k] = r < B && k0 + k < n ? C(__ldcg(x + (size_t)r * n + k0 + k)) : C(0);
    }
    __syncthreads();
    const C* row = part + (threadIdx.x >> 2) * 33;
    const C* weights = w + (threadIdx.x & 3) * (n + 1) + k0;
    for (int k = 0; k < min(32, n - k0); k++)
      for (int g = 0; g < G; g++) sum[g] += row[k] * weights[g * 4 * (n + 1) + k];
  }
}
