// What CuPy puts ahead of an ElementwiseKernel: its float16 and bfloat16, arrays with strides,
// and the loop.
#pragma once

#define CUPY_FOR(i, n)                                                              \
  for (ptrdiff_t i = (ptrdiff_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n);     \
       i += (ptrdiff_t)blockDim.x * gridDim.x)

// Unlike CUDA's __half: arithmetic is done in float.
#define EMU_CUPY_SIXTEEN_BITS(Name, Storage)                                        \
  class Name {                                                                      \
    Storage data_;                                                                  \
                                                                                    \
   public:                                                                          \
    Name() = default;                                                               \
    Name(float v) : data_(v) {}                                                     \
    explicit Name(bool v) : data_(float(v)) {}                                      \
    explicit Name(double v) : data_(v) {}                                           \
    explicit Name(int v) : data_(v) {}                                              \
    explicit Name(unsigned v) : data_(v) {}                                         \
    explicit Name(long long v) : data_(v) {}                                        \
    explicit Name(unsigned long long v) : data_(v) {}                               \
    explicit Name(Storage v) : data_(v) {}                                          \
    operator float() const { return float(data_); }                                 \
    template <class T> Name &operator=(const T &v) { return *this = Name(v); }      \
    template <class T> Name &operator+=(const T &v) { return *this = *this + v; }   \
    template <class T> Name &operator-=(const T &v) { return *this = *this - v; }   \
    template <class T> Name &operator*=(const T &v) { return *this = *this * v; }   \
    template <class T> Name &operator/=(const T &v) { return *this = *this / v; }   \
    friend Name min(Name a, Name b) { return float(a) < float(b) ? a : b; }         \
    friend Name max(Name a, Name b) { return float(a) > float(b) ? a : b; }         \
  };
EMU_CUPY_SIXTEEN_BITS(float16, __half)
EMU_CUPY_SIXTEEN_BITS(bfloat16, __nv_bfloat16)

// An array with any strides, indexed in C order. `layout`: ndim, shape, strides in bytes.
template <class T>
struct CArray {
  T *data;
  const long long *layout;

  __attribute__((no_sanitize("thread"))) T &operator[](ptrdiff_t i) const {
    const long long ndim = layout[0], *shape = layout + 1, *strides = shape + ndim;
    ptrdiff_t offset = 0;
    for (long long axis = ndim - 1; axis > 0; axis--) {
      offset += i % shape[axis] * strides[axis];
      i /= shape[axis];
    }
    if (ndim > 0) offset += i * strides[0];
    return *(T *)((const char *)data + offset);
  }
  __attribute__((no_sanitize("thread"))) ptrdiff_t size() const {
    ptrdiff_t count = 1;
    for (long long axis = 0; axis < layout[0]; axis++) count *= layout[1 + axis];
    return count;
  }
};
