// Kernels for test_emulator.py: the idioms that gpunn's own kernels are made of. Each BUG_ macro
// plants a mistake that the emulator must find.
#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "reductions.cuh"

// Fused bias and ReLU over (n, c), four floats at a time.
extern "C" __global__ void bias_relu(const float* __restrict__ x, const float* __restrict__ b,
                                     float* __restrict__ y, int n4, int c4) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n4; i += gridDim.x * blockDim.x) {
    float4 v = reinterpret_cast<const float4*>(x)[i];
    float4 w = reinterpret_cast<const float4*>(b)[i % c4];
    v.x = fmaxf(v.x + w.x, 0.f);
    v.y = fmaxf(v.y + w.y, 0.f);
    v.z = fmaxf(v.z + w.z, 0.f);
    v.w = fmaxf(v.w + w.w, 0.f);
    reinterpret_cast<float4*>(y)[i] = v;
  }
}

// Softmax cross entropy: one block per row, loss and gradient in one pass.
extern "C" __global__ void __launch_bounds__(128)
    cross_entropy(const float* x, const int* target, float* loss, float* dx, int k, float scale) {
  __shared__ float buffer[32];
  const float* row = x + (size_t)blockIdx.x * k;
  float highest = -1e30f;
  for (int i = threadIdx.x; i < k; i += blockDim.x) highest = fmaxf(highest, row[i]);
  highest = block_reduce(highest, buffer, -1e30f, [](float a, float b) { return fmaxf(a, b); });
  float sum = 0.f;
  for (int i = threadIdx.x; i < k; i += blockDim.x) sum += __expf(row[i] - highest);
  sum = block_reduce(sum, buffer, 0.f, [](float a, float b) { return a + b; });
  int t = target[blockIdx.x];
  for (int i = threadIdx.x; i < k; i += blockDim.x)
    dx[(size_t)blockIdx.x * k + i] = (__expf(row[i] - highest) / sum - (i == t)) * scale;
  if (threadIdx.x == 0) atomicAdd(loss, (__logf(sum) + highest - row[t]) * scale);
}

// C(m,n) = A(m,k) B(k,n) by square tiles.
const int TILE = 32;
extern "C" __global__ void gemm(const float* A, const float* B, float* C, int m, int n, int k) {
  __shared__ float a[TILE][TILE + 1], b[TILE][TILE + 1];
  int tx = threadIdx.x, ty = threadIdx.y;
  int row = blockIdx.y * TILE + ty, column = blockIdx.x * TILE + tx;
  float sum = 0.f;
  for (int start = 0; start < k; start += TILE) {
#ifdef BUG_BOUNDS
    a[ty][tx] = start + tx < k ? A[row * k + start + tx] : 0.f;
#else
    a[ty][tx] = row < m && start + tx < k ? A[row * k + start + tx] : 0.f;
#endif
    b[ty][tx] = start + ty < k && column < n ? B[(start + ty) * n + column] : 0.f;
    __syncthreads();
    for (int i = 0; i < TILE; i++) sum += a[ty][i] * b[i][tx];
    __syncthreads();
  }
  if (row < m && column < n) C[row * n + column] = sum;
}

// Rows reversed and scaled, through dynamic shared memory, for any storage type.
template <class T, int threads>
__global__ void reverse_rows(const T* x, T* y, float scale, int k) {
  extern __shared__ __align__(16) unsigned char memory[];
  float* row = reinterpret_cast<float*>(memory);
  for (int i = threadIdx.x; i < k; i += threads) row[i] = (float)x[blockIdx.x * k + i];
  __syncthreads();
  for (int i = threadIdx.x; i < k; i += threads)
    y[blockIdx.x * k + i] = (T)(row[k - 1 - i] * scale);
}

// Block sums in shared memory of any type, added atomically.
template <class T>
__global__ void total(const T* x, T* sum, int n) {
  __shared__ T mine[64];
  mine[threadIdx.x] = 0;
  for (int i = blockIdx.x * 64 + threadIdx.x; i < n; i += gridDim.x * 64) mine[threadIdx.x] += x[i];
  atomicAdd(sum, mine[threadIdx.x]);
}

// x / |x| in one cooperative launch: two phases over the whole grid.
extern "C" __global__ void normalize(const float* x, float* partial, float* y, int n) {
  __shared__ float buffer[32];
  const int first = blockIdx.x * blockDim.x + threadIdx.x, stride = gridDim.x * blockDim.x;
  float sum = 0.f;
  for (int i = first; i < n; i += stride) sum += x[i] * x[i];
  sum = block_reduce(sum, buffer, 0.f, [](float a, float b) { return a + b; });
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
#ifndef BUG_GRID
  cooperative_groups::this_grid().sync();
#endif
  float all = 0.f;
  for (int block = 0; block < gridDim.x; block++) all += partial[block];
  for (int i = first; i < n; i += stride) y[i] = x[i] * rsqrtf(all);
}

// D(16,8) = A(16,8) B(8,8) on one warp's tensor core.
extern "C" __global__ void tensor_core(const float* A, const float* B, float* D) {
  const int group = threadIdx.x / 4, within = threadIdx.x % 4;
  const float zero[4] = {0, 0, 0, 0};
  float d[4];
  unsigned a[4], b[2];
  for (int i = 0; i < 4; i++)
    a[i] = __float_as_uint(A[(group + i % 2 * 8) * 8 + within + i / 2 * 4]);
  for (int i = 0; i < 2; i++) b[i] = __float_as_uint(B[(within + i * 4) * 8 + group]);
#ifdef GPUNN_EMU
  emu_mma_1688_tf32(d, a, b, zero);
#endif
  for (int i = 0; i < 4; i++) D[(group + i / 2 * 8) * 8 + 2 * within + i % 2] = d[i];
}

// D(16,8) = A(16,16) B(16,8) of halves: two neighbours of the inner dimension to a register.
extern "C" __global__ void tensor_core_half(const half* A, const half* B, float* D) {
  const int group = threadIdx.x / 4, within = threadIdx.x % 4;
  const float zero[4] = {0, 0, 0, 0};
  float d[4];
  unsigned a[4], b[2];
  for (int i = 0; i < 4; i++)
    a[i] = *(const unsigned*)&A[(group + i % 2 * 8) * 16 + 2 * within + i / 2 * 8];
  for (int i = 0; i < 2; i++) {
    const int k = 2 * within + i * 8;
    b[i] = __half_as_ushort(B[k * 8 + group]) | __half_as_ushort(B[(k + 1) * 8 + group]) << 16;
  }
#ifdef GPUNN_EMU
  emu_mma_16816(d, a, b, zero, false);
#endif
  for (int i = 0; i < 4; i++) D[(group + i / 2 * 8) * 8 + 2 * within + i % 2] = d[i];
}

// The last block to arrive lets all others go on: waiting by reading memory.
extern "C" __global__ void spin(int* arrived, int* order) {
  order[blockIdx.x] = atomicAdd(arrived, 1);
  volatile int* count = arrived;
  while (*count < gridDim.x) __nanosleep(20);
}

extern "C" __global__ void high_product(const unsigned long long* a, const unsigned long long* b,
                                        unsigned long long* high, int n) {
  if (threadIdx.x < n) high[threadIdx.x] = __umul64hi(a[threadIdx.x], b[threadIdx.x]);
}

extern "C" __global__ void maths(const float* x, float* y, const double* u, double* v) {
  y[0] = erff(x[0]) + erfcf(x[0]) + log1pf(x[0]) + expm1f(x[0]) + tanhf(x[0]) + rsqrtf(x[0]);
  v[0] = erf(u[0]) + log1p(u[0]) + tanh(u[0]) + rsqrt(u[0]) + normcdf(u[0]);
}
