// Convolution as an implicit matrix product on tensor cores: the three products of conv.cu, of
// float (rounded to tf32), half or bfloat16, accumulated in float.
//
// Grid (tiles of rows, tiles of columns, g · splits). A block of 8 warps computes TILE = 128 rows
// and columns, of 4 warps, 64. It walks the inner dimension 64 bytes at a time through three stages
// in shared memory (dynamic: 3 · 2 · TILE · 64 bytes): while the warps multiply one, the next two
// are copied. A and B are the elements that one copy takes, as many as widths and alignment allow.
// Coordinates of pixels and windows are carried along: there is no division in the loop. With
// splits, each writes its part of the sum to `parts`; add_parts adds them. Deterministic.
// Python twins: gpunn/ops/conv_tensor.py.
#include "conv_tiles.cuh"

const int STAGES = 3;

template <class T>
__device__ __forceinline__ float finished(float value, const T* bias, int column, bool relu) {
  if (bias) value += float(bias[column]);
  return relu && value <= 0.f ? 0.f : value;  // a NaN stays
}

// Two neighbours of a row, in one instruction where they lie evenly; the second if there is one.
template <class T> __device__ __forceinline__ void store_pair(T* at, float x, float y, bool two) {
  struct alignas(2 * sizeof(T)) Pair { T x, y; };
  if (two && (size_t)at % sizeof(Pair) == 0) {
    *reinterpret_cast<Pair*>(at) = {T(x), T(y)};
  } else {
    at[0] = T(x);
    if (two) at[1] = T(y);
  }
}

template <class T, int MODE, int TILE, int A, int B>
__global__ void __launch_bounds__(2 * TILE, 2)
    convolution_mma(const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ bias,
                    T* __restrict__ out, float* __restrict__ parts, int n, int channels,
                    int filters, int groups, int splits, int relu, GEOMETRY_PARAMETERS) {
  typedef Left<T, MODE, TILE, A> LeftOperand;
  typedef Right<T, MODE, TILE, B> RightOperand;
  const int SIZE = LeftOperand::Place::SIZE, INNER = LeftOperand::Place::INNER;
  const int ROWS = TILE / 2 / 16, COLUMNS = 2;  // fragments of 16 that a warp multiplies
  extern __shared__ __align__(16) unsigned char memory[];
  T* tiles = reinterpret_cast<T*>(memory);

  const int group = blockIdx.z % groups, split = blockIdx.z / groups;
  Problem<T> p = {a, b, channels, filters, channels / groups, filters / groups};
  p.g = GEOMETRY;
  p.first_channel = group * p.c, p.first_filter = group * p.k;
  p.rows = MODE == FORWARD          ? n * p.g.windows()
           : MODE == BACKWARD_INPUT ? n * p.g.pixels()
                                    : p.g.taps() * p.c;
  p.columns = MODE == BACKWARD_INPUT ? p.c : p.k;
  const int inner = MODE == FORWARD          ? p.g.taps() * p.c
                    : MODE == BACKWARD_INPUT ? p.g.taps() * p.k
                                             : n * p.g.windows();
  const int part = ((inner + splits - 1) / splits + INNER - 1) / INNER * INNER;
  const int begin = split * part;
  p.end = min(inner, begin + part);
  p.row0 = blockIdx.x * TILE, p.column0 = blockIdx.y * TILE;

  LeftOperand left;
  RightOperand right;
  left.start(p, begin);
  right.start(p, begin);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int warp_row = warp % 2 * (TILE / 2), warp_column = warp / 2 * 32;
  float total[ROWS][2 * COLUMNS][4];
#pragma unroll
  for (int i = 0; i < ROWS; i++)
#pragma unroll
    for (int j = 0; j < 2 * COLUMNS; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) total[i][j][e] = 0;

  const int steps = (p.end - begin + INNER - 1) / INNER;
  int fill = 0, use = 0;  // stages
  for (int s = 0; s < STAGES - 1; s++, fill++) {
    if (s < steps) {
      left.copy(tiles + 2 * SIZE * fill, p);
      right.copy(tiles + 2 * SIZE * fill + SIZE, p);
    }
    ptx::copy_commit();
  }
  for (int s = 0; s < steps; s++) {
    ptx::copy_wait<STAGES - 2>();
    __syncthreads();  // this stage is there for all, and all have left the one before
    if (s + STAGES - 1 < steps) {
      left.copy(tiles + 2 * SIZE * fill, p);
      right.copy(tiles + 2 * SIZE * fill + SIZE, p);
    }
    ptx::copy_commit();
    const T *x = tiles + 2 * SIZE * use, *y = x + SIZE;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      unsigned fx[ROWS][4], fy[COLUMNS][4];
#pragma unroll
      for (int i = 0; i < ROWS; i++)
        LeftOperand::Place::fragment(fx[i], x, warp_row + 16 * i, half);
#pragma unroll
      for (int j = 0; j < COLUMNS; j++)
        RightOperand::Place::fragment(fy[j], y, warp_column + 16 * j, half);
#pragma unroll
      for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int j = 0; j < 2 * COLUMNS; j++) {
          const unsigned column[2] = {fy[j / 2][j % 2], fy[j / 2][j % 2 + 2]};
          multiply(total[i][j], fx[i], column, T());
        }
    }
    fill = fill + 1 == STAGES ? 0 : fill + 1;
    use = use + 1 == STAGES ? 0 : use + 1;
  }

  const int width = MODE == BACKWARD_INPUT ? channels : filters;
  const int first = group * p.columns;
  const bool in_parts = splits > 1;
  if (in_parts) parts += (long long)split * p.rows * width + first;
  out += first;
#pragma unroll
  for (int i = 0; i < ROWS; i++)
#pragma unroll
    for (int j = 0; j < 2 * COLUMNS; j++)
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        const int row = p.row0 + warp_row + 16 * i + lane / 4 + e / 2 * 8;
        const int column = p.column0 + warp_column + 8 * j + lane % 4 * 2;
        if (row >= p.rows || column >= p.columns) continue;
        const long long at = (long long)row * width + column;
        const bool two = column + 1 < p.columns;
        const float x = total[i][j][e], y = total[i][j][e + 1];
        if (in_parts)
          store_pair(parts + at, x, y, two);
        else
          store_pair(out + at, finished(x, bias, first + column, relu),
                     two ? finished(y, bias, first + column + 1, relu) : 0.f, two);
      }
}

// out = the sum of `splits` parts. One thread an element.
template <class T>
__global__ void add_parts(const float* __restrict__ parts, T* __restrict__ out, int splits,
                          int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float total = 0;
  for (int s = 0; s < splits; s++) total += parts[(long long)s * count + i];
  out[i] = T(total);
}
