// __half and __nv_bfloat16: 16 bits that compute in float and round after every operation,
// as the GPU does.
#pragma once

EMU_INLINE float emu_half_to_float(uint16_t bits) {
  _Float16 value;
  memcpy(&value, &bits, 2);
  return (float)value;
}
EMU_INLINE uint16_t emu_float_to_half(float value) {
  _Float16 rounded = (_Float16)value;
  uint16_t bits;
  memcpy(&bits, &rounded, 2);
  return bits;
}
EMU_INLINE float emu_bfloat_to_float(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}
EMU_INLINE uint16_t emu_float_to_bfloat(float value) {  // round to nearest even
  if (value != value) return 0x7fff;
  uint32_t wide;
  memcpy(&wide, &value, 4);
  wide += 0x7fff + (wide >> 16 & 1);
  return wide >> 16;
}

#define EMU_SIXTEEN_BITS(T, to_float, from_float)                               \
  struct T {                                                                    \
    uint16_t bits;                                                              \
    T() = default;                                                              \
    T(float v) : bits(from_float(v)) {}                                         \
    T(double v) : bits(from_float((float)v)) {}                                 \
    T(int v) : bits(from_float((float)v)) {}                                    \
    T(unsigned v) : bits(from_float((float)v)) {}                               \
    T(long long v) : bits(from_float((float)v)) {}                              \
    T(unsigned long long v) : bits(from_float((float)v)) {}                     \
    operator float() const { return to_float(bits); }                           \
    T &operator+=(T b) { return *this = T(float(*this) + float(b)); }           \
    T &operator-=(T b) { return *this = T(float(*this) - float(b)); }           \
    T &operator*=(T b) { return *this = T(float(*this) * float(b)); }           \
    T &operator/=(T b) { return *this = T(float(*this) / float(b)); }           \
  };                                                                            \
  inline T operator+(T a, T b) { return T(float(a) + float(b)); }               \
  inline T operator-(T a, T b) { return T(float(a) - float(b)); }               \
  inline T operator*(T a, T b) { return T(float(a) * float(b)); }               \
  inline T operator/(T a, T b) { return T(float(a) / float(b)); }               \
  inline T operator-(T a) { return T(-float(a)); }                              \
  inline bool operator<(T a, T b) { return float(a) < float(b); }               \
  inline bool operator>(T a, T b) { return float(a) > float(b); }               \
  inline bool operator<=(T a, T b) { return float(a) <= float(b); }             \
  inline bool operator>=(T a, T b) { return float(a) >= float(b); }             \
  inline bool operator==(T a, T b) { return float(a) == float(b); }             \
  inline bool operator!=(T a, T b) { return float(a) != float(b); }             \
  inline T __hadd(T a, T b) { return a + b; }                                   \
  inline T __hsub(T a, T b) { return a - b; }                                   \
  inline T __hmul(T a, T b) { return a * b; }                                   \
  inline T __hdiv(T a, T b) { return a / b; }                                   \
  inline T __hneg(T a) { return -a; }                                           \
  inline T __hmax(T a, T b) { return a > b ? a : b; }                           \
  inline T __hmin(T a, T b) { return a < b ? a : b; }                           \
  inline T __hfma(T a, T b, T c) { return T(fmaf(float(a), float(b), float(c))); } \
  inline bool __hisnan(T a) { return float(a) != float(a); }

EMU_SIXTEEN_BITS(__half, emu_half_to_float, emu_float_to_half)
EMU_SIXTEEN_BITS(__nv_bfloat16, emu_bfloat_to_float, emu_float_to_bfloat)
typedef __half half;
typedef __nv_bfloat16 nv_bfloat16;

inline float __half2float(__half h) { return h; }
inline __half __float2half(float f) { return __half(f); }
inline __half __float2half_rn(float f) { return __half(f); }
inline __half __double2half(double d) { return __half(d); }
inline float __bfloat162float(__nv_bfloat16 h) { return h; }
inline __nv_bfloat16 __float2bfloat16(float f) { return __nv_bfloat16(f); }
inline __nv_bfloat16 __float2bfloat16_rn(float f) { return __nv_bfloat16(f); }
inline unsigned short __half_as_ushort(__half h) { return h.bits; }
inline __half __ushort_as_half(unsigned short bits) {
  __half h;
  h.bits = bits;
  return h;
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 h) { return h.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
  __nv_bfloat16 h;
  h.bits = bits;
  return h;
}

EMU_VECTOR2(__half, __half2, 4)
EMU_VECTOR2(__nv_bfloat16, __nv_bfloat162, 4)
typedef __half2 half2;
typedef __nv_bfloat162 nv_bfloat162;
inline float2 __half22float2(__half2 h) { return {h.x, h.y}; }
inline __half2 __float22half2_rn(float2 f) { return {__half(f.x), __half(f.y)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
inline float2 __bfloat1622float2(__nv_bfloat162 h) { return {h.x, h.y}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {x, y}; }
