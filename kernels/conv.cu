// Convolution as an implicit matrix product: no columns in memory, pixels are found on the way.
// x (N, pixels, C), w (taps, C/g, K), y (N, windows, K), all C-contiguous, g groups.
//
//   FORWARD          y  (N · windows, K/g)  = columns(x) (…, taps · C/g)  · w
//   BACKWARD_INPUT   dx (N · pixels, C/g)   = columns(dy) (…, taps · K/g) · wᵀ
//   BACKWARD_KERNEL  dw (taps · C/g, K/g)   = columns(x)ᵀ (…, N · windows) · dy
//
// Grid (tiles of rows, tiles of columns, g · splits), block (128): four warps share a tile of
// 64 x 64 and walk the inner dimension in steps of 16 through two buffers in shared memory; each
// thread keeps 8 x 4 results. With splits, each takes a part of the inner dimension and writes a
// result of its own, which are summed afterwards. Deterministic. Accumulates in compute<T>::type.
// Python twins: gpunn/ops/conv_kernels.py.
#include <cuda_fp16.h>
#include "common.cuh"
#include "windows.cuh"

enum Mode { FORWARD, BACKWARD_INPUT, BACKWARD_KERNEL };

const int TILE = 64, STEP = 16, THREADS = 128, PITCH = TILE + 4;

template <class T> struct Problem {
  const T *a, *b;  // the two operands: (x, w), (dy, w) or (x, dy)
  int n, channels, filters, groups, group;
  Geometry g;

  __device__ int c() const { return channels / groups; }
  __device__ int k() const { return filters / groups; }
};

// The value of image `row / pixels or windows` at a pixel or window, 0 outside.
template <class T>
__device__ __forceinline__ T at(const T* images, long long image, int count, int index, int width,
                                int channel) {
  return index < 0 ? T(0) : images[(image * count + index) * width + channel];
}

// Element (row, inner) of the first operand.
template <class T, int MODE>
__device__ __forceinline__ T left(const Problem<T>& p, int row, int inner) {
  const Geometry& g = p.g;
  if (MODE == FORWARD) {
    int tap = inner / p.c(), c = inner % p.c(), window = row % g.windows();
    return at(p.a, row / g.windows(), g.pixels(), pixel_of(g, window, tap), p.channels,
              p.group * p.c() + c);
  }
  if (MODE == BACKWARD_INPUT) {
    int tap = inner / p.k(), k = inner % p.k(), pixel = row % g.pixels();
    return at(p.a, row / g.pixels(), g.windows(), window_of(g, pixel, tap), p.filters,
              p.group * p.k() + k);
  }
  int tap = row / p.c(), c = row % p.c(), window = inner % g.windows();
  return at(p.a, inner / g.windows(), g.pixels(), pixel_of(g, window, tap), p.channels,
            p.group * p.c() + c);
}

// Element (inner, column) of the second operand.
template <class T, int MODE>
__device__ __forceinline__ T right(const Problem<T>& p, int inner, int column) {
  if (MODE == BACKWARD_INPUT) {
    int tap = inner / p.k(), k = inner % p.k();
    return p.b[((long long)tap * p.c() + column) * p.filters + p.group * p.k() + k];
  }
  return p.b[(long long)inner * p.filters + p.group * p.k() + column];
}

template <class T, int MODE>
__global__ void __launch_bounds__(THREADS)
    convolution(const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ bias,
                T* __restrict__ out, int n, int channels, int filters, int groups, int splits,
                int relu, GEOMETRY_PARAMETERS) {
  typedef typename compute<T>::type C;
  __shared__ C sa[STEP][PITCH], sb[STEP][PITCH];
  const int group = blockIdx.z % groups, split = blockIdx.z / groups;
  const Problem<T> p = {a, b, n, channels, filters, groups, group, GEOMETRY};
  const int rows = MODE == FORWARD          ? n * p.g.windows()
                   : MODE == BACKWARD_INPUT ? n * p.g.pixels()
                                            : p.g.taps() * p.c();
  const int columns = MODE == BACKWARD_INPUT ? p.c() : p.k();
  const int inner = MODE == FORWARD          ? p.g.taps() * p.c()
                    : MODE == BACKWARD_INPUT ? p.g.taps() * p.k()
                                             : n * p.g.windows();
  const int part = ((inner + splits - 1) / splits + STEP - 1) / STEP * STEP;
  const int begin = split * part, end = min(inner, begin + part);
  const int row0 = blockIdx.x * TILE, column0 = blockIdx.y * TILE;
  // Which way the memory of an operand runs decides which way neighbouring threads load.
  const bool a_along_inner = MODE != BACKWARD_KERNEL, b_along_inner = MODE == BACKWARD_INPUT;
  const int r = threadIdx.x / 16, c = threadIdx.x % 16;  // results: rows 8 r.., columns c + 16 j
  C total[8][4];
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 4; j++) total[i][j] = C(0);

  for (int start = begin; start < end; start += STEP) {
    for (int e = threadIdx.x; e < TILE * STEP; e += THREADS) {
      int i = a_along_inner ? e / STEP : e % TILE, k = a_along_inner ? e % STEP : e / TILE;
      bool inside = row0 + i < rows && start + k < end;
      sa[k][i] = inside ? C(left<T, MODE>(p, row0 + i, start + k)) : C(0);
      int j = b_along_inner ? e / STEP : e % TILE, l = b_along_inner ? e % STEP : e / TILE;
      inside = column0 + j < columns && start + l < end;
      sb[l][j] = inside ? C(right<T, MODE>(p, start + l, column0 + j)) : C(0);
    }
    __syncthreads();
    for (int k = 0; k < STEP; k++) {
      C x[8], y[4];
      for (int i = 0; i < 8; i++) x[i] = sa[k][8 * r + i];
      for (int j = 0; j < 4; j++) y[j] = sb[k][c + 16 * j];
      for (int i = 0; i < 8; i++)
        for (int j = 0; j < 4; j++) total[i][j] += x[i] * y[j];
    }
    __syncthreads();
  }

  const int width = MODE == BACKWARD_INPUT ? channels : filters;
  out += (long long)split * rows * width + group * columns;
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 4; j++) {
      int row = row0 + 8 * r + i, column = column0 + c + 16 * j;
      if (row >= rows || column >= columns) continue;
      C value = total[i][j];
      if (bias) value += C(bias[group * columns + column]);
      if (relu && !(value > C(0)) && value == value) value = C(0);
      out[(long long)row * width + column] = T(value);
    }
}
