// One step of a simple recurrent network, h = f(z + h' U).
//
// Grid-stride, one thread a unit of a sample; F is the activation and its derivative by y.
// Deterministic. Python twins: gpunn/ops/rnn_simple.py.
#include <cuda_fp16.h>
#include "rnn.cuh"

struct Tanh {
  template <class C> __device__ static C of(C x) { return tanh(x); }
  template <class C> __device__ static C slope(C y) { return C(1) - y * y; }
};
struct Relu {
  template <class C> __device__ static C of(C x) { return x > C(0) || x != x ? x : C(0); }
  template <class C> __device__ static C slope(C y) { return y > C(0) ? C(1) : C(0); }
};
struct Linear {
  template <class C> __device__ static C of(C x) { return x; }
  template <class C> __device__ static C slope(C) { return C(1); }
};

template <class T, class F>
__global__ void simple_cell_forward(const T* z, const T* a, const T* h_prev, const bool* mask,
                                    T* h, int B, int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) h[k] = counts(mask, b) ? T(F::of(C(z[k]) + C(a[k]))) : h_prev[k];
}

template <class T, class F>
__global__ void simple_cell_backward(const T* h, const bool* mask, const T* dy, const T* dh,
                                     T* carry, T* dz, int B, int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) {
    C total = C(dh[k]) + (dy ? C(dy[k]) : C(0)) + (mask ? C(carry[k]) : C(0));
    if (mask) carry[k] = mask[b] ? T(0) : T(total);
    dz[k] = counts(mask, b) ? T(total * F::slope(C(h[k]))) : T(0);
  }
}
