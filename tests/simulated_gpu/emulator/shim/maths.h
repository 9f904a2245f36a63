// CUDA's mathematics beyond <math.h>. The fast variants (__expf, ...) are the exact ones here.
#pragma once

// glibc has these names for itself, hence macros
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __tanhf(x) tanhf(x)

#define EMU_UNARY(T, name, expression) \
  EMU_INLINE T name(T x) { return expression; }
#define EMU_BINARY(T, name, expression) \
  EMU_INLINE T name(T x, T y) { return expression; }

EMU_UNARY(float, rsqrtf, 1.0f / sqrtf(x))
EMU_UNARY(double, rsqrt, 1.0 / sqrt(x))
EMU_INLINE float rsqrt(float x) { return 1.0f / sqrtf(x); }
EMU_UNARY(float, normcdff, 0.5f * erfcf(x * -0.70710678118654752f))
EMU_UNARY(double, normcdf, 0.5 * erfc(x * -0.70710678118654752440))
EMU_UNARY(float, sinpif, (float)sin(M_PI * x))
EMU_UNARY(float, cospif, (float)cos(M_PI * x))
EMU_UNARY(double, sinpi, sin(M_PI * x))
EMU_UNARY(double, cospi, cos(M_PI * x))
EMU_UNARY(float, __saturatef, x > 1 ? 1 : x > 0 ? x : 0)
EMU_UNARY(float, __frcp_rn, 1.0f / x)
EMU_UNARY(float, __fsqrt_rn, sqrtf(x))
EMU_UNARY(float, __frsqrt_rn, 1.0f / sqrtf(x))
EMU_UNARY(double, __drcp_rn, 1.0 / x)
EMU_UNARY(double, __dsqrt_rn, sqrt(x))

EMU_BINARY(float, fdividef, x / y)
EMU_BINARY(float, __fdividef, x / y)
EMU_BINARY(float, __fadd_rn, x + y)
EMU_BINARY(float, __fsub_rn, x - y)
EMU_BINARY(float, __fmul_rn, x * y)
EMU_BINARY(float, __fdiv_rn, x / y)
EMU_BINARY(double, __dadd_rn, x + y)
EMU_BINARY(double, __dsub_rn, x - y)
EMU_BINARY(double, __dmul_rn, x * y)
EMU_BINARY(double, __ddiv_rn, x / y)
EMU_INLINE float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
EMU_INLINE double __fma_rn(double x, double y, double z) { return fma(x, y, z); }

EMU_INLINE int __float2int_rn(float x) { return (int)rintf(x); }
EMU_INLINE int __float2int_rd(float x) { return (int)floorf(x); }
EMU_INLINE int __float2int_ru(float x) { return (int)ceilf(x); }
EMU_INLINE int __float2int_rz(float x) { return (int)x; }
EMU_INLINE float __int2float_rn(int x) { return (float)x; }
EMU_INLINE float __uint2float_rn(unsigned x) { return (float)x; }
EMU_INLINE double __ull2double_rn(unsigned long long x) { return (double)x; }
EMU_INLINE float __double2float_rn(double x) { return (float)x; }

EMU_INLINE int __popc(unsigned x) { return __builtin_popcount(x); }
EMU_INLINE int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
EMU_INLINE int __clz(unsigned x) { return x ? __builtin_clz(x) : 32; }
EMU_INLINE int __clzll(unsigned long long x) { return x ? __builtin_clzll(x) : 64; }
EMU_INLINE int __ffs(int x) { return __builtin_ffs(x); }
EMU_INLINE int __ffsll(long long x) { return __builtin_ffsll(x); }
EMU_BINARY(int, __mul24, x * y)
EMU_INLINE unsigned __umulhi(unsigned x, unsigned y) { return (uint64_t)x * y >> 32; }
EMU_INLINE int __mulhi(int x, int y) { return (int64_t)x * y >> 32; }
EMU_INLINE unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  return (unsigned __int128)x * y >> 64;
}
EMU_INLINE long long __mul64hi(long long x, long long y) { return (__int128)x * y >> 64; }

#define EMU_REINTERPRET(name, To, From)      \
  EMU_INLINE To name(From from) {            \
    To to;                                   \
    memcpy(&to, &from, sizeof to);           \
    return to;                               \
  }
EMU_REINTERPRET(__int_as_float, float, int)
EMU_REINTERPRET(__uint_as_float, float, unsigned)
EMU_REINTERPRET(__float_as_int, int, float)
EMU_REINTERPRET(__float_as_uint, unsigned, float)
EMU_REINTERPRET(__longlong_as_double, double, long long)
EMU_REINTERPRET(__double_as_longlong, long long, double)

#define EMU_MIN_MAX(T)                                        \
  EMU_INLINE T min(T x, T y) { return x < y ? x : y; }        \
  EMU_INLINE T max(T x, T y) { return x > y ? x : y; }
EMU_MIN_MAX(int)
EMU_MIN_MAX(unsigned)
EMU_MIN_MAX(long)
EMU_MIN_MAX(unsigned long)
EMU_MIN_MAX(long long)
EMU_MIN_MAX(unsigned long long)
EMU_INLINE float min(float x, float y) { return fminf(x, y); }
EMU_INLINE float max(float x, float y) { return fmaxf(x, y); }
EMU_INLINE double min(double x, double y) { return fmin(x, y); }
EMU_INLINE double max(double x, double y) { return fmax(x, y); }

// Cached, streaming, ... loads and stores: the cache is not emulated.
template <class T> inline T __ldg(const T *p) { return *p; }
template <class T> inline T __ldca(const T *p) { return *p; }
template <class T> inline T __ldcg(const T *p) { return *p; }
template <class T> inline T __ldcs(const T *p) { return *p; }
template <class T> inline void __stcg(T *p, T value) { *p = value; }
template <class T> inline void __stcs(T *p, T value) { *p = value; }
