// Losses of the rows of a C-contiguous (rows, n) array and their gradients, in one launch.
//
// Grid (rows), block a multiple of 32. Deterministic. Python twins: gpunn/ops/losses.py.
#include <cuda_fp16.h>
#include "common.cuh"

#define LOSS_KERNEL(name, Target, ...)                                                          \
  template <class T> __global__ void name(const T* x, const Target* target, T* loss, T* dx, int n \
                                          __VA_ARGS__)
#define FOR_ROW(j) for (int j = threadIdx.x; j < n; j += blockDim.x)

// Common beginning: the compute type, the row, room for block reductions.
#define ROW_BEGINS                              \
  typedef typename compute<T>::type C;          \
  __shared__ C scratch[32];                     \
  size_t row = (size_t)blockIdx.x * n;          \
  x += row;                                     \
  dx += row;

template <class C, class T> __device__ C row_max(const T* x, int n, C* scratch) {
  C value = identity<Max, C>::of();
  FOR_ROW(j) value = Max::apply(value, C(x[j]));
  return block_reduce<Max>(value, scratch);
}

// log Σ e^(x - top)
template <class C, class T> __device__ C log_sum_exp(const T* x, int n, C top, C* scratch) {
  C value = C(0);
  FOR_ROW(j) value += exp(C(x[j]) - top);
  return log(block_reduce<Sum>(value, scratch));
}

template <class C, class T> __device__ C row_sum(const T* x, int n, C* scratch) {
  C value = C(0);
  FOR_ROW(j) value += C(x[j]);
  return block_reduce<Sum>(value, scratch);
}

template <class C> __device__ C clipped(C p, C epsilon) {
  return p < epsilon ? epsilon : p > C(1) - epsilon ? C(1) - epsilon : p;
}
template <class C> __device__ bool inside(C p, C epsilon) {
  return p >= epsilon && p <= C(1) - epsilon;
}

LOSS_KERNEL(sparse_softmax_cross_entropy, int) {
  ROW_BEGINS
  int label = target[blockIdx.x];
  bool valid = label >= 0 && label < n;
  C top = row_max<C>(x, n, scratch), log_sum = log_sum_exp(x, n, top, scratch);
  FOR_ROW(j) dx[j] = T(exp(C(x[j]) - top - log_sum) - (j == label ? C(1) : C(0)));
  if (threadIdx.x == 0)
    loss[blockIdx.x] = T(valid ? log_sum - (C(x[label]) - top) : C(not_a_number()));
}

LOSS_KERNEL(softmax_cross_entropy, T) {
  ROW_BEGINS
  target += row;
  C top = row_max<C>(x, n, scratch), log_sum = log_sum_exp(x, n, top, scratch);
  C weight = row_sum<C>(target, n, scratch), value = C(0);
  FOR_ROW(j) {
    C log_p = C(x[j]) - top - log_sum;
    value -= C(target[j]) * log_p;
    dx[j] = T(exp(log_p) * weight - C(target[j]));
  }
  value = block_reduce<Sum>(value, scratch);
  if (threadIdx.x == 0) loss[blockIdx.x] = T(value);
}

LOSS_KERNEL(sparse_cross_entropy, int, , double epsilon) {
  ROW_BEGINS
  int label = target[blockIdx.x];
  bool valid = label >= 0 && label < n;
  int marked = valid ? label : 0;
  C total = row_sum<C>(x, n, scratch), eps = C(epsilon), p = C(x[marked]) / total;
  bool flows = valid && inside(p, eps);
  FOR_ROW(j)
    dx[j] = T(flows ? C(1) / total - (j == marked ? C(1) / C(x[j]) : C(0)) : C(0));
  if (threadIdx.x == 0) loss[blockIdx.x] = T(valid ? -log(clipped(p, eps)) : C(not_a_number()));
}

LOSS_KERNEL(cross_entropy, T, , double epsilon) {
  ROW_BEGINS
  target += row;
  C total = row_sum<C>(x, n, scratch), eps = C(epsilon), value = C(0), inner = C(0);
  FOR_ROW(j) {
    C p = C(x[j]) / total, q = clipped(p, eps);
    value -= C(target[j]) * log(q);
    if (inside(p, eps)) inner -= C(target[j]) / q * p;
  }
  value = block_reduce<Sum>(value, scratch);
  inner = block_reduce<Sum>(inner, scratch);
  FOR_ROW(j) {
    C p = C(x[j]) / total;
    C slope = inside(p, eps) ? -C(target[j]) / p : C(0);
    dx[j] = T((slope - inner) / total);
  }
  if (threadIdx.x == 0) loss[blockIdx.x] = T(value);
}

LOSS_KERNEL(sigmoid_cross_entropy, T) {
  ROW_BEGINS
  target += row;
  C value = C(0);
  FOR_ROW(j) {
    C v = C(x[j]), t = C(target[j]), e = exp(-fabs(v));
    value += (v > C(0) ? v : C(0)) - v * t + log1p(e);
    dx[j] = T(((v >= C(0) ? C(1) : e) / (C(1) + e) - t) / C(n));
  }
  value = block_reduce<Sum>(value, scratch);
  if (threadIdx.x == 0) loss[blockIdx.x] = T(value / C(n));
}

LOSS_KERNEL(binary_cross_entropy, T, , double epsilon) {
  ROW_BEGINS
  target += row;
  C value = C(0), eps = C(epsilon);
  FOR_ROW(j) {
    C t = C(target[j]), p = clipped(C(x[j]), eps);
    value -= t * log(p) + (C(1) - t) * log(C(1) - p);
    dx[j] = T(inside(C(x[j]), eps) ? (p - t) / (p * (C(1) - p) * C(n)) : C(0));
  }
  value = block_reduce<Sum>(value, scratch);
  if (threadIdx.x == 0) loss[blockIdx.x] = T(value / C(n));
}

LOSS_KERNEL(squared_error, T) {
  ROW_BEGINS
  target += row;
  C value = C(0);
  FOR_ROW(j) {
    C d = C(x[j]) - C(target[j]);
    value += d * d;
    dx[j] = T(C(2) * d / C(n));
  }
  value = block_reduce<Sum>(value, scratch);
  if (threadIdx.x == 0) loss[blockIdx.x] = T(value / C(n));
}

LOSS_KERNEL(absolute_error, T) {
  ROW_BEGINS
  target += row;
  C value = C(0);
  FOR_ROW(j) {
    C d = C(x[j]) - C(target[j]);
    value += fabs(d);
    dx[j] = T((d > C(0) ? C(1) : d < C(0) ? C(-1) : d) / C(n));
  }
  value = block_reduce<Sum>(value, scratch);
  if (threadIdx.x == 0) loss[blockIdx.x] = T(value / C(n));
}
