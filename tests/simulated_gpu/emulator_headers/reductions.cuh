// Included by emulator_kernels.cu, as kernels include gpunn's own headers.
#pragma once

template <class F>
__device__ __forceinline__ float warp_reduce(float v, F combine) {
  for (int offset = 16; offset; offset /= 2)
    v = combine(v, __shfl_xor_sync(0xffffffffu, v, offset));
  return v;
}

template <class F>
__device__ __forceinline__ float block_reduce(float v, float* buffer, float identity, F combine) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  v = warp_reduce(v, combine);
  if (lane == 0) buffer[warp] = v;
#ifndef BUG_MISSING_SYNC
  __syncthreads();
#endif
  v = warp_reduce(lane < warps ? buffer[lane] : identity, combine);
#ifndef BUG_EARLY_REUSE
  __syncthreads();  // the next reduction writes the buffer again
#endif
  return v;
}
