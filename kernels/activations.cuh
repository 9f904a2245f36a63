// Activations and their derivatives as device functions: f(x, options...) and
// f_grad(x, y, options...) with y = f(x). Python twins: gpunn/ops/activations.py.
// Storage type T, arithmetic in compute<T>::type. The namespace keeps them apart from CUDA's tanh
// and CuPy's functions.
#pragma once
#include "common.cuh"

namespace activation {

#define ACTIVATION template <class T> __device__ __forceinline__
#define COMPUTE(T) typename compute<T>::type

template <class C> __device__ __forceinline__ C logistic(C x) {  // 1 / (1 + e^-x), no overflow
  C e = exp(-fabs(x));
  return (x >= C(0) ? C(1) : e) / (C(1) + e);
}
template <class C> __device__ __forceinline__ C softplus_of(C x) {  // log(1 + e^x), no overflow
  return (x > C(0) ? x : C(0)) + log1p(exp(-fabs(x)));
}
template <class C> __device__ __forceinline__ C normal_cdf(C x) {
  return C(0.5) * (C(1) + erf(x * C(0.70710678118654752440)));
}

ACTIVATION T relu(T x) { return x > T(0) || x != x ? x : T(0); }
ACTIVATION T relu_grad(T, T y) { return y > T(0) ? T(1) : T(0); }

ACTIVATION T relu6(T x) { return x > T(6) ? T(6) : relu(x); }
ACTIVATION T relu6_grad(T, T y) { return y > T(0) && y < T(6) ? T(1) : T(0); }

ACTIVATION T leaky_relu(T x, T negative_slope) { return x > T(0) ? x : T(negative_slope * x); }
ACTIVATION T leaky_relu_grad(T x, T, T negative_slope) { return x > T(0) ? T(1) : negative_slope; }

ACTIVATION T elu(T x, T alpha) {
  typedef COMPUTE(T) C;
  return x > T(0) ? x : T(C(alpha) * expm1(C(x)));
}
ACTIVATION T elu_grad(T x, T, T alpha) {
  typedef COMPUTE(T) C;
  return x > T(0) ? T(1) : T(C(alpha) * exp(C(x)));
}

ACTIVATION T selu(T x) {
  typedef COMPUTE(T) C;
  return T(C(1.0507009873554805) * (C(x) > C(0) ? C(x) : C(1.6732632423543772) * expm1(C(x))));
}
ACTIVATION T selu_grad(T x, T) {
  typedef COMPUTE(T) C;
  return T(C(1.0507009873554805) * (C(x) > C(0) ? C(1) : C(1.6732632423543772) * exp(C(x))));
}

ACTIVATION T gelu(T x) { return T(COMPUTE(T)(x) * normal_cdf(COMPUTE(T)(x))); }
ACTIVATION T gelu_grad(T x, T) {
  typedef COMPUTE(T) C;
  C v = C(x);
  return T(normal_cdf(v) + v * C(0.39894228040143267794) * exp(C(-0.5) * v * v));
}

ACTIVATION T gelu_tanh(T x) {
  typedef COMPUTE(T) C;
  C v = C(x);
  return T(C(0.5) * v * (C(1) + ::tanh(C(0.79788456080286535588) * (v + C(0.044715) * v * v * v))));
}
ACTIVATION T gelu_tanh_grad(T x, T) {
  typedef COMPUTE(T) C;
  C v = C(x), t = ::tanh(C(0.79788456080286535588) * (v + C(0.044715) * v * v * v));
  C inner = C(0.79788456080286535588) * (C(1) + C(0.134145) * v * v);
  return T(C(0.5) * (C(1) + t) + C(0.5) * v * (C(1) - t * t) * inner);
}

ACTIVATION T sigmoid(T x) { return T(logistic(COMPUTE(T)(x))); }
ACTIVATION T sigmoid_grad(T, T y) { return T(COMPUTE(T)(y) * (COMPUTE(T)(1) - COMPUTE(T)(y))); }

ACTIVATION T silu(T x) { return T(COMPUTE(T)(x) * logistic(COMPUTE(T)(x))); }
ACTIVATION T silu_grad(T x, T) {
  typedef COMPUTE(T) C;
  C s = logistic(C(x));
  return T(s * (C(1) + C(x) * (C(1) - s)));
}

ACTIVATION T softplus(T x) { return T(softplus_of(COMPUTE(T)(x))); }
ACTIVATION T softplus_grad(T x, T) { return T(logistic(COMPUTE(T)(x))); }

ACTIVATION T log_sigmoid(T x) { return T(-softplus_of(-COMPUTE(T)(x))); }
ACTIVATION T log_sigmoid_grad(T x, T) { return T(logistic(-COMPUTE(T)(x))); }

ACTIVATION T softsign(T x) { return T(COMPUTE(T)(x) / (COMPUTE(T)(1) + fabs(COMPUTE(T)(x)))); }
ACTIVATION T softsign_grad(T x, T) {
  typedef COMPUTE(T) C;
  C d = C(1) + fabs(C(x));
  return T(C(1) / (d * d));
}

ACTIVATION T hard_sigmoid(T x) {
  typedef COMPUTE(T) C;
  C v = C(x) / C(6) + C(0.5);
  return T(v < C(0) ? C(0) : v > C(1) ? C(1) : v);
}
ACTIVATION T hard_sigmoid_grad(T x, T) {
  typedef COMPUTE(T) C;
  return C(x) > C(-3) && C(x) < C(3) ? T(C(1) / C(6)) : T(0);
}

ACTIVATION T hard_silu(T x) { return T(COMPUTE(T)(x) * COMPUTE(T)(hard_sigmoid(x))); }
ACTIVATION T hard_silu_grad(T x, T y) {
  typedef COMPUTE(T) C;
  return T(C(hard_sigmoid(x)) + C(x) * C(hard_sigmoid_grad(x, y)));
}

ACTIVATION T tanh(T x) { return T(::tanh(COMPUTE(T)(x))); }
ACTIVATION T tanh_grad(T, T y) {
  return T(COMPUTE(T)(1) - COMPUTE(T)(y) * COMPUTE(T)(y));
}

ACTIVATION T mish(T x) { return T(COMPUTE(T)(x) * ::tanh(softplus_of(COMPUTE(T)(x)))); }
ACTIVATION T mish_grad(T x, T) {
  typedef COMPUTE(T) C;
  C v = C(x), t = ::tanh(softplus_of(v));
  return T(t + v * (C(1) - t * t) * logistic(v));
}

ACTIVATION T celu(T x, T alpha) {
  typedef COMPUTE(T) C;
  return x > T(0) ? x : T(C(alpha) * expm1(C(x) / C(alpha)));
}
ACTIVATION T celu_grad(T x, T, T alpha) {
  typedef COMPUTE(T) C;
  return x > T(0) ? T(1) : T(exp(C(x) / C(alpha)));
}

ACTIVATION T tanh_shrink(T x) { return T(COMPUTE(T)(x) - ::tanh(COMPUTE(T)(x))); }
ACTIVATION T tanh_shrink_grad(T x, T) {
  typedef COMPUTE(T) C;
  C t = ::tanh(C(x));
  return T(t * t);
}

ACTIVATION T hard_tanh(T x) { return x > T(1) ? T(1) : x < T(-1) ? T(-1) : x; }
ACTIVATION T hard_tanh_grad(T x, T) { return x > T(-1) && x < T(1) ? T(1) : T(0); }

ACTIVATION T hard_shrink(T x, T threshold) {
  return x > threshold || x < -threshold || x != x ? x : T(0);
}
ACTIVATION T hard_shrink_grad(T x, T, T threshold) {
  return x > threshold || x < -threshold ? T(1) : T(0);
}

ACTIVATION T soft_shrink(T x, T threshold) {
  T y = x > threshold ? T(x - threshold) : x < -threshold ? T(x + threshold) : T(0);
  return x != x ? x : y;
}
ACTIVATION T soft_shrink_grad(T x, T, T threshold) {
  return x > threshold || x < -threshold ? T(1) : T(0);
}

ACTIVATION T threshold(T x, T limit, T value) { return x > limit ? x : value; }
ACTIVATION T threshold_grad(T x, T, T limit, T) { return x > limit ? T(1) : T(0); }

ACTIVATION T squareplus(T x, T b) {
  typedef COMPUTE(T) C;
  return T(C(0.5) * (C(x) + sqrt(C(x) * C(x) + C(b))));
}
ACTIVATION T squareplus_grad(T x, T, T b) {
  typedef COMPUTE(T) C;
  return T(C(0.5) * (C(1) + C(x) / sqrt(C(x) * C(x) + C(b))));
}

ACTIVATION T sparse_plus(T x) {
  typedef COMPUTE(T) C;
  C v = C(x) + C(1);
  return C(x) <= C(-1) ? T(0) : C(x) >= C(1) ? x : T(C(0.25) * v * v);
}
ACTIVATION T sparse_plus_grad(T x, T) {
  typedef COMPUTE(T) C;
  return C(x) <= C(-1) ? T(0) : C(x) >= C(1) ? T(1) : T(C(0.5) * (C(x) + C(1)));
}

ACTIVATION T sparse_sigmoid(T x) {
  typedef COMPUTE(T) C;
  C v = C(0.5) * (C(x) + C(1));
  return T(v < C(0) ? C(0) : v > C(1) ? C(1) : v);
}
ACTIVATION T sparse_sigmoid_grad(T x, T) { return x > T(-1) && x < T(1) ? T(0.5) : T(0); }

}  // namespace activation
