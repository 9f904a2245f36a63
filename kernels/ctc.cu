// CTC: loss of each sample, and its gradient, by the forward-backward recursion in log space.
// x (N, T, classes), labels (N, L), loss (N), dx like x, all C-contiguous; S = 2 L + 1 states.
// space (N, (T + 3) S + T): α of all steps, two rows of β, shares of the states, log Σ e^x.
// same (N, 2 L + 1): for each label the next equal one or -1; whether it is the first.
//
// Grid (N), block a multiple of 32; a step is a barrier. Deterministic: what several states give
// to one class is added by one thread, in order. Python twin: gpunn/ops/ctc.py.
#include <cuda_fp16.h>
#include "common.cuh"

template <class C> __device__ C log_sum(C a, C b, C c) {
  C top = a > b ? a : b;
  top = top > c ? top : c;
  if (top == C(negative_infinity())) return top;
  return top + log(exp(a - top) + exp(b - top) + exp(c - top));
}

template <class T> struct Sample {
  typedef typename compute<T>::type C;
  const T* x;
  const int* labels;
  const C* norm;  // log Σ e^x of each step
  int classes, blank, count;  // states

  __device__ int class_of(int s) const { return s & 1 ? labels[s / 2] : blank; }
  __device__ bool skips_to(int s) const {
    return (s & 1) && s >= 3 && s < count && labels[s / 2] != labels[s / 2 - 1];
  }
  __device__ C log_y(int t, int k) const { return C(x[(size_t)t * classes + k]) - norm[t]; }
  __device__ C emitted(int t, int s) const {
    int k = class_of(s);
    return k >= 0 && k < classes ? log_y(t, k) : C(negative_infinity());
  }
};

// norm[t] = log Σ e^x, a warp a step
template <class T, class C>
__device__ void normalize(const T* x, C* norm, int length, int classes) {
  int lane = threadIdx.x & 31, warps = blockDim.x >> 5;
  for (int t = threadIdx.x >> 5; t < length; t += warps) {
    const T* row = x + (size_t)t * classes;
    C top = C(negative_infinity()), total = C(0);
    for (int k = lane; k < classes; k += 32) top = Max::apply(top, C(row[k]));
    for (int o = 16; o; o >>= 1) top = Max::apply(top, __shfl_xor_sync(0xffffffffu, top, o));
    for (int k = lane; k < classes; k += 32) total += exp(C(row[k]) - top);
    for (int o = 16; o; o >>= 1) total += __shfl_xor_sync(0xffffffffu, total, o);
    if (lane == 0) norm[t] = top + log(total);
  }
}

// same[j]: the next label that equals label j; first[j]: whether none before does
__device__ void link(const int* labels, int* same, int* first, int n) {
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    int next = j + 1, before = j - 1;
    while (next < n && labels[next] != labels[j]) next++;
    while (before >= 0 && labels[before] != labels[j]) before--;
    same[j] = next < n ? next : -1;
    first[j] = before < 0;
  }
}

// dx of one step: y less the shares of the states of each class
template <class T, class C>
__device__ void descend(const Sample<T>& sample, const C* shares, const int* same,
                        const int* first, T* dx, int t, C* scratch) {
  C blanks = C(0);
  for (int s = 2 * threadIdx.x; s < sample.count; s += 2 * blockDim.x) blanks += shares[s];
  blanks = block_reduce<Sum>(blanks, scratch);
  T* row = dx + (size_t)t * sample.classes;
  for (int k = threadIdx.x; k < sample.classes; k += blockDim.x)
    row[k] = T(exp(sample.log_y(t, k)) - (k == sample.blank ? blanks : C(0)));
  __syncthreads();
  for (int j = threadIdx.x; j < sample.count / 2; j += blockDim.x) {
    int k = sample.labels[j];
    if (!first[j] || k < 0 || k >= sample.classes) continue;
    C total = k == sample.blank ? blanks : C(0);
    for (int i = j; i >= 0; i = same[i]) total += shares[2 * i + 1];
    row[k] = T(exp(sample.log_y(t, k)) - total);
  }
  __syncthreads();
}

template <class T>
__global__ void ctc(const T* x, const int* labels, const int* label_lengths, const int* lengths,
                    T* loss, T* dx, typename compute<T>::type* space, int* same, int steps,
                    int classes, int longest, int blank) {
  typedef typename compute<T>::type C;
  __shared__ C scratch[32];
  const C none = C(negative_infinity());
  const int n = blockIdx.x, states = 2 * longest + 1;
  const size_t size = (size_t)steps * classes;
  x += n * size;
  dx += n * size;
  labels += (size_t)n * longest;
  space += (size_t)n * ((size_t)(steps + 3) * states + steps);
  same += (size_t)n * states;
  C *beta = space + (size_t)steps * states, *shares = beta + 2 * states, *norm = shares + states;
  int *first = same + longest, length = min(max(lengths[n], 0), steps);
  const int known = min(max(label_lengths[n], 0), longest);
  const Sample<T> sample = {x, labels, norm, classes, blank, 2 * known + 1};
  const int count = sample.count;

  normalize(x, norm, length, classes);
  link(labels, same, first, known);
  __syncthreads();
  for (int t = 0; t < length; t++) {
    C *row = space + (size_t)t * states, *before = row - states;
    for (int s = threadIdx.x; s < count; s += blockDim.x) {
      C from = s < 2 ? C(0) : none;
      if (t > 0)
        from = log_sum(before[s], s > 0 ? before[s - 1] : none,
                       sample.skips_to(s) ? before[s - 2] : none);
      row[s] = from + sample.emitted(t, s);
    }
    __syncthreads();
  }
  C log_p = count == 1 ? C(0) : none;
  if (length > 0) {
    const C* row = space + (size_t)(length - 1) * states;
    log_p = log_sum(row[count - 1], count > 1 ? row[count - 2] : none, none);
  }
  if (threadIdx.x == 0) loss[n] = T(-log_p);
  if (!(log_p > none)) length = 0;  // the labels do not fit, or there is a NaN
  for (size_t e = (size_t)length * classes + threadIdx.x; e < size; e += blockDim.x) dx[e] = T(0);

  for (int t = length - 1; t >= 0; t--) {
    C *row = beta + (t & 1) * states, *behind = beta + (~t & 1) * states;
    for (int s = threadIdx.x; s < count; s += blockDim.x) {
      C to = s >= count - 2 ? C(0) : none;
      if (t < length - 1)
        to = log_sum(behind[s] + sample.emitted(t + 1, s),
                     s + 1 < count ? behind[s + 1] + sample.emitted(t + 1, s + 1) : none,
                     sample.skips_to(s + 2) ? behind[s + 2] + sample.emitted(t + 1, s + 2) : none);
      row[s] = to;
      shares[s] = exp(space[(size_t)t * states + s] + to - log_p);
    }
    __syncthreads();
    descend(sample, shares, same, first, dx, t, scratch);
  }
}
