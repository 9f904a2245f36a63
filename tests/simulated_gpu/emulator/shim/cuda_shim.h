// Included ahead of every kernel, so that g++ compiles CUDA C++ as host C++.
//
// EMU_INLINE functions touch only their own arguments and the runtime; they are not watched.
// Plain templates here (__ldg, ...) touch the kernel's memory and are watched like the kernel.
#pragma once
#include <math.h>
#include <string.h>

#include "../runtime/abi.h"

#define EMU_INLINE static inline __attribute__((no_sanitize("thread"), unused))

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static thread_local
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict
#define __grid_constant__

#define threadIdx (emu_current->thread)
#define blockIdx (emu_current->block)
#define blockDim (emu_current->block_size)
#define gridDim (emu_current->grid_size)
#define warpSize 32

#define __syncthreads() emu_syncthreads(EmuSite::here())
#define __syncthreads_count(p) emu_syncthreads_count(p, EmuSite::here())
#define __syncthreads_or(p) (emu_syncthreads_count((p) != 0, EmuSite::here()) > 0)
#define __syncthreads_and(p) (emu_syncthreads_count((p) == 0, EmuSite::here()) == 0)
#define __trap() emu_trap("__trap()", EmuSite::here())
#undef assert
#define assert(c) ((c) ? (void)0 : emu_trap("assert: " #c, EmuSite::here()))

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
typedef EmuIndex uint3;

#include "vectors.h"
// the order matters below
#include "half.h"
#include "maths.h"
#include "warp.h"
#include "atomics.h"
#include "mma.h"
#include "entry.h"
