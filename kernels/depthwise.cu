// Depthwise convolution: y[n, o, c·m + j] = Σ over taps t of x[n, pixel(o, t), c] w[t, c, j].
// x (N, pixels, C), w (taps, C, m), y (N, windows, C·m), all C-contiguous.
//
// forward, backward_input: grid-stride loop, one thread an element of the result, channels run
// fastest, so that loads coalesce. backward_kernel: grid (ceil(C·m / 32), taps), block (32, 8):
// a warp reads 32 neighbouring channels; 8 partial sums are combined in shared memory.
// Deterministic. Python twins: gpunn/ops/depthwise.py.
#include <cuda_fp16.h>
#include "common.cuh"
#include "windows.cuh"

template <class T>
__global__ void depthwise_forward(const T* __restrict__ x, const T* __restrict__ w,
                                  T* __restrict__ y, int n, int channels, int m,
                                  GEOMETRY_PARAMETERS) {
  typedef typename compute<T>::type C;
  const Geometry g = GEOMETRY;
  const int width = channels * m;
  const long long count = (long long)n * g.windows() * width;
  for (long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x; e < count;
       e += (long long)gridDim.x * blockDim.x) {
    int k = e % width, window = e / width % g.windows();
    const T* image = x + e / width / g.windows() * g.pixels() * channels;
    C total = C(0);
    for (int t = 0; t < g.taps(); t++) {
      int pixel = pixel_of(g, window, t);
      if (pixel >= 0)
        total += C(image[(long long)pixel * channels + k / m]) * C(w[(long long)t * width + k]);
    }
    y[e] = T(total);
  }
}

template <class T>
__global__ void depthwise_backward_input(const T* __restrict__ dy, const T* __restrict__ w,
                                         T* __restrict__ dx, int n, int channels, int m,
                                         GEOMETRY_PARAMETERS) {
  typedef typename compute<T>::type C;
  const Geometry g = GEOMETRY;
  const int width = channels * m;
  const long long count = (long long)n * g.pixels() * channels;
  for (long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x; e < count;
       e += (long long)gridDim.x * blockDim.x) {
    int c = e % channels, pixel = e / channels % g.pixels();
    const T* image = dy + e / channels / g.pixels() * g.windows() * width;
    C total = C(0);
    for (int t = 0; t < g.taps(); t++) {
      int window = window_of(g, pixel, t);
      if (window < 0) continue;
      for (int j = 0; j < m; j++)
        total += C(image[(long long)window * width + c * m + j]) *
                 C(w[(long long)t * width + c * m + j]);
    }
    dx[e] = T(total);
  }
}

template <class T>
__global__ void depthwise_backward_kernel(const T* __restrict__ x, const T* __restrict__ dy,
                                          T* __restrict__ dw, int n, int channels, int m,
                                          GEOMETRY_PARAMETERS) {
  typedef typename compute<T>::type C;
  __shared__ C partial[8][33];
  const Geometry g = GEOMETRY;
  const int width = channels * m, k = blockIdx.x * 32 + threadIdx.x, t = blockIdx.y;
  C total = C(0);
  if (k < width)
    for (long long row = threadIdx.y; row < (long long)n * g.windows(); row += 8) {
      int pixel = pixel_of(g, row % g.windows(), t);
      if (pixel < 0) continue;
      long long at = row / g.windows() * g.pixels() + pixel;
      total += C(x[at * channels + k / m]) * C(dy[row * width + k]);
    }
  partial[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y == 0 && k < width) {
    for (int i = 1; i < 8; i++) total += partial[i][threadIdx.x];
    dw[(long long)t * width + k] = T(total);
  }
}
