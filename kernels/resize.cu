// Lengths of axes: elements repeated, and one axis resampled, for C-contiguous arrays.
//
// One thread an element of the result, grid-stride loops, neighbours in the innermost axis. The
// weights are computed where they are used, from integers, so positions are exact. The gradients
// gather as well: deterministic.  Python twins: gpunn/ops/enlarge.py, gpunn/ops/resample.py.
#include <cuda_fp16.h>
#include "common.cuh"

#define FOR_EACH(i)                                                                \
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size; \
       i += (long long)gridDim.x * blockDim.x)

// dx[a, b, c, inner] = Σ dy[a, i, b, j, c, k, inner] over i < f, j < g, k < h.
template <class T>
__global__ void sum_copies(const T* dy, T* dx, long long size, int f, int b, int g, int c, int h,
                           int inner) {
  typedef typename compute<T>::type C;
  FOR_EACH(e) {
    long long rest = e / inner;
    int in_c = int(rest % c), in_b = int(rest / c % b);
    long long in_a = rest / c / b;
    C sum = C(0);
    for (int i = 0; i < f; ++i)
      for (int j = 0; j < g; ++j) {
        long long row = (((in_a * f + i) * b + in_b) * g + j) * c + in_c;
        for (int k = 0; k < h; ++k) sum += C(dy[(row * h + k) * inner + e % inner]);
      }
    dx[e] = T(sum);
  }
}

// The interpolating functions: 1 at 0, 0 at the other integers, 0 from their radius on.
struct Bilinear {
  template <class C> __device__ static C at(C x) { return x < C(1) ? C(1) - x : C(0); }
};
struct Bicubic {
  template <class C> __device__ static C at(C x) {
    if (x >= C(2)) return C(0);
    if (x >= C(1)) return ((C(-0.5) * x + C(2.5)) * x - C(4)) * x + C(2);
    return (C(1.5) * x - C(2.5)) * x * x + C(1);
  }
};
template <int RADIUS> struct Lanczos {
  template <class C> __device__ static C at(C x) {
    const C pi = C(3.14159265358979323846);
    if (x >= C(RADIUS)) return C(0);
    if (x < C(1e-3)) return C(1);
    return C(RADIUS) * sin(pi * x) * sin(pi * x / C(RADIUS)) / (pi * pi * x * x);
  }
};

// Where output i of m takes its value among n inputs: base + fraction = (i + 1/2) n / m - 1/2.
struct Position {
  long long base, remainder, divisor;
  __device__ Position(long long i, long long n, long long m) {
    long long numerator = (2 * i + 1) * n - m;
    divisor = 2 * m;
    base = numerator >= 0 ? numerator / divisor : -((divisor - 1 - numerator) / divisor);
    remainder = numerator - base * divisor;
  }
  // The distance from input j.
  template <class C> __device__ C distance(long long j) const {
    C d = C(base - j) + C(remainder) / C(divisor);
    return d < C(0) ? -d : d;
  }
};

__device__ __forceinline__ long long clamp(long long value, long long low, long long high) {
  return value < low ? low : value > high ? high : value;
}

// The sum of the weights of an output; `squeeze` narrows distances when a smaller image is
// antialiased, `reach` inputs on each side have weights.
template <class F, class C>
__device__ C total_weight(const Position& at, int n, int reach, C squeeze) {
  long long last = clamp(at.base + reach, 0, n - 1);
  C total = C(0);
  for (long long j = clamp(at.base - reach + 1, 0, n - 1); j <= last; ++j)
    total += F::at(at.template distance<C>(j) * squeeze);
  return total;
}

// y[o, i, :] = Σ_j w_ij x[o, j, :] / Σ_j w_ij for x (outer, n, inner), y (outer, m, inner).
template <class T, class F>
__global__ void resample_forward(const T* x, T* y, long long size, int n, int m, int inner,
                                 int reach, double squeeze) {
  typedef typename compute<T>::type C;
  FOR_EACH(e) {
    long long outer = e / inner / m;
    Position at(e / inner % m, n, m);
    long long last = clamp(at.base + reach, 0, n - 1);
    C sum = C(0), total = C(0);
    for (long long j = clamp(at.base - reach + 1, 0, n - 1); j <= last; ++j) {
      C w = F::at(at.template distance<C>(j) * C(squeeze));
      total += w;
      if (w != C(0)) sum += w * C(x[(outer * n + j) * inner + e % inner]);
    }
    y[e] = T(sum / total);
  }
}

// dx[o, j, :] = Σ_i w_ij dy[o, i, :] / Σ_j w_ij
template <class T, class F>
__global__ void resample_backward(const T* dy, T* dx, long long size, int n, int m, int inner,
                                  int reach, double squeeze) {
  typedef typename compute<T>::type C;
  FOR_EACH(e) {
    long long outer = e / inner / n, j = e / inner % n;
    double ratio = double(m) / double(n);
    long long last = clamp((long long)ceil((j + reach + 0.5) * ratio), 0, m - 1);
    C sum = C(0);
    for (long long i = clamp((long long)floor((j - reach - 0.5) * ratio) - 1, 0, m - 1); i <= last;
         ++i) {
      Position at(i, n, m);
      C w = F::at(at.template distance<C>(j) * C(squeeze));
      if (w == C(0)) continue;
      C total = total_weight<F>(at, n, reach, C(squeeze));
      sum += w / total * C(dy[(outer * m + i) * inner + e % inner]);
    }
    dx[e] = T(sum);
  }
}

// y[o, i, :] = x[o, ⌊(i + 1/2) n / m⌋, :]
template <class T>
__global__ void nearest_forward(const T* x, T* y, long long size, int n, int m, int inner) {
  FOR_EACH(e) {
    long long i = e / inner % m, outer = e / inner / m;
    y[e] = x[(outer * n + (2 * i + 1) * n / (2LL * m)) * inner + e % inner];
  }
}

template <class T>
__global__ void nearest_backward(const T* dy, T* dx, long long size, int n, int m, int inner) {
  typedef typename compute<T>::type C;
  FOR_EACH(e) {
    long long j = e / inner % n, outer = e / inner / n;
    C sum = C(0);
    for (long long i = clamp(j * m / n - 1, 0, m - 1); i < m; ++i) {
      long long source = (2 * i + 1) * n / (2LL * m);
      if (source > j) break;
      if (source == j) sum += C(dy[(outer * m + i) * inner + e % inner]);
    }
    dx[e] = T(sum);
  }
}
