// float2, float4, int2, ...: CUDA's vector types, with CUDA's alignment.
#pragma once

#define EMU_VECTOR2(T, name, alignment)               \
  struct __attribute__((aligned(alignment))) name {   \
    T x, y;                                           \
  };                                                  \
  EMU_INLINE name make_##name(T x, T y) { return {x, y}; }

#define EMU_VECTOR4(T, name, alignment)               \
  struct __attribute__((aligned(alignment))) name {   \
    T x, y, z, w;                                     \
  };                                                  \
  EMU_INLINE name make_##name(T x, T y, T z, T w) { return {x, y, z, w}; }

EMU_VECTOR2(float, float2, 8)
EMU_VECTOR4(float, float4, 16)
EMU_VECTOR2(double, double2, 16)
EMU_VECTOR2(int, int2, 8)
EMU_VECTOR4(int, int4, 16)
EMU_VECTOR2(unsigned, uint2, 8)
EMU_VECTOR4(unsigned, uint4, 16)
EMU_VECTOR2(long long, longlong2, 16)
EMU_VECTOR2(unsigned long long, ulonglong2, 16)
EMU_VECTOR2(unsigned short, ushort2, 4)
EMU_VECTOR4(unsigned short, ushort4, 8)
EMU_VECTOR2(unsigned char, uchar2, 2)
EMU_VECTOR4(unsigned char, uchar4, 4)
