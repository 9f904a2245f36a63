// Columns of images, for convolution as a plain matrix product.
// x (N, pixels, C), columns (rows, taps, C) for `rows` windows of the batch; all C-contiguous.
//
//   gather_columns   columns[r, t] = x[pixel that tap t of window first + r reads], 0 in the padding
//   scatter_columns  dx[n, p] = sum over taps t of columns[window whose tap t reads p, t]
//
// One thread handles N neighbouring channels of a place, 16 bytes where C and the addresses allow.
// Scattering is a gather as well: each thread sums what belongs to its place, in the order of the
// taps, in compute<T>::type. Deterministic. Launch: 1-D grid, block (256), grid-stride loop; the
// number of threads' places fits 32 bits. Python twins: gpunn/ops/column_kernels.py.
#include <cuda_fp16.h>
#include "common.cuh"
#include "windows.cuh"

template <class T, int N> struct alignas(N * sizeof(T)) Channels { T at[N]; };

template <class T, int N>
__global__ void gather_columns(const T* __restrict__ x, T* __restrict__ columns, unsigned total,
                               unsigned channels, long long first, GEOMETRY_PARAMETERS) {
  typedef Channels<T, N> Part;
  const Geometry g = GEOMETRY;
  const unsigned parts = channels / N, windows = g.windows(), taps = g.taps();
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
    const unsigned place = i / parts, part = i % parts, row = place / taps, tap = place % taps;
    const long long window = first + row, image = window / windows;
    const int pixel = pixel_of(g, int(window - image * windows), tap);
    Part value;
    if (pixel >= 0)
      value = ((const Part*)x)[(image * g.pixels() + pixel) * parts + part];
    else
      for (int j = 0; j < N; j++) value.at[j] = T(0);
    ((Part*)columns)[i] = value;
  }
}

// The window along an axis whose tap `tap` reads position `i`, -1 if there is none.
__device__ __forceinline__ int along(const Geometry& g, int axis, int i, int tap) {
  const int shifted = i + g.before[axis] - tap * g.dilation[axis];
  if (shifted < 0 || shifted % g.stride[axis]) return -1;
  const int o = shifted / g.stride[axis];
  return o < g.out[axis] ? o : -1;
}

template <class T, int N>
__global__ void scatter_columns(const T* __restrict__ columns, T* __restrict__ dx, unsigned total,
                                unsigned channels, GEOMETRY_PARAMETERS) {
  typedef Channels<T, N> Part;
  typedef typename compute<T>::type C;
  const Geometry g = GEOMETRY;
  const unsigned parts = channels / N, pixels = g.pixels();
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
    const unsigned place = i / parts, part = i % parts;
    const long long first = (long long)(place / pixels) * g.windows();
    int at[3];
    unravel(place % pixels, g.size, at);
    C sum[N];
    for (int j = 0; j < N; j++) sum[j] = C(0);
    for (int a = 0; a < g.kernel[0]; a++) {
      const int o0 = along(g, 0, at[0], a);
      if (o0 < 0) continue;
      for (int b = 0; b < g.kernel[1]; b++) {
        const int o1 = along(g, 1, at[1], b);
        if (o1 < 0) continue;
        for (int c = 0; c < g.kernel[2]; c++) {
          const int o2 = along(g, 2, at[2], c);
          if (o2 < 0) continue;
          const long long window = first + (o0 * g.out[1] + o1) * g.out[2] + o2;
          const int tap = (a * g.kernel[1] + b) * g.kernel[2] + c;
          const Part value = ((const Part*)columns)[(window * g.taps() + tap) * parts + part];
          for (int j = 0; j < N; j++) sum[j] += C(value.at[j]);
        }
      }
    }
    Part result;
    for (int j = 0; j < N; j++) result.at[j] = T(sum[j]);
    ((Part*)dx)[i] = result;
  }
}
