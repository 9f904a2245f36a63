// Hits and errors of classifiers, and running sums: what metrics add up on the device.
//
// label_hits: grid (rows), block a multiple of 32. The running sums: one block of 1024 threads, so
// that the order of the additions, and with it the result, is fixed; batches are short. The
// confusion counts: a block for each cell, or row of cells, all of which read all elements.
// Deterministic. Python twins: gpunn/ops/hits.py, gpunn/ops/accumulate.py, gpunn/ops/confusion.py.
#include <cuda_fp16.h>
#include "common.cuh"

// hits[row] = 1 if fewer than k entries of the row stand before x[label], else 0.
// Larger entries stand before it and, with EARLIER, equal ones to the left of it; so do NaNs.
template <class T, class H, bool EARLIER>
__global__ void label_hits(const T* x, const int* labels, H* hits, int n, int k) {
  typedef typename compute<T>::type C;
  __shared__ int scratch[32];
  x += (size_t)blockIdx.x * n;
  int label = labels[blockIdx.x], before = 0;
  bool valid = label >= 0 && label < n;
  C score = C(x[valid ? label : 0]);
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    C value = C(x[j]);
    before += !(value <= score) || (EARLIER && value == score && j < label);
  }
  before = block_reduce<Sum>(before, scratch);
  if (threadIdx.x == 0) hits[blockIdx.x] = H(valid && before < k ? 1.0f : 0.0f);
}

// Σ values of a whole array, by one block.
template <class C, class T> __device__ C sum_of(const T* values, int n, C* scratch) {
  C sum = C(0);
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += C(values[i]);
  return block_reduce<Sum>(sum, scratch);
}

template <class T> __global__ void add_sum(T* total, const T* values, int n) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  C sum = sum_of(values, n, scratch);
  if (threadIdx.x == 0) total[0] = T(C(total[0]) + sum);
}

template <class T>
__global__ void add_mean(T* total, T* count, const T* values, int n, double scale, double rows) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  C sum = sum_of(values, n, scratch);
  if (threadIdx.x == 0) {
    total[0] = T(C(total[0]) + C(scale) * sum);
    count[0] = T(C(count[0]) + C(rows));
  }
}

template <class T>
__global__ void add_weighted_mean(T* total, T* count, const T* values, const T* weights, int n,
                                  double scale) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  C sum = C(0);
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += C(values[i]) * C(weights[i]);
  sum = block_reduce<Sum>(sum, scratch);
  C weight = sum_of(weights, n, scratch);
  if (threadIdx.x == 0) {
    total[0] = T(C(total[0]) + C(scale) * sum);
    count[0] = T(C(count[0]) + C(scale) * weight);
  }
}

// The type through which a count is widened to double and back.
template <class M> struct between { typedef M type; };
template <> struct between<__half> { typedef float type; };

template <class M> __device__ double widened(M value) {
  return double(typename between<M>::type(value));
}

template <class M> __device__ void add_to(M& count, double sum) {
  count = M(typename between<M>::type(widened(count) + sum));
}

// Targets and scores (n, labels) against thresholds: a block for each threshold and label. Sums are
// doubles: counts beyond 2^24 stay exact. Counts that are null are not wanted.
template <class T>
__global__ void add_confusion(T* tp, T* fp, T* tn, T* fn, const T* targets, const T* scores,
                              const T* weights, const T* thresholds, int n, int labels) {
  typedef typename compute<T>::type C;
  __shared__ double scratch[32];
  int label = blockIdx.x % labels;
  C threshold = C(thresholds[blockIdx.x / labels]);
  double hits = 0, alarms = 0, rejections = 0, misses = 0;
  for (int row = threadIdx.x; row < n; row += blockDim.x) {
    size_t i = (size_t)row * labels + label;
    double weight = weights ? widened(weights[i]) : 1.0;
    bool above = C(scores[i]) > threshold;
    if (C(targets[i]) != C(0))
      (above ? hits : misses) += weight;
    else
      (above ? alarms : rejections) += weight;
  }
  T* counts[4] = {tp, fp, tn, fn};
  double sums[4] = {hits, alarms, rejections, misses};
  for (int kind = 0; kind < 4; kind++) {
    double sum = block_reduce<Sum>(sums[kind], scratch);
    if (threadIdx.x == 0 && counts[kind]) add_to(counts[kind][blockIdx.x], sum);
  }
}

// matrix[i, j] += Σ w [t = i] [l = j]. Block (i, b) counts the targets i with predicted labels
// 8 b to 8 b + 7.
template <class M>
__global__ void add_pairs(M* matrix, const int* targets, const int* labels, const M* weights, int n,
                          int classes, int ignored) {
  const int COLUMNS = 8;
  __shared__ double scratch[32];
  int target = blockIdx.x, first = blockIdx.y * COLUMNS;
  double sums[COLUMNS] = {0, 0, 0, 0, 0, 0, 0, 0};
  if (target != ignored) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
      if (targets[i] != target) continue;
      double weight = weights ? widened(weights[i]) : 1.0;
      for (int j = 0; j < COLUMNS; j++) sums[j] += labels[i] == first + j ? weight : 0.0;
    }
  }
  for (int j = 0; j < COLUMNS; j++) {
    double sum = block_reduce<Sum>(sums[j], scratch);
    if (threadIdx.x == 0 && first + j < classes)
      add_to(matrix[(size_t)target * classes + first + j], sum);
  }
}

// out = x where fewer than k entries of its row are larger, or equal and to the left; else -1e10.
template <class T>
__global__ void keep_largest(const T* x, T* out, long long size, int n, int k) {
  typedef typename compute<T>::type C;
  long long step = (long long)gridDim.x * blockDim.x;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += step) {
    const T* row = x + i / n * n;
    int place = int(i % n), before = 0;
    C score = C(x[i]);
    for (int j = 0; j < n; j++) before += C(row[j]) > score || (C(row[j]) == score && j < place);
    out[i] = before < k ? x[i] : T(C(-1e10));
  }
}
