// An LSTM with all gates fused; gates i, f, g, o side by side in rows of 4H.
//
// Steps: grid-stride, one thread a unit of a sample. The whole sequence: see lstm_persistent.
// Deterministic. Python twins: gpunn/ops/rnn_lstm.py.
#include <cuda_fp16.h>
#include "rnn.cuh"

// gates: x W + b on entry, activated on exit; a = h_prev U. A masked sample keeps its state.
template <class T>
__global__ void lstm_cell_forward(T* gates, const T* a, const T* h_prev, const T* c_prev,
                                  const bool* mask, T* h, T* c, int B, int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) {
    T* g = gates + (size_t)b * 4 * H + j;
    const T* r = a + (size_t)b * 4 * H + j;
    C in = activation::logistic(C(g[0]) + C(r[0])), forget = activation::logistic(C(g[H]) + C(r[H]));
    C candidate = tanh(C(g[2 * H]) + C(r[2 * H]));
    C out = activation::logistic(C(g[3 * H]) + C(r[3 * H]));
    g[0] = T(in), g[H] = T(forget), g[2 * H] = T(candidate), g[3 * H] = T(out);
    bool on = counts(mask, b);
    C memory = on ? forget * C(c_prev[k]) + in * candidate : C(c_prev[k]);
    c[k] = T(memory);
    h[k] = on ? T(out * tanh(memory)) : h_prev[k];
  }
}

// dh: what flows back through the next step's U. carry, with a mask only: what masked steps pass by.
template <class T>
__global__ void lstm_cell_backward(const T* gates, const T* c_prev, const T* c, const bool* mask,
                                   const T* dy, const T* dh, T* carry, T* dc, T* dz, int B, int H) {
  typedef typename compute<T>::type C;
  FOR_UNITS(k, j, b) {
    const T* g = gates + (size_t)b * 4 * H + j;
    T* d = dz + (size_t)b * 4 * H + j;
    C total = C(dh[k]) + (dy ? C(dy[k]) : C(0)) + (mask ? C(carry[k]) : C(0));
    if (mask) carry[k] = mask[b] ? T(0) : T(total);
    if (!counts(mask, b)) {
      d[0] = d[H] = d[2 * H] = d[3 * H] = T(0);
      continue;
    }
    C in = C(g[0]), forget = C(g[H]), candidate = C(g[2 * H]), out = C(g[3 * H]);
    C squashed = tanh(C(c[k])), memory = C(dc[k]) + total * out * (C(1) - squashed * squashed);
    d[0] = T(memory * candidate * in * (C(1) - in));
    d[H] = T(memory * C(c_prev[k]) * forget * (C(1) - forget));
    d[2 * H] = T(memory * in * (C(1) - candidate * candidate));
    d[3 * H] = T(total * squashed * out * (C(1) - out));
    dc[k] = T(memory * forget);
  }
}

// All steps in one cooperative launch, see rnn.cuh. hs and cs have n and m rows, gone through in a
// ring. Dynamic shared memory: 16 (H + 1) + 64 · 33 values.
template <class T>
__global__ void __launch_bounds__(256)
    lstm_persistent(T* gates, const T* U, const bool* mask, T* hs, T* cs, unsigned int* arrived,
                    int steps, int n, int m, int B, int H) {
  typedef typename compute<T>::type C;
  PERSISTENT_THREAD
  C *w = (C*)shared, *part = w + 16 * (H + 1), a[4];
  load_columns<4>(U, w, first, H);
  for (int t = 0; t < steps; t++) {
    const T* before = hs + (size_t)(t % n) * size;
    products<4>(before, w, part, B, H, a);
    if (live) {
      T* g = gates + ((size_t)t * B + b) * 4 * H + unit;
      C in = activation::logistic(C(g[0]) + a[0]), forget = activation::logistic(C(g[H]) + a[1]);
      C candidate = tanh(C(g[2 * H]) + a[2]), out = activation::logistic(C(g[3 * H]) + a[3]);
      g[0] = T(in), g[H] = T(forget), g[2 * H] = T(candidate), g[3 * H] = T(out);
      bool on = !mask || mask[(size_t)t * B + b];
      T last = cs[(t % m) * size + k];
      C memory = on ? forget * C(last) + in * candidate : C(last);
      cs[((t + 1) % m) * size + k] = T(memory);
      hs[((t + 1) % n) * size + k] = on ? T(out * tanh(memory)) : __ldcg(before + k);
    }
#ifndef WITHOUT_BARRIER
    if (t + 1 < steps) grid_barrier(arrived, t + 1);
#endif
  }
}

// The way back: after all blocks have written dz of a step, dz Uᵀ flows to the step before. What it
// meets there stays with the thread. Dynamic shared memory: 4 (4H + 1) + 64 · 33 values.
template <class T>
__global__ void __launch_bounds__(256)
    lstm_persistent_backward(const T* gates, const T* cs, const T* U, const bool* mask,
                             const T* dy, T* dh, T* dc, T* dz, unsigned int* arrived, int steps,
                             int B, int H) {
  typedef typename compute<T>::type C;
  PERSISTENT_THREAD
  C *w = (C*)shared, *part = w + 4 * (4 * H + 1);
  load_rows(U, w, first, H, 4 * H);
  C flow = live ? C(dh[k]) : C(0), kept = live ? C(dc[k]) : C(0), carry = C(0);
  for (int t = steps - 1; t >= 0; t--) {
    T* rows = dz + (size_t)t * size * 4;
    if (live) {
      const T* g = gates + ((size_t)t * B + b) * 4 * H + unit;
      T* d = rows + (size_t)b * 4 * H + unit;
      C total = flow + carry + (dy ? C(dy[t * size + k]) : C(0));
      bool on = !mask || mask[(size_t)t * B + b];
      carry = on ? C(0) : total;
      if (on) {
        C in = C(g[0]), forget = C(g[H]), candidate = C(g[2 * H]), out = C(g[3 * H]);
        C squashed = tanh(C(cs[(t + 1) * size + k]));
        C memory = kept + total * out * (C(1) - squashed * squashed);
        d[0] = T(memory * candidate * in * (C(1) - in));
        d[H] = T(memory * C(cs[t * size + k]) * forget * (C(1) - forget));
        d[2 * H] = T(memory * in * (C(1) - candidate * candidate));
        d[3 * H] = T(total * squashed * out * (C(1) - out));
        kept = memory * forget;
      } else {
        d[0] = d[H] = d[2 * H] = d[3 * H] = T(0);
      }
    }
#ifndef WITHOUT_BARRIER
    grid_barrier(arrived, steps - t);
#endif
    products<1>(rows, w, part, B, 4 * H, &flow);
  }
  if (live) {
    dh[k] = T(flow + carry);
    dc[k] = T(kept);
  }
}
