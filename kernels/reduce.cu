// out[o, i] = reduce over r of x[o, r, i], for x of shape (outer, n, inner), C-contiguous.
//
// ROWS (inner == 1): grid (outer), block (256): the threads of a block walk one row.
// Columns: grid (ceil(inner / 32), outer), block (32, 8): a warp reads 32 neighbouring columns, so
// that loads coalesce; 8 partial results are combined in shared memory.
// Deterministic: the order of operations is fixed by the shape. Accumulates in compute<T>::type.
// Python twin: reduce_sum, reduce_max, reduce_min in gpunn/ops/reduce.py.
#include <cuda_fp16.h>
#include "common.cuh"

template <class T> struct accumulator { typedef typename compute<T>::type type; };
template <> struct accumulator<int> { typedef int type; };

template <class T, class Op, bool ROWS>
__global__ void reduce(const T* __restrict__ x, T* __restrict__ out, int n, int inner) {
  typedef typename accumulator<T>::type C;
  C value = identity<Op, C>::of();
  if (ROWS) {
    __shared__ C scratch[32];
    const T* row = x + (size_t)blockIdx.x * n;
    for (int r = threadIdx.x; r < n; r += blockDim.x) value = Op::apply(value, C(row[r]));
    value = block_reduce<Op>(value, scratch);
    if (threadIdx.x == 0) out[blockIdx.x] = T(value);
  } else {
    __shared__ C partial[8][33];
    int i = blockIdx.x * 32 + threadIdx.x;
    const T* block = x + (size_t)blockIdx.y * n * inner + i;
    if (i < inner)
      for (int r = threadIdx.y; r < n; r += 8)
        value = Op::apply(value, C(block[(size_t)r * inner]));
    partial[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.y == 0 && i < inner) {
      for (int k = 1; k < 8; k++) value = Op::apply(value, partial[k][threadIdx.x]);
      out[(size_t)blockIdx.y * inner + i] = T(value);
    }
  }
}
