// Statistics and normalization of matrices x (rows, n), C-contiguous, and their gradients.
//
// Channels: one mean and variance for each column c = column % channels; neighbouring rows may be
// taken together, then a row holds the channels several times. Reductions are two passes: each block
// (32, 8) of grid (ceil(n / 32), parts) reduces 32 columns of one part of the rows, then the parts
// are combined. A warp reads 32 neighbouring columns, so that loads coalesce.
// Rows: one mean and variance for each row; grid (rows), block a multiple of 32.
// S is the type of statistics and parameters: float, or double for double. Deterministic: the order
// of operations is fixed by the shape. A pointer may be null where the Python twin takes None.
// Python twins: gpunn/ops/normalization_{statistics,channels,rows}.py.
#include <cuda_fp16.h>
#include "common.cuh"

#define STATISTICS typedef typename compute<T>::type S;
#define FOR_ROW(j) for (int j = threadIdx.x; j < n; j += blockDim.x)
#define FOR_ALL(i) \
  for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < size; \
       i += (size_t)gridDim.x * blockDim.x)

__device__ __forceinline__ float inverse_root(float v) { return 1.0f / sqrtf(v); }
__device__ __forceinline__ double inverse_root(double v) { return 1.0 / sqrt(v); }

// Mean and sum of squared deviations, of Welford (one value) and Chan et al. (a group of values).
template <class S> struct Moments {
  S count, mean, squares;
  __device__ void add(S value) {
    count += S(1);
    S distance = value - mean;
    mean += distance / count;
    squares += distance * (value - mean);
  }
  __device__ void merge(S n, S m, S s) {
    if (n == S(0)) return;
    S total = count + n, distance = m - mean;
    mean += distance * (n / total);
    squares += s + distance * distance * (count * (n / total));
    count = total;
  }
};

// The moments of 8 threads of a column, in the first of them.
template <class S> __device__ void merge_threads(Moments<S>& moments) {
  __shared__ S counts[8][33], means[8][33], squares[8][33];
  counts[threadIdx.y][threadIdx.x] = moments.count;
  means[threadIdx.y][threadIdx.x] = moments.mean;
  squares[threadIdx.y][threadIdx.x] = moments.squares;
  __syncthreads();
  if (threadIdx.y == 0)
    for (int k = 1; k < 8; k++)
      moments.merge(counts[k][threadIdx.x], means[k][threadIdx.x], squares[k][threadIdx.x]);
}

template <class T>
__global__ void moments_of_parts(const T* x, typename compute<T>::type* means,
                                 typename compute<T>::type* squares, int rows, int n, int part) {
  STATISTICS
  int j = blockIdx.x * 32 + threadIdx.x, first = blockIdx.y * part;
  int last = min(first + part, rows);
  Moments<S> moments = {S(0), S(0), S(0)};
  if (j < n)
    for (int r = first + threadIdx.y; r < last; r += 8) moments.add(S(x[(size_t)r * n + j]));
  merge_threads(moments);
  if (threadIdx.y == 0 && j < n) {
    means[(size_t)blockIdx.y * n + j] = moments.mean;
    squares[(size_t)blockIdx.y * n + j] = moments.squares;
  }
}

// `means` and `squares`: (entries, channels), `together` entries a part of `part` rows.
template <class S>
__global__ void combine_moments(const S* means, const S* squares, S* mean, S* variance, int entries,
                                int channels, int together, int rows, int part) {
  int c = blockIdx.x * 32 + threadIdx.x;
  Moments<S> moments = {S(0), S(0), S(0)};
  if (c < channels)
    for (int e = threadIdx.y; e < entries; e += 8) {
      size_t i = (size_t)e * channels + c;
      moments.merge(S(min(part, rows - e / together * part)), means[i], squares[i]);
    }
  merge_threads(moments);
  if (threadIdx.y == 0 && c < channels) {
    mean[c] = moments.mean;
    variance[c] = moments.squares / moments.count;
  }
}

// sums (2, parts, n) of the values of 8 threads a column.
template <class S> __device__ void add_threads(S total, S inner, S* sums, int n) {
  __shared__ S totals[8][33], inners[8][33];
  int j = blockIdx.x * 32 + threadIdx.x;
  totals[threadIdx.y][threadIdx.x] = total;
  inners[threadIdx.y][threadIdx.x] = inner;
  __syncthreads();
  if (threadIdx.y == 0 && j < n) {
    for (int k = 1; k < 8; k++) {
      total += totals[k][threadIdx.x];
      inner += inners[k][threadIdx.x];
    }
    sums[(size_t)blockIdx.y * n + j] = total;
    sums[(size_t)(gridDim.y + blockIdx.y) * n + j] = inner;
  }
}

template <class T>
__global__ void channel_sums(const T* x, const T* dy, const typename compute<T>::type* mean,
                             typename compute<T>::type* sums, int rows, int n, int channels,
                             int part) {
  STATISTICS
  int j = blockIdx.x * 32 + threadIdx.x, first = blockIdx.y * part;
  int last = min(first + part, rows);
  S total = S(0), inner = S(0);
  if (j < n) {
    S center = mean[j % channels];
    for (int r = first + threadIdx.y; r < last; r += 8) {
      size_t i = (size_t)r * n + j;
      S g = S(dy[i]);
      total += g;
      inner += g * (S(x[i]) - center);
    }
  }
  add_threads(total, inner, sums, n);
}

template <class T>
__global__ void channel_normalize(const T* x, const typename compute<T>::type* mean,
                                  const typename compute<T>::type* variance,
                                  const typename compute<T>::type* scale,
                                  const typename compute<T>::type* offset, T* y, size_t size,
                                  int channels, double epsilon) {
  STATISTICS
  FOR_ALL(i) {
    int c = i % channels;
    S factor = inverse_root(variance[c] + S(epsilon)) * (scale ? scale[c] : S(1));
    y[i] = T((S(x[i]) - mean[c]) * factor + (offset ? offset[c] : S(0)));
  }
}

// sums (2, channels): Σ dy and Σ dy · (x - mean), over `count` elements a channel.
template <class T>
__global__ void batch_norm_backward(const T* x, const T* dy, const typename compute<T>::type* mean,
                                    const typename compute<T>::type* variance,
                                    const typename compute<T>::type* scale,
                                    const typename compute<T>::type* sums, T* dx,
                                    typename compute<T>::type* dscale,
                                    typename compute<T>::type* doffset, size_t size, int channels,
                                    double epsilon) {
  STATISTICS
  S count = S(size / channels);
  FOR_ALL(i) {
    int c = i % channels;
    S inverse = inverse_root(variance[c] + S(epsilon));
    if (dx) {
      S slope = sums[channels + c] / count * inverse * inverse;
      S flow = S(dy[i]) - sums[c] / count - (S(x[i]) - mean[c]) * slope;
      dx[i] = T(flow * inverse * (scale ? scale[c] : S(1)));
    }
    if (i < channels) {
      if (dscale) dscale[c] = sums[channels + c] * inverse;
      if (doffset) doffset[c] = sums[c];
    }
  }
}

template <class T>
__global__ void channel_backward(const T* dy, const typename compute<T>::type* variance,
                                 const typename compute<T>::type* scale,
                                 const typename compute<T>::type* sums, T* dx,
                                 typename compute<T>::type* dmean,
                                 typename compute<T>::type* dvariance,
                                 typename compute<T>::type* dscale,
                                 typename compute<T>::type* doffset, size_t size, int channels,
                                 double epsilon) {
  STATISTICS
  FOR_ALL(i) {
    int c = i % channels;
    S inverse = inverse_root(variance[c] + S(epsilon));
    S factor = inverse * (scale ? scale[c] : S(1));
    if (dx) dx[i] = T(S(dy[i]) * factor);
    if (i < channels) {
      if (dmean) dmean[c] = -sums[c] * factor;
      if (dvariance) dvariance[c] = S(-0.5) * sums[channels + c] * factor * inverse * inverse;
      if (dscale) dscale[c] = sums[channels + c] * inverse;
      if (doffset) doffset[c] = sums[c];
    }
  }
}

template <class T>
__global__ void moments_backward(const T* x, const typename compute<T>::type* mean,
                                 const typename compute<T>::type* dmean,
                                 const typename compute<T>::type* dvariance, T* dx, size_t size,
                                 int channels) {
  STATISTICS
  S count = S(size / channels);
  FOR_ALL(i) {
    int c = i % channels;
    S flow = dmean ? dmean[c] : S(0);
    if (dvariance) flow += S(2) * (S(x[i]) - mean[c]) * dvariance[c];
    dx[i] = T(flow / count);
  }
}

// A row is read from global memory a few times; the cache serves the later ones.
template <class T>
__global__ void row_norm_forward(const T* x, const typename compute<T>::type* gamma,
                                 const typename compute<T>::type* beta, T* y,
                                 typename compute<T>::type* mean,
                                 typename compute<T>::type* inverse, int n, double epsilon) {
  STATISTICS
  __shared__ S scratch[32];
  x += (size_t)blockIdx.x * n;
  y += (size_t)blockIdx.x * n;
  S center = S(0), squares = S(0);
  if (mean) {
    FOR_ROW(j) center += S(x[j]);
    center = block_reduce<Sum>(center, scratch) / S(n);
  }
  FOR_ROW(j) squares += (S(x[j]) - center) * (S(x[j]) - center);
  squares = block_reduce<Sum>(squares, scratch);
  S factor = inverse_root(squares / S(n) + S(epsilon));
  FOR_ROW(j)
    y[j] = T((S(x[j]) - center) * factor * (gamma ? gamma[j] : S(1)) + (beta ? beta[j] : S(0)));
  if (threadIdx.x == 0) {
    if (mean) mean[blockIdx.x] = center;
    inverse[blockIdx.x] = factor;
  }
}

template <class T>
__global__ void row_norm_backward(const T* x, const T* dy, const typename compute<T>::type* gamma,
                                  const typename compute<T>::type* mean,
                                  const typename compute<T>::type* inverse, T* dx, int n) {
  STATISTICS
  __shared__ S scratch[32];
  x += (size_t)blockIdx.x * n;
  dy += (size_t)blockIdx.x * n;
  dx += (size_t)blockIdx.x * n;
  S center = mean ? mean[blockIdx.x] : S(0), factor = inverse[blockIdx.x];
  S total = S(0), inner = S(0);
  FOR_ROW(j) {
    S g = S(dy[j]) * (gamma ? gamma[j] : S(1));
    total += g;
    inner += g * (S(x[j]) - center);
  }
  total = mean ? block_reduce<Sum>(total, scratch) / S(n) : S(0);
  inner = block_reduce<Sum>(inner, scratch) / S(n) * factor * factor;
  FOR_ROW(j) {
    S g = S(dy[j]) * (gamma ? gamma[j] : S(1));
    dx[j] = T((g - total - (S(x[j]) - center) * inner) * factor);
  }
}

template <class T>
__global__ void row_norm_sums(const T* x, const T* dy, const typename compute<T>::type* mean,
                              const typename compute<T>::type* inverse,
                              typename compute<T>::type* sums, int rows, int n, int part) {
  STATISTICS
  int j = blockIdx.x * 32 + threadIdx.x, first = blockIdx.y * part;
  int last = min(first + part, rows);
  S total = S(0), inner = S(0);
  if (j < n)
    for (int r = first + threadIdx.y; r < last; r += 8) {
      size_t i = (size_t)r * n + j;
      S g = S(dy[i]);
      total += g;
      inner += g * (S(x[i]) - (mean ? mean[r] : S(0))) * inverse[r];
    }
  add_threads(total, inner, sums, n);
}

// value = momentum · value + (1 - momentum) · statistic
template <class T, class S>
__global__ void moving_average(T* value, const S* statistic, int n, double momentum) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) value[i] = T(S(momentum) * S(value[i]) + S(1 - momentum) * statistic[i]);
}
