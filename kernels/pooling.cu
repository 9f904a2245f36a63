// Maxima and means of windows: x (N, n0, n1, n2, C), y (N, out0, out1, out2, C), both C-contiguous.
//
// Along an axis window i covers [⌊i·step/parts⌋ - before, ⌈(i·step + extent)/parts⌉ - before) without
// what lies outside of the image; EVEN: parts is 1, and no division is left. A thread computes one
// element of the result, neighbouring threads neighbouring channels. Backward, a thread gathers from
// the windows that cover its element, in their order: deterministic.
// Python twins: gpunn/ops/pool_kernels.py.
#include <cuda_fp16.h>
#include "common.cuh"

struct Axis { int n, out, step, extent, parts, before; };
struct Range { int first, end; };

// How each kernel is told its three axes, and how it begins.
#define AXIS(d) int n##d, int out##d, int step##d, int extent##d, int parts##d, int before##d
#define AXES AXIS(0), AXIS(1), AXIS(2)
#define PACKED(d) {n##d, out##d, step##d, extent##d, parts##d, before##d}
#define PACK_AXES const Axis axis0 = PACKED(0), axis1 = PACKED(1), axis2 = PACKED(2);
#define FOR_ELEMENT(i, size) \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x)
#define FOR_RANGE(i, range) for (int i = range.first; i < range.end; i++)

template <bool EVEN> __device__ int start_of(const Axis& a, int i) {
  return i * a.step / (EVEN ? 1 : a.parts) - a.before;
}

// The part of window i that lies in the image.
template <bool EVEN> __device__ Range window(const Axis& a, int i) {
  int parts = EVEN ? 1 : a.parts;
  int first = start_of<EVEN>(a, i), end = (i * a.step + a.extent + parts - 1) / parts - a.before;
  return {first < 0 ? 0 : first, end > a.n ? a.n : end};
}

// The windows that cover position p.
template <bool EVEN> __device__ Range covering(const Axis& a, int p) {
  int parts = EVEN ? 1 : a.parts, q = p + a.before;
  int below = q * parts - a.extent, end = ((q + 1) * parts - 1) / a.step + 1;
  return {below < 0 ? 0 : below / a.step + 1, end > a.out ? a.out : end};
}

// The place of flat element i of an array (N, size0, size1, size2, C).
struct Place {
  int image, p0, p1, p2, c;
  __device__ Place(unsigned i, int size0, int size1, int size2, int channels) {
    c = i % channels, i /= channels;
    p2 = i % size2, i /= size2;
    p1 = i % size1, i /= size1;
    p0 = i % size0, image = i / size0;
  }
};

__device__ __forceinline__ int offset_in_window(int a, int b, int c, int width1, int width2) {
  return (a * width1 + b) * width2 + c;
}

// y = max of each window, index = the offset of its first maximum; a NaN is the maximum, and then
// the index is that of the window's first element. width1, width2: of the largest window.
template <class T, class I, bool EVEN>
__global__ void max_pool_forward(const T* __restrict__ x, T* __restrict__ y, I* __restrict__ index,
                                 unsigned size, int channels, int width1, int width2, AXES) {
  PACK_AXES
  FOR_ELEMENT(i, size) {
    Place at(i, out0, out1, out2, channels);
    Range w0 = window<EVEN>(axis0, at.p0), w1 = window<EVEN>(axis1, at.p1),
          w2 = window<EVEN>(axis2, at.p2);
    int s0 = start_of<EVEN>(axis0, at.p0), s1 = start_of<EVEN>(axis1, at.p1),
        s2 = start_of<EVEN>(axis2, at.p2);
    int first = offset_in_window(w0.first - s0, w1.first - s1, w2.first - s2, width1, width2);
    typename compute<T>::type best = negative_infinity();
    int found = first;
    FOR_RANGE(a, w0) FOR_RANGE(b, w1) FOR_RANGE(c, w2) {
      typename compute<T>::type value =
          x[(((size_t)at.image * n0 + a) * n1 + b) * n2 * channels + (size_t)c * channels + at.c];
      if (value > best) {
        best = value;
        found = offset_in_window(a - s0, b - s1, c - s2, width1, width2);
      } else if (value != value) {
        best = value;
        found = first;
      }
    }
    y[i] = T(best);
    index[i] = I(found);
  }
}

// dx = Σ dy of the windows whose first maximum is here
template <class T, class I, bool EVEN>
__global__ void max_pool_backward(const T* __restrict__ dy, const I* __restrict__ index,
                                  T* __restrict__ dx, unsigned size, int channels, int width1,
                                  int width2, AXES) {
  PACK_AXES
  FOR_ELEMENT(i, size) {
    Place at(i, n0, n1, n2, channels);
    Range w0 = covering<EVEN>(axis0, at.p0), w1 = covering<EVEN>(axis1, at.p1),
          w2 = covering<EVEN>(axis2, at.p2);
    typename compute<T>::type total = 0;
    FOR_RANGE(a, w0) FOR_RANGE(b, w1) FOR_RANGE(c, w2) {
      size_t j =
          (((size_t)at.image * out0 + a) * out1 + b) * out2 * channels + (size_t)c * channels + at.c;
      int here = offset_in_window(at.p0 - start_of<EVEN>(axis0, a), at.p1 - start_of<EVEN>(axis1, b),
                                  at.p2 - start_of<EVEN>(axis2, c), width1, width2);
      if (int(index[j]) == here) total += typename compute<T>::type(dy[j]);
    }
    dx[i] = T(total);
  }
}

__device__ __forceinline__ int elements(Range r) { return r.end - r.first; }

// y = mean of the part of each window that lies in the image
template <class T, bool EVEN>
__global__ void average_pool_forward(const T* __restrict__ x, T* __restrict__ y, unsigned size,
                                     int channels, AXES) {
  PACK_AXES
  typedef typename compute<T>::type C;
  FOR_ELEMENT(i, size) {
    Place at(i, out0, out1, out2, channels);
    Range w0 = window<EVEN>(axis0, at.p0), w1 = window<EVEN>(axis1, at.p1),
          w2 = window<EVEN>(axis2, at.p2);
    C total = 0;
    FOR_RANGE(a, w0) FOR_RANGE(b, w1) FOR_RANGE(c, w2)
      total += C(
          x[(((size_t)at.image * n0 + a) * n1 + b) * n2 * channels + (size_t)c * channels + at.c]);
    y[i] = T(total / C(elements(w0) * elements(w1) * elements(w2)));
  }
}

// dx = Σ dy / (elements of the window) over the windows that cover it
template <class T, bool EVEN>
__global__ void average_pool_backward(const T* __restrict__ dy, T* __restrict__ dx, unsigned size,
                                      int channels, AXES) {
  PACK_AXES
  typedef typename compute<T>::type C;
  FOR_ELEMENT(i, size) {
    Place at(i, n0, n1, n2, channels);
    Range w0 = covering<EVEN>(axis0, at.p0), w1 = covering<EVEN>(axis1, at.p1),
          w2 = covering<EVEN>(axis2, at.p2);
    C total = 0;
    FOR_RANGE(a, w0) FOR_RANGE(b, w1) FOR_RANGE(c, w2) {
      size_t j =
          (((size_t)at.image * out0 + a) * out1 + b) * out2 * channels + (size_t)c * channels + at.c;
      int n = elements(window<EVEN>(axis0, a)) * elements(window<EVEN>(axis1, b)) *
              elements(window<EVEN>(axis2, c));
      total += C(dy[j]) / C(n);
    }
    dx[i] = T(total);
  }
}
