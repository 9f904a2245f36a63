// A GRU with all gates fused; gates z, r, g side by side in rows of 3H.
//
// Steps: grid-stride, one thread a unit of a sample. The whole sequence: see rnn.cuh. Deterministic.
// Python twins: gpunn/ops/rnn_gru.py, rnn_gru_before.py.
#include <cuda_fp16.h>
#include "rnn.cuh"

// gates: x W + b on entry, activated on exit; a = h_prev U; n: what r multiplies, kept.
template <class T>
__global__ void gru_cell_forward(T* gates, const T* a, const T* bias, const T* h_prev,
                                 const bool* mask, T* n, T* h, int B, int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) {
    T* g = gates + (size_t)b * 3 * H + j;
    const T* u = a + (size_t)b * 3 * H + j;
    C bz = C(0), br = C(0), bn = C(0);
    if (bias) bz = C(bias[j]), br = C(bias[H + j]), bn = C(bias[2 * H + j]);
    C z = activation::logistic(C(g[0]) + C(u[0]) + bz);
    C r = activation::logistic(C(g[H]) + C(u[H]) + br);
    C inner = C(u[2 * H]) + bn, before = C(h_prev[k]);
    C candidate = tanh(C(g[2 * H]) + r * inner);
    g[0] = T(z), g[H] = T(r), g[2 * H] = T(candidate);
    n[k] = T(inner);
    h[k] = counts(mask, b) ? T(candidate + z * (before - candidate)) : h_prev[k];
  }
}

// dh: what flows back through the next step's U; carry: what went around it, then of this step.
template <class T>
__global__ void gru_cell_backward(const T* gates, const T* n, const T* h_prev, const bool* mask,
                                  const T* dy, const T* dh, T* carry, T* dgates, T* da, int B,
                                  int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) {
    size_t row = (size_t)b * 3 * H + j;
    const T* g = gates + row;
    C total = C(dh[k]) + C(carry[k]) + (dy ? C(dy[k]) : C(0));
    C z = C(g[0]), r = C(g[H]), candidate = C(g[2 * H]);
    C inner = total * (C(1) - z) * (C(1) - candidate * candidate);
    C update = total * (C(h_prev[k]) - candidate) * z * (C(1) - z);
    C reset = inner * C(n[k]) * r * (C(1) - r);
    bool on = counts(mask, b);
    carry[k] = T(on ? total * z : total);
    dgates[row] = da[row] = on ? T(update) : T(0);
    dgates[row + H] = da[row + H] = on ? T(reset) : T(0);
    dgates[row + 2 * H] = on ? T(inner) : T(0);
    da[row + 2 * H] = on ? T(inner * r) : T(0);
  }
}

// The form in which r multiplies h before U does: z, r and n = r h_prev first, the rest after n U.
template <class T>
__global__ void gru_reset_forward(T* gates, const T* a, const T* h_prev, T* n, int B, int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) {
    T* g = gates + (size_t)b * 3 * H + j;
    const T* u = a + (size_t)b * 2 * H + j;
    C r = activation::logistic(C(g[H]) + C(u[H]));
    g[0] = T(activation::logistic(C(g[0]) + C(u[0])));
    g[H] = T(r);
    n[k] = T(r * C(h_prev[k]));
  }
}

template <class T>
__global__ void gru_update_forward(T* gates, const T* a, const T* h_prev, const bool* mask, T* h,
                                   int B, int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) {
    T* g = gates + (size_t)b * 3 * H + j;
    C z = C(g[0]), candidate = tanh(C(g[2 * H]) + C(a[k])), before = C(h_prev[k]);
    g[2 * H] = T(candidate);
    h[k] = counts(mask, b) ? T(candidate + z * (before - candidate)) : h_prev[k];
  }
}

// dz and dg into dgates, dg into dn as well, of which the product with U is the gradient of n.
template <class T>
__global__ void gru_update_backward(const T* gates, const T* h_prev, const bool* mask, const T* dy,
                                    const T* dh, T* carry, T* dgates, T* dn, int B, int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) {
    size_t row = (size_t)b * 3 * H + j;
    C total = C(dh[k]) + C(carry[k]) + (dy ? C(dy[k]) : C(0));
    C z = C(gates[row]), candidate = C(gates[row + 2 * H]);
    C inner = total * (C(1) - z) * (C(1) - candidate * candidate);
    C update = total * (C(h_prev[k]) - candidate) * z * (C(1) - z);
    bool on = counts(mask, b);
    carry[k] = T(on ? total * z : total);
    dgates[row] = on ? T(update) : T(0);
    dgates[row + 2 * H] = dn[k] = on ? T(inner) : T(0);
  }
}

template <class T>
__global__ void gru_reset_backward(const T* gates, const T* h_prev, const T* dn, T* carry,
                                   T* dgates, T* da, int B, int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) {
    size_t row = (size_t)b * 3 * H + j, pair = (size_t)b * 2 * H + j;
    C r = C(gates[row + H]), d = C(dn[k]);
    carry[k] = T(C(carry[k]) + d * r);
    da[pair] = dgates[row];
    dgates[row + H] = da[pair + H] = T(d * C(h_prev[k]) * r * (C(1) - r));
  }
}

// All steps in one cooperative launch, see rnn.cuh. inner and hs have p and q rows, gone through in
// a ring. Dynamic shared memory: 12 (H + 1) + 64 · 33 values.
template <class T>
__global__ void __launch_bounds__(256)
    gru_persistent(T* gates, const T* U, const T* bias, const bool* mask, T* inner, T* hs,
                   unsigned int* arrived, int steps, int p, int q, int B, int H) {
  typedef typename compute<T>::type C;
  PERSISTENT_THREAD
  C *w = (C*)shared, *part = w + 12 * (H + 1), a[3], add[3] = {C(0), C(0), C(0)};
  load_columns<3>(U, w, first, H);
  if (bias && live)
    for (int g = 0; g < 3; g++) add[g] = C(bias[g * H + unit]);
  for (int t = 0; t < steps; t++) {
    const T* before = hs + (size_t)(t % q) * size;
    products<3>(before, w, part, B, H, a);
    if (live) {
      T* g = gates + ((size_t)t * B + b) * 3 * H + unit;
      C z = activation::logistic(C(g[0]) + a[0] + add[0]);
      C r = activation::logistic(C(g[H]) + a[1] + add[1]);
      C kept = a[2] + add[2], candidate = tanh(C(g[2 * H]) + r * kept);
      T last = __ldcg(before + k);
      g[0] = T(z), g[H] = T(r), g[2 * H] = T(candidate);
      inner[(t % p) * size + k] = T(kept);
      bool on = !mask || mask[(size_t)t * B + b];
      hs[((t + 1) % q) * size + k] = on ? T(candidate + z * (C(last) - candidate)) : last;
    }
#ifndef WITHOUT_BARRIER
    if (t + 1 < steps) grid_barrier(arrived, t + 1);
#endif
  }
}

// The way back: after all blocks have written da of a step, da Uᵀ flows to the step before.
// Dynamic shared memory: 4 (3H + 1) + 64 · 33 values.
template <class T>
__global__ void __launch_bounds__(256)
    gru_persistent_backward(const T* gates, const T* n, const T* hs, const T* U, const bool* mask,
                            const T* dy, T* dh, T* dgates, T* da, unsigned int* arrived, int steps,
                            int B, int H) {
  typedef typename compute<T>::type C;
  PERSISTENT_THREAD
  C *w = (C*)shared, *part = w + 4 * (3 * H + 1);
  load_rows(U, w, first, H, 3 * H);
  C flow = live ? C(dh[k]) : C(0), carry = C(0);
  for (int t = steps - 1; t >= 0; t--) {
    T* rows = da + (size_t)t * size * 3;
    if (live) {
      size_t row = ((size_t)t * B + b) * 3 * H + unit;
      C total = flow + carry + (dy ? C(dy[t * size + k]) : C(0));
      C z = C(gates[row]), r = C(gates[row + H]), candidate = C(gates[row + 2 * H]);
      C inner = total * (C(1) - z) * (C(1) - candidate * candidate);
      C update = total * (C(hs[t * size + k]) - candidate) * z * (C(1) - z);
      C reset = inner * C(n[t * size + k]) * r * (C(1) - r);
      bool on = !mask || mask[(size_t)t * B + b];
      carry = on ? total * z : total;
      dgates[row] = da[row] = on ? T(update) : T(0);
      dgates[row + H] = da[row + H] = on ? T(reset) : T(0);
      dgates[row + 2 * H] = on ? T(inner) : T(0);
      da[row + 2 * H] = on ? T(inner * r) : T(0);
    }
#ifndef WITHOUT_BARRIER
    grid_barrier(arrived, steps - t);
#endif
    products<1>(rows, w, part, B, 3 * H, &flow);
  }
  if (live) dh[k] = T(flow + carry);
}
