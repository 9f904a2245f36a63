// Where the tiles of a convolution's operands lie in memory: who copies which chunk, and how it walks
// along the inner dimension. For conv_mma.cu, which says what the operands are.
#pragma once
#include "mma.cuh"
#include "windows.cuh"

enum Mode { FORWARD, BACKWARD_INPUT, BACKWARD_KERNEL };

// A position as digits (d0, d1, d2, d3) of the bases (any, b1, b2, b3).
struct Odometer {
  int digit[4];

  __device__ __forceinline__ void set(int value, const int* base) {
#pragma unroll
    for (int a = 3; a > 0; a--) {
      digit[a] = value % base[a];
      value /= base[a];
    }
    digit[0] = value;
  }
  __device__ __forceinline__ void add(const Odometer& step, const int* base) {
    int carry = 0;
#pragma unroll
    for (int a = 3; a > 0; a--) {
      int sum = digit[a] + step.digit[a] + carry;
      carry = sum >= base[a];
      digit[a] = carry ? sum - base[a] : sum;
    }
    digit[0] += step.digit[0] + carry;
  }
};

// x / d by a product, for 0 <= x · d < 2^32.
struct Divisor {
  int d;
  unsigned inverse;
  __device__ void set(int value) { d = value, inverse = 0xffffffffu / value + 1; }
  __device__ __forceinline__ int quotient(int x) const {
    return d == 1 ? x : (int)__umulhi((unsigned)x, inverse);
  }
};

template <class T> struct Problem {
  const T *a, *b;
  int channels, filters, c, k;        // all, and of one group
  int first_channel, first_filter;    // of this group
  int rows, columns, end, row0, column0;
  Geometry g;
};

// Copies of a chunk to issue together: those of two bytes are plain loads, which would wait for
// one another.
template <class T> constexpr int at_once(int v) { return v * sizeof(T) < 4 ? 4 : 1; }

__device__ __forceinline__ bool within(int i, int n) { return (unsigned)i < (unsigned)n; }

// A row outside of the result reads nothing: its coordinate lies far in front of the image.
const int NOWHERE = -(1 << 30);

// Copies tiles of the first operand; V elements at a time.
template <class T, int MODE, int TILE, int V> struct Left {
  typedef Tile<T, TILE, MODE != BACKWARD_KERNEL> Place;
  static const int PASSES = 2;                      // chunks of the tile that a thread copies
  static const int STRIDE = Place::LINES / PASSES;  // lines between them
  static const int UNROLL = at_once<T>(V);

  int chunk, line, inner;     // the first of them, and where it stands in the inner dimension
  int base[4], image_base[4];
  Odometer tap;               // (t0, t1, t2, channel), of the chunk's first element
  Odometer step;              // of the inner dimension, from tile to tile or from pass to pass
  Odometer at;                // BACKWARD_KERNEL: (image, o0, o1, o2), the window of this pass
  int image[PASSES], origin[PASSES][3], rest[PASSES][3];  // others: the row of each pass
  Divisor stride[3];

  __device__ __forceinline__ void start(const Problem<T>& p, int begin) {
    const Geometry& g = p.g;
    chunk = threadIdx.x % Place::CHUNKS, line = threadIdx.x / Place::CHUNKS;
    const int width = MODE == BACKWARD_INPUT ? p.k : p.c;
    base[1] = g.kernel[1], base[2] = g.kernel[2], base[3] = width;
#pragma unroll
    for (int a = 0; a < 3; a++) {
      image_base[a + 1] = MODE == BACKWARD_INPUT ? g.size[a] : g.out[a];
      stride[a].set(g.stride[a]);
    }
    const int along = chunk * Place::WIDTH;
    if (MODE == BACKWARD_KERNEL) {
      inner = begin + line;
      tap.set(p.row0 + along, base);
      at.set(inner, image_base);
      step.set(STRIDE, image_base);
      return;
    }
    inner = begin + along;
    tap.set(inner, base);
    step.set(Place::INNER, base);
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
      const int row = p.row0 + line + i * STRIDE;
      Odometer o;
      o.set(row, image_base);
      image[i] = o.digit[0];
#pragma unroll
      for (int a = 0; a < 3; a++) {
        const int position = o.digit[a + 1];
        if (MODE == FORWARD) {
          origin[i][a] = position * g.stride[a] - g.before[a];
        } else {
          origin[i][a] = (position + g.before[a]) / g.stride[a];
          rest[i][a] = (position + g.before[a]) % g.stride[a];
        }
      }
      if (row >= p.rows) origin[i][0] = NOWHERE;
    }
  }

  // The pixel (or, for BACKWARD_INPUT, the window) that a tap of a row reads, -1 if there is none.
  __device__ __forceinline__ int source(const Geometry& g, const Odometer& tap, int i) const {
    const int* size = MODE == BACKWARD_INPUT ? g.out : g.size;
    int flat = MODE == BACKWARD_KERNEL ? at.digit[0] : image[i];
    bool inside = true;
#pragma unroll
    for (int a = 0; a < 3; a++) {
      const int shift = tap.digit[a] * g.dilation[a];
      int position;
      if (MODE == FORWARD) {
        position = origin[i][a] + shift;
      } else if (MODE == BACKWARD_KERNEL) {
        position = at.digit[a + 1] * g.stride[a] - g.before[a] + shift;
      } else {
        const int quotient = stride[a].quotient(shift);
        position = origin[i][a] - quotient;
        inside = inside && rest[i][a] == shift - quotient * g.stride[a];
      }
      inside = inside && within(position, size[a]);
      flat = flat * size[a] + position;
    }
    return inside ? flat : -1;
  }

  __device__ __forceinline__ void copy(T* tile, const Problem<T>& p) {
    const int width = MODE == BACKWARD_INPUT ? p.filters : p.channels;
    const int first = MODE == BACKWARD_INPUT ? p.first_filter : p.first_channel;
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
      Odometer here = tap;
#pragma unroll UNROLL
      for (int e = 0; e < Place::WIDTH; e += V) {
        bool inside = MODE == BACKWARD_KERNEL
                          ? inner + i * STRIDE < p.end &&
                                p.row0 + chunk * Place::WIDTH + e < p.rows
                          : inner + e < p.end;
        const int pixel = source(p.g, here, i);
        inside = inside && pixel >= 0;
        const T* from = inside ? p.a + (long long)pixel * width + first + here.digit[3] : p.a;
        copy_elements<T, V>(tile + Place::place(line + i * STRIDE, chunk) + e, from, inside);
        if (V < Place::WIDTH) here.add({{0, 0, 0, V}}, base);
      }
      if (MODE == BACKWARD_KERNEL) at.add(step, image_base);
    }
    if (MODE != BACKWARD_KERNEL) tap.add(step, base);
    inner += Place::INNER;
  }
};

// Copies tiles of the second operand: w, whose columns are filters; wᵀ; or dy.
template <class T, int MODE, int TILE, int V> struct Right {
  typedef Tile<T, TILE, MODE == BACKWARD_INPUT> Place;
  static const int PASSES = 2, STRIDE = Place::LINES / PASSES, UNROLL = at_once<T>(V);

  int chunk, line, inner, base[4];
  Odometer tap, step;  // BACKWARD_INPUT: (t0, t1, t2, filter)

  __device__ __forceinline__ void start(const Problem<T>& p, int begin) {
    chunk = threadIdx.x % Place::CHUNKS, line = threadIdx.x / Place::CHUNKS;
    inner = begin + (MODE == BACKWARD_INPUT ? chunk * Place::WIDTH : line);
    if (MODE == BACKWARD_INPUT) {
      base[1] = p.g.kernel[1], base[2] = p.g.kernel[2], base[3] = p.k;
      tap.set(inner, base);
      step.set(Place::INNER, base);
    }
  }

  __device__ __forceinline__ void copy(T* tile, const Problem<T>& p) {
    Odometer here = tap;
#pragma unroll UNROLL
    for (int e = 0; e < Place::WIDTH; e += V) {
      const int t = (here.digit[0] * base[1] + here.digit[1]) * base[2] + here.digit[2];
#pragma unroll
      for (int i = 0; i < PASSES; i++) {
        bool inside;
        long long row;
        int filter;
        if (MODE == BACKWARD_INPUT) {
          const int column = p.column0 + line + i * STRIDE;
          inside = inner + e < p.end && column < p.columns;
          row = (long long)t * p.c + column, filter = here.digit[3];
        } else {
          const int column = p.column0 + chunk * Place::WIDTH + e;
          inside = inner + i * STRIDE < p.end && column < p.columns;
          row = inner + i * STRIDE, filter = column;
        }
        const T* from = inside ? p.b + row * p.filters + p.first_filter + filter : p.b;
        copy_elements<T, V>(tile + Place::place(line + i * STRIDE, chunk) + e, from, inside);
      }
      if (MODE == BACKWARD_INPUT && V < Place::WIDTH) here.add({{0, 0, 0, V}}, base);
    }
    inner += Place::INNER;
    if (MODE == BACKWARD_INPUT) tap.add(step, base);
  }
};
