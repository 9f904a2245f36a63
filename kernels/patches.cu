// Patches of images, and patches added up to images: both only move values, or add them.
// x (N, pixels, C), y (N, windows, taps, C), C-contiguous.
//
// Grid-stride loop, one thread an element of the result, channels run fastest. Deterministic: a
// pixel adds what its taps read in their order. Python twins: gpunn/ops/patches.py.
#include <cuda_fp16.h>
#include "common.cuh"
#include "windows.cuh"

template <class T>
__global__ void patches_forward(const T* __restrict__ x, T* __restrict__ y, int n, int channels,
                                GEOMETRY_PARAMETERS) {
  const Geometry g = GEOMETRY;
  const long long count = (long long)n * g.windows() * g.taps() * channels;
  for (long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x; e < count;
       e += (long long)gridDim.x * blockDim.x) {
    int c = e % channels, tap = e / channels % g.taps();
    long long patch = e / channels / g.taps();
    int pixel = pixel_of(g, patch % g.windows(), tap);
    y[e] = pixel < 0 ? T(0) : x[(patch / g.windows() * g.pixels() + pixel) * channels + c];
  }
}

template <class T>
__global__ void patches_backward(const T* __restrict__ dy, T* __restrict__ dx, int n,
                                 int channels, GEOMETRY_PARAMETERS) {
  typedef typename compute<T>::type C;
  const Geometry g = GEOMETRY;
  const long long count = (long long)n * g.pixels() * channels;
  for (long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x; e < count;
       e += (long long)gridDim.x * blockDim.x) {
    int c = e % channels, pixel = e / channels % g.pixels();
    const long long image = e / channels / g.pixels() * g.windows();
    C total = C(0);
    for (int t = 0; t < g.taps(); t++) {
      int window = window_of(g, pixel, t);
      if (window >= 0) total += C(dy[((image + window) * g.taps() + t) * channels + c]);
    }
    dx[e] = T(total);
  }
}
