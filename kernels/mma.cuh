// Tensor cores, and copies to shared memory that run beside the arithmetic: PTX by hand.
//
//   sm_80 and later   tf32, fp16 and bf16 products, cp.async
//   sm_75             fp16 products; copies are plain loads and stores
//
// The host sends no float and no bf16 here below sm_80: those products trap.
// The emulator has twins of `namespace ptx` in tests/simulated_gpu/emulator/shim/mma.h.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#ifndef GPUNN_EMU
namespace ptx {

#define GPUNN_MMA(shape_and_types, d, a, b)                                                     \
  asm volatile("mma.sync.aligned." shape_and_types " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "   \
               "{%0,%1,%2,%3};"                                                                 \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                 \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

// d (16, 8) += a (16, 8) b (8, 8); a float is one register.
__device__ __forceinline__ void mma_tf32(float* d, const unsigned* a, const unsigned* b) {
#if __CUDA_ARCH__ >= 800
  GPUNN_MMA("m16n8k8.row.col.f32.tf32.tf32.f32", d, a, b);
#else
  __trap();
#endif
}

// d (16, 8) += a (16, 16) b (16, 8); two neighbours along the inner dimension are one register.
__device__ __forceinline__ void mma_bfloat16(float* d, const unsigned* a, const unsigned* b) {
#if __CUDA_ARCH__ >= 800
  GPUNN_MMA("m16n8k16.row.col.f32.bf16.bf16.f32", d, a, b);
#else
  __trap();
#endif
}

__device__ __forceinline__ void mma_half(float* d, const unsigned* a, const unsigned* b) {
#if __CUDA_ARCH__ >= 800
  GPUNN_MMA("m16n8k16.row.col.f32.f16.f16.f32", d, a, b);
#else
  for (int half = 0; half < 2; half++)
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
#endif
}

// The bits of a float, rounded to tf32 (10 bits of mantissa): to nearest, ties away from zero.
__device__ __forceinline__ unsigned round_tf32(unsigned bits) {
#if __CUDA_ARCH__ >= 800
  unsigned rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(bits)));
  return rounded;
#else
  return bits;
#endif
}

__device__ __forceinline__ unsigned shared_address(const void* shared) {
  return (unsigned)__cvta_generic_to_shared(shared);
}

// Four matrices of 8 rows of 16 bytes: lane i gives the address of row i % 8 of matrix i / 8, and
// gets the words (i / 4, i % 4) of all four; of 16-bit elements, TRANSPOSED swaps rows and columns.
template <bool TRANSPOSED>
__device__ __forceinline__ void load_matrices(unsigned* d, const void* row) {
  if (TRANSPOSED)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(shared_address(row)) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(shared_address(row)) : "memory");
}

// Copy 4, 8 or 16 bytes to shared memory, zeros if not `inside`. They are there for this thread
// after the wait for their group, for the others after a barrier that follows.
template <int BYTES>
__device__ __forceinline__ void copy_async(void* shared, const void* global, bool inside) {
#if __CUDA_ARCH__ >= 800
  if (BYTES == 16)  // past the first cache, which has no use for what shared memory holds
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(shared_address(shared)), "l"(global), "r"(inside ? 16 : 0) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                 :: "r"(shared_address(shared)), "l"(global), "n"(BYTES),
                    "r"(inside ? BYTES : 0) : "memory");
#else
  const unsigned* from = static_cast<const unsigned*>(global);
  for (int i = 0; i < BYTES / 4; i++) static_cast<unsigned*>(shared)[i] = inside ? from[i] : 0;
#endif
}

// End a group of copies; wait for all groups but the NEWEST.
__device__ __forceinline__ void copy_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int NEWEST> __device__ __forceinline__ void copy_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" :: "n"(NEWEST) : "memory");
#endif
}

}  // namespace ptx
#endif

// A product of fragments whose inner dimension takes 32 bytes: 8 floats or 16 narrow elements.
__device__ __forceinline__ void multiply(float* d, const unsigned* a, const unsigned* b, float) {
  ptx::mma_tf32(d, a, b);
}
__device__ __forceinline__ void multiply(float* d, const unsigned* a, const unsigned* b, __half) {
  ptx::mma_half(d, a, b);
}
__device__ __forceinline__ void multiply(float* d, const unsigned* a, const unsigned* b,
                                         __nv_bfloat16) {
  ptx::mma_bfloat16(d, a, b);
}

// Copy N elements to shared memory, zeros if not `inside`; what cp.async cannot do, at once.
template <class T, int N>
__device__ __forceinline__ void copy_elements(T* shared, const T* global, bool inside) {
  if constexpr (N * sizeof(T) >= 4)
    ptx::copy_async<N * sizeof(T)>(shared, global, inside);
  else
    for (int i = 0; i < N; i++) shared[i] = inside ? global[i] : T(0.f);
}

// A tile of an operand in shared memory: ROWS rows of the result times 64 bytes of the inner
// dimension, in chunks of 16 bytes. Lines of chunks run ALONG_INNER, or along the rows. Chunks of a
// line change places so that the eight that one instruction reads lie in different banks.
template <class T, int ROWS, bool ALONG_INNER> struct Tile {
  static const int WIDTH = 16 / sizeof(T);                        // elements of a chunk
  static const int INNER = 4 * WIDTH;                             // of the tile
  static const int CHUNKS = ALONG_INNER ? 4 : ROWS / WIDTH;       // of a line
  static const int LINES = ALONG_INNER ? ROWS : INNER;
  static const int SIZE = ROWS * INNER;                           // elements of the tile

  __device__ static __forceinline__ int place(int line, int chunk) {
    int swap = ALONG_INNER ? line / 2 % 4 : sizeof(T) == 2 ? line % 8 : line % 4 * 2;
    return (line * CHUNKS + (chunk ^ swap)) * WIDTH;
  }

  // The fragment of 16 rows from `row` and 32 bytes of the inner dimension, the first or the second
  // half of them. Registers: rows 0..7 and 8..15 of its first 16 bytes, then of the others.
  __device__ static __forceinline__ void fragment(unsigned* f, const T* tile, int row, int half) {
    const int lane = threadIdx.x % 32, eighth = lane % 8, matrix = lane / 8;
    if constexpr (ALONG_INNER) {
      int line = row + matrix % 2 * 8 + eighth, chunk = 2 * half + matrix / 2;
      ptx::load_matrices<false>(f, tile + place(line, chunk));
    } else if constexpr (sizeof(T) == 2) {
      int line = 16 * half + matrix / 2 * 8 + eighth, chunk = row / WIDTH + matrix % 2;
      ptx::load_matrices<true>(f, tile + place(line, chunk));
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int line = 8 * half + i / 2 * 4 + lane % 4, at = row + i % 2 * 8 + lane / 4;
        f[i] = __float_as_uint(tile[place(line, at / WIDTH) + at % WIDTH]);
      }
    }
    if constexpr (sizeof(T) == 4)
#pragma unroll
      for (int i = 0; i < 4; i++) f[i] = ptx::round_tf32(f[i]);
  }
};
