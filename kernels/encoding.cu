// Integers as rows of counts, and a binary search. Python twins: gpunn/ops/encoding.py.
// Deterministic: of the elements of a row that name one class, the first adds up the weights of all.
#include <cuda_fp16.h>
#include "common.cuh"

// The type in which values are compared and counted: integers exactly.
template <class T> struct exact { typedef typename compute<T>::type type; };
template <> struct exact<int> { typedef int type; };
template <> struct exact<long long> { typedef long long type; };

// x (rows, n), out (rows, classes). Grid (rows).
template <class I, class T, bool PRESENT>
__global__ void encode_tokens(const I* x, const T* weights, T* out, int n, int classes) {
  typedef typename exact<T>::type C;
  x += (size_t)blockIdx.x * n;
  out += (size_t)blockIdx.x * classes;
  if (weights) weights += (size_t)blockIdx.x * n;
  for (int k = threadIdx.x; k < classes; k += blockDim.x) out[k] = T(0);
  __syncthreads();
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    I label = x[j];
    bool first = label >= 0 && label < classes;
    for (int i = 0; first && i < j; i++) first = x[i] != label;
    if (!first) continue;
    C sum = C(1);
    if (!PRESENT) {
      sum = C(0);
      for (int i = j; i < n; i++)
        if (x[i] == label) sum += weights ? C(weights[i]) : C(1);
    }
    out[label] = T(sum);
  }
}

// dw (rows, n) = dy[row, x], 0 where x is no class.
template <class I, class T>
__global__ void encode_weights(const I* x, const T* dy, T* dw, long long size, int n, int classes) {
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
       i += (long long)gridDim.x * blockDim.x) {
    I label = x[i];
    dw[i] = label >= 0 && label < classes ? dy[i / n * classes + label] : T(0);
  }
}

// NumPy's order, in which NaN stands after all numbers.
template <class C> __device__ bool before(C a, C b) { return a < b || (b != b && a == a); }

// out = how many of the n ascending edges are < the value, or, with RIGHT, <= the value.
template <class T, class O, bool RIGHT>
__global__ void search_sorted(const T* edges, const T* values, O* out, int n, long long size) {
  typedef typename exact<T>::type C;
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
       i += (long long)gridDim.x * blockDim.x) {
    C value = C(values[i]);
    int low = 0, high = n;
    while (low < high) {
      int middle = low + (high - low) / 2;
      C edge = C(edges[middle]);
      if (RIGHT ? !before(value, edge) : before(edge, value)) low = middle + 1;
      else high = middle;
    }
    out[i] = O(low);
  }
}
