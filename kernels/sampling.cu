// Draws of classes: the first k with sums[row, k] > uniform * sums[row, last], by bisection.
// sums (rows, classes) ascending, uniform and out (rows, samples); one thread a draw.
// Python twin: gpunn/ops/sampling.py.
template <class T>
__global__ void draw_classes(const T* sums, const T* uniform, int* out, long long size,
                             int samples, int classes) {
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
       i += (long long)gridDim.x * blockDim.x) {
    const T* row = sums + i / samples * classes;
    T total = row[classes - 1];
    T target = fmin(uniform[i] * total, nextafter(total, T(0)));  // below the total after rounding
    int low = 0, high = classes;
    while (low < high) {
      int middle = low + (high - low) / 2;
      if (row[middle] <= target) low = middle + 1;
      else high = middle;
    }
    out[i] = min(low, classes - 1);
  }
}
