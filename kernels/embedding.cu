// Rows of a table (limit, width): gather, and the sums of what flows back to each row.
//
// group_rows sorts the positions of the indices by index, stable, so that each row's gradients are
// added in the order of their positions: no atomics on floats, the same bits each time.
// Python twins: gpunn/ops/embedding.py and gpunn/ops/row_updates.py.
#include <cuda_fp16.h>
#include "common.cuh"

#define SORTERS 512  // threads of group_rows' one block
#define DIGITS 16    // values of a digit of 4 bits
#define LONG 32      // a row that is named more often is summed by a whole block

// out[i] = table[indices[i]], in units V of up to 16 bytes; 0 where there is no such row, which is
// noted in range.
template <class V, class I>
__global__ void gather_rows(const V* __restrict__ table, const I* __restrict__ indices,
                            long long* range, V* __restrict__ out, long long units, int width,
                            long long limit) {
  long long stride = (long long)gridDim.x * blockDim.x;
  for (long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x; k < units; k += stride) {
    long long row = indices[k / width];
    bool known = row >= 0 && row < limit;
    if (!known && range && k % width == 0) {
      atomicMin(&range[0], row);
      atomicMax(&range[1], row);
    }
    out[k] = known ? table[row * width + k % width] : V();
  }
}

// The sum of `value` over the threads before this one; total: over all.
__device__ int offset_of(int value, int* scratch, int& total) {
  int sum = value, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  for (int step = 1; step < 32; step *= 2) {
    int before = __shfl_up_sync(0xffffffffu, sum, step);
    if (lane >= step) sum += before;
  }
  if (lane == 31) scratch[warp] = sum;
  __syncthreads();
  int offset = 0;
  total = 0;
  for (int w = 0; w < SORTERS / 32; w++) {
    if (w < warp) offset += scratch[w];
    total += scratch[w];
  }
  __syncthreads();
  return offset + sum - value;
}

// What to sort by; indices out of range come last.
template <class I> __device__ int key_of(const I* indices, int position, int limit) {
  long long index = indices[position];
  return index >= 0 && index < limit ? (int)index : limit;
}

// One stable pass of a radix sort: positions go from `from` (null: 0, 1, ...) to `to`.
template <class I>
__device__ void sort_by_digit(const I* indices, const int* from, int* to, int* counters,
                              int* scratch, int shift, int begin, int end, int limit) {
  for (int d = 0; d < DIGITS; d++) counters[d * SORTERS + threadIdx.x] = 0;
  for (int i = begin; i < end; i++) {
    int digit = (key_of(indices, from ? from[i] : i, limit) >> shift) & (DIGITS - 1);
    counters[digit * SORTERS + threadIdx.x]++;
  }
  __syncthreads();
  int mine[DIGITS], sum = 0, total;
  for (int k = 0; k < DIGITS; k++) mine[k] = counters[threadIdx.x * DIGITS + k], sum += mine[k];
  int place = offset_of(sum, scratch, total);
  for (int k = 0; k < DIGITS; k++) counters[threadIdx.x * DIGITS + k] = place, place += mine[k];
  __syncthreads();
  for (int i = begin; i < end; i++) {
    int position = from ? from[i] : i;
    int digit = (key_of(indices, position, limit) >> shift) & (DIGITS - 1);
    to[counters[digit * SORTERS + threadIdx.x]++] = position;
  }
  __syncthreads();
}

// order: positions sorted by index; rows: the indices that occur, then -1; starts: where each row
// begins in order, then where the known indices end; count: of rows. One block.
template <class I>
__global__ void group_rows(const I* __restrict__ indices, int* order, int* rows, int* starts,
                           int* count, int n, int limit, int passes) {
  __shared__ int counters[DIGITS * SORTERS];
  __shared__ int scratch[32];
  int each = (n + SORTERS - 1) / SORTERS;
  int begin = min(n, (int)threadIdx.x * each), end = min(n, begin + each);
  const int* from = 0;
  for (int pass = 0; pass < passes; pass++) {  // starts is work space; the last pass goes to order
    int* to = (passes - pass) & 1 ? order : starts;
    sort_by_digit(indices, from, to, counters, scratch, 4 * pass, begin, end, limit);
    from = to;
  }
  int heads = 0, known = 0, groups, ends, before = -1;
  if (begin > 0 && begin < end) before = key_of(indices, order[begin - 1], limit);
  for (int i = begin, last = before; i < end; i++) {
    int key = key_of(indices, order[i], limit);
    heads += key < limit && key != last;
    known += key < limit;
    last = key;
  }
  int place = offset_of(heads, scratch, groups);
  offset_of(known, scratch, ends);
  for (int i = begin, last = before; i < end; i++) {
    int key = key_of(indices, order[i], limit);
    if (key < limit && key != last) rows[place] = key, starts[place++] = i;
    last = key;
  }
  for (int k = groups + threadIdx.x; k <= n; k += SORTERS) {
    if (k < n) rows[k] = -1;
    starts[k] = ends;
  }
  if (threadIdx.x == 0) count[0] = groups;
}

template <class T, class C>
__device__ C sum_positions(const T* dy, const int* order, int from, int to, int step, int width,
                           int column) {
  C sum = C(0);
  for (int i = from; i < to; i += step) sum += C(dy[(size_t)order[i] * width + column]);
  return sum;
}

// out[k] (or, with rows, out[rows[k]]) = Σ dy[order[i]], i from starts[k] to starts[k + 1].
// Block (32, 8): 8 rows, one a warp; all warps together add up the rows that come often.
template <class T>
__global__ void sum_rows(const T* __restrict__ dy, const int* __restrict__ order,
                         const int* __restrict__ starts, const int* __restrict__ count,
                         const int* __restrict__ rows, T* __restrict__ out, int width) {
  typedef typename compute<T>::type C;
  __shared__ C partial[8][33];
  int column = blockIdx.y * 32 + threadIdx.x, groups = count[0];
  bool inside = column < width;
  for (int first = blockIdx.x * 8; first < groups; first += gridDim.x * 8) {
    for (int k = first; k < min(first + 8, groups); k++) {
      int from = starts[k], to = starts[k + 1];
      size_t row = (size_t)(rows ? rows[k] : k) * width;
      if (to - from <= LONG) {
        if (k - first == threadIdx.y && inside)
          out[row + column] = T(sum_positions<T, C>(dy, order, from, to, 1, width, column));
        continue;
      }
      C sum = C(0);
      if (inside)
        sum = sum_positions<T, C>(dy, order, from + threadIdx.y, to, 8, width, column);
      partial[threadIdx.y][threadIdx.x] = sum;
      __syncthreads();
      if (threadIdx.y == 0 && inside) {
        for (int w = 1; w < 8; w++) sum += partial[w][threadIdx.x];
        out[row + column] = T(sum);
      }
      __syncthreads();
    }
  }
}

// For the elements of the rows that a RowGradient names: k in sums, i in the table.
#define FOR_ELEMENTS(k, i)                                                                  \
  long long all = (long long)count[0] * width, stride = (long long)gridDim.x * blockDim.x; \
  for (long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x, i; k < all; k += stride) \
    if (i = (long long)rows[k / width] * width + k % width, true)

template <class T>
__global__ void sgd_rows(T* w, const T* g, const int* rows, const int* count, const T* rate,
                         int width) {
  FOR_ELEMENTS(k, i) w[i] -= rate[0] * g[k];
}

template <class T>
__global__ void adagrad_rows(T* w, const T* g, T* a, const int* rows, const int* count,
                             const T* rate, int width, T epsilon) {
  FOR_ELEMENTS(k, i) {
    a[i] += g[k] * g[k];
    w[i] -= rate[0] * g[k] / sqrt(a[i] + epsilon);
  }
}
