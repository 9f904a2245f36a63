// Borders around arrays of up to five axes: constant, or mirrored at the edges; and their gradient.
//
// One thread an element of the result, grid-stride loops; each gathers, so the sums of the gradient
// are deterministic. Axis i has n_i elements, a_i new ones before them, and m_i in the result.
// `mirror`: 0 for a constant; 1 for "symmetric", which repeats the edge; 2 for "reflect", which
// does not. Position p, counted from the first element of x, mirrors mirror - 2 - p in front of the
// axis and 2 n - mirror - p behind it.  Python twins: gpunn/ops/padding.py.
#include <cuda_fp16.h>
#include "common.cuh"

#define AXES 5
#define AXIS_PARAMETERS                                                                  \
  int n0, int a0, int m0, int n1, int a1, int m1, int n2, int a2, int m2, int n3, int a3, \
      int m3, int n4, int a4, int m4
#define AXIS_ARRAYS                             \
  const int n[AXES] = {n0, n1, n2, n3, n4};     \
  const int before[AXES] = {a0, a1, a2, a3, a4}; \
  const int m[AXES] = {m0, m1, m2, m3, m4}
#define FOR_EACH(i)                                                                \
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size; \
       i += (long long)gridDim.x * blockDim.x)

template <class T>
__global__ void pad_forward(const T* x, T* y, long long size, int mirror, double value,
                            AXIS_PARAMETERS) {
  AXIS_ARRAYS;
  FOR_EACH(i) {
    long long rest = i, source = 0, stride = 1;
    bool border = false;
    for (int axis = AXES - 1; axis >= 0; --axis) {
      int p = int(rest % m[axis]) - before[axis];
      rest /= m[axis];
      if (p < 0 || p >= n[axis]) {
        border = true;
        p = p < 0 ? mirror - 2 - p : 2 * n[axis] - mirror - p;
      }
      source += p * stride;
      stride *= n[axis];
    }
    y[i] = border && mirror == 0 ? T(value) : x[source];
  }
}

// dx = Σ dy over the positions that mirror an element: up to three along each axis.
template <class T>
__global__ void pad_backward(const T* dy, T* dx, long long size, int mirror, AXIS_PARAMETERS) {
  typedef typename compute<T>::type C;
  AXIS_ARRAYS;
  FOR_EACH(i) {
    long long offsets[AXES][3], rest = i, stride = 1;
    int counts[AXES], combinations = 1;
    for (int axis = AXES - 1; axis >= 0; --axis) {
      int p = int(rest % n[axis]), a = before[axis];
      rest /= n[axis];
      int front = mirror - 2 - p, behind = 2 * n[axis] - mirror - p;
      int& count = counts[axis];
      count = 0;
      offsets[axis][count++] = (a + p) * stride;
      if (front < 0 && front >= -a) offsets[axis][count++] = (a + front) * stride;
      if (behind >= n[axis] && behind < m[axis] - a) offsets[axis][count++] = (a + behind) * stride;
      stride *= m[axis];
      combinations *= count;
    }
    C sum = C(0);
    for (int c = 0; c < combinations; ++c) {
      long long offset = 0;
      for (int axis = 0, which = c; axis < AXES; which /= counts[axis++])
        offset += offsets[axis][which % counts[axis]];
      sum += C(dy[offset]);
    }
    dx[i] = T(sum);
  }
}
