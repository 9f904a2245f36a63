// Images under affine (or projective) maps, and the gradient. Images are (N, n0, n1, channels).
//
// Forward: one thread an output element, which gathers at most four pixels. Backward: one thread an
// input pixel, which gathers from the outputs that used it, always in the same order: no atomics,
// deterministic for every map and fill mode. It looks at the outputs tile by tile, and skips a tile
// whose corners map so that none of its outputs comes near the pixel.
// Positions are rounded after every operation, as in NumPy: nearest pixels are the same ones.
// Python twin: gpunn/ops/affine_kernels.py.
#include <cuda_fp16.h>
#include "common.cuh"

#define FAR 5e8   // positions are held within it: they fit into an int
#define TILE 8    // outputs in a row and in a column
#define GROUP 4   // channels that are summed together
#define FOR_EACH(i)                                                                \
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size; \
       i += (long long)gridDim.x * blockDim.x)

enum Mode { CONSTANT, NEAREST, WRAP, MIRROR, REFLECT };

__device__ __forceinline__ float product(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double product(double a, double b) { return __dmul_rn(a, b); }

template <class P> __device__ __forceinline__ P bounded(P v) {  // NaN: far outside
  v = v > P(-FAR) ? v : P(-FAR);
  return v < P(FAR) ? v : P(FAR);
}

// Where an output takes its value: x = (a0 u + a1 v + a2) / k, y = (b0 u + b1 v + b2) / k with
// k = c0 u + c1 v + 1, for the output in column u of row v and t = [a0, ..., c1].
template <class P> struct Point {
  P x, y;
  __device__ Point(const P* t, int u, int v) {
    P k = product(t[6], P(u)) + product(t[7], P(v)) + P(1);
    x = bounded((product(t[0], P(u)) + product(t[1], P(v)) + t[2]) / k);
    y = bounded((product(t[3], P(u)) + product(t[4], P(v)) + t[5]) / k);
  }
};

__device__ __forceinline__ int modulo(int i, int n) { return i % n + (i % n < 0 ? n : 0); }

// The pixel that stands at position i of the endless axis; -1 for none.
__device__ inline int folded(int i, int n, int mode) {
  if (i >= 0 && i < n) return i;
  switch (mode) {
    case NEAREST: return i < 0 ? 0 : n - 1;
    case WRAP: return modulo(i, n);
    case MIRROR: return n == 1 ? 0 : abs(modulo(i + n - 1, 2 * n - 2) - (n - 1));
    case REFLECT: return min(modulo(i, 2 * n), 2 * n - 1 - modulo(i, 2 * n));
    default: return -1;
  }
}

__device__ __forceinline__ int floor_of(double v) { return int(v) - (double(int(v)) > v); }

// The pixels of one axis that a position takes its value from, and their weights.
template <class P> struct Taps {
  int count, index[2];
  P weight[2];
  __device__ Taps(P position, int n, bool bilinear, int mode) {
    count = bilinear ? 2 : 1;
    int base = bilinear ? floor_of(position) : int(position);
    P rest = position - P(base);
    if (!bilinear) base += rest >= P(0.5) ? 1 : rest <= P(-0.5) ? -1 : 0;
    for (int i = 0; i < count; ++i) {
      index[i] = folded(base + i, n, mode);
      weight[i] = !bilinear ? P(1) : i ? rest : P(1) - rest;
    }
  }
  __device__ P of(int pixel) const {
    P total = P(0);
    for (int i = 0; i < count; ++i)
      if (index[i] == pixel) total += weight[i];
    return total;
  }
};

template <class T, class P>
__global__ void affine_forward(const T* x, const P* transforms, T* y, long long size, int stride,
                               int n0, int n1, int channels, int bilinear, int mode, double fill) {
  typedef typename compute<T>::type C;
  FOR_EACH(e) {
    long long pixel = e / channels, image = pixel / n1 / n0;
    Point<P> at(transforms + image * stride, int(pixel % n1), int(pixel / n1 % n0));
    Taps<P> rows(at.y, n0, bilinear, mode), columns(at.x, n1, bilinear, mode);
    C sum = C(0);
    for (int a = 0; a < rows.count; ++a)
      for (int b = 0; b < columns.count; ++b) {
        int i = rows.index[a], j = columns.index[b];
        C value = C(fill);
        if (i >= 0 && j >= 0) value = C(x[((image * n0 + i) * n1 + j) * channels + e % channels]);
        sum += C(product(rows.weight[a], columns.weight[b])) * value;
      }
    y[e] = T(sum);
  }
}

// Whether positions from `low` to `high` may take values from this pixel.
__device__ inline bool reached(double low, double high, int pixel, int n, int mode) {
  int first = floor_of(low), last = floor_of(high) + 1;
  if (mode == NEAREST) {
    first = folded(first, n, mode);
    last = folded(last, n, mode);
  } else if (mode != CONSTANT && (first < 0 || last >= n)) {
    return true;
  }
  return first <= pixel && pixel <= last;
}

// The same for the outputs from (u, v) to (right, bottom). A map without perspective is monotonous
// along rows and columns, also when rounded: the corners hold its extremes.
template <class P>
__device__ inline bool tile_reaches(const P* t, int u, int right, int v, int bottom, int i, int j,
                                    int n0, int n1, int mode) {
  if (t[6] != P(0) || t[7] != P(0)) return true;
  Point<P> a(t, u, v), b(t, right, v), c(t, u, bottom), d(t, right, bottom);
  return reached(min(min(a.y, b.y), min(c.y, d.y)), max(max(a.y, b.y), max(c.y, d.y)), i, n0, mode) &&
         reached(min(min(a.x, b.x), min(c.x, d.x)), max(max(a.x, b.x), max(c.x, d.x)), j, n1, mode);
}

template <class T, class P>
__global__ void affine_backward(const T* dy, const P* transforms, T* dx, long long size, int stride,
                                int n0, int n1, int channels, int bilinear, int mode) {
  typedef typename compute<T>::type C;
  FOR_EACH(e) {
    int j = int(e % n1), i = int(e / n1 % n0);
    long long image = e / n1 / n0;
    const P* t = transforms + image * stride;
    for (int first = 0; first < channels; first += GROUP) {
      int count = min(GROUP, channels - first);
      C sum[GROUP] = {C(0), C(0), C(0), C(0)};
      for (int top = 0; top < n0; top += TILE)
        for (int left = 0; left < n1; left += TILE) {
          int bottom = min(top + TILE, n0), right = min(left + TILE, n1);
          if (!tile_reaches(t, left, right - 1, top, bottom - 1, i, j, n0, n1, mode)) continue;
          for (int v = top; v < bottom; ++v)
            for (int u = left; u < right; ++u) {
              Point<P> at(t, u, v);
              P in_row = Taps<P>(at.y, n0, bilinear, mode).of(i);
              if (in_row == P(0)) continue;
              C weight = C(product(in_row, Taps<P>(at.x, n1, bilinear, mode).of(j)));
              if (weight == C(0)) continue;
              const T* source = dy + ((image * n0 + v) * n1 + u) * channels + first;
              for (int c = 0; c < count; ++c) sum[c] += weight * C(source[c]);
            }
        }
      for (int c = 0; c < count; ++c) dx[e * channels + first + c] = T(sum[c]);
    }
  }
}
