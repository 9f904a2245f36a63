// Shared by all kernels: compute types, constants, reductions over a block.
#pragma once

// The type in which a value of storage type T is computed: float, or double for double.
template <class T> struct compute { typedef float type; };
template <> struct compute<double> { typedef double type; };

// NVRTC has no INFINITY and no NAN.
__device__ __forceinline__ float negative_infinity() { return __int_as_float(0xff800000); }
__device__ __forceinline__ float not_a_number() { return __int_as_float(0x7fc00000); }

// Functors of reductions. Where a NaN is met, it is the result, as in NumPy.
struct Sum {
  template <class C> __device__ static C apply(C a, C b) { return a + b; }
};
struct Max {
  template <class C> __device__ static C apply(C a, C b) { return (a > b || a != a) ? a : b; }
};
struct Min {
  template <class C> __device__ static C apply(C a, C b) { return (a < b || a != a) ? a : b; }
};

// What leaves the other operand as it is.
template <class Op, class C> struct identity { __device__ static C of() { return C(0); } };
template <class C> struct identity<Max, C> {
  __device__ static C of() { return C(negative_infinity()); }
};
template <class C> struct identity<Min, C> {
  __device__ static C of() { return C(-negative_infinity()); }
};
template <> struct identity<Max, int> { __device__ static int of() { return -2147483647 - 1; } };
template <> struct identity<Min, int> { __device__ static int of() { return 2147483647; } };

// Reduce `value` over the block; every thread gets the result. The order of the operations is
// fixed, so the result is deterministic. `scratch` holds 32 values; blockDim.x is a multiple of 32.
template <class Op, class C> __device__ C block_reduce(C value, C* scratch) {
  for (int offset = 16; offset; offset >>= 1)
    value = Op::apply(value, __shfl_xor_sync(0xffffffffu, value, offset));
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  value = lane < warps ? scratch[lane] : identity<Op, C>::of();
  for (int offset = 16; offset; offset >>= 1)
    value = Op::apply(value, __shfl_xor_sync(0xffffffffu, value, offset));
  __syncthreads();  // scratch may be written again by the next reduction
  return value;
}
