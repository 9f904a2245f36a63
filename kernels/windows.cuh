// Windows that slide over (N, D, H, W, C) images; images of fewer axes have lengths of 1.
#pragma once

// Per axis: length of the image, of the kernel, stride, dilation, padding in front, and windows.
// Python twin: launch_geometry in gpunn/ops/windows.py, which gives the numbers in this order.
struct Geometry {
  int size[3], kernel[3], stride[3], dilation[3], before[3], out[3];
  __device__ int taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  __device__ int windows() const { return out[0] * out[1] * out[2]; }
  __device__ int pixels() const { return size[0] * size[1] * size[2]; }
};

#define GEOMETRY_PARAMETERS                                                                     \
  int size0, int size1, int size2, int kernel0, int kernel1, int kernel2, int stride0,          \
      int stride1, int stride2, int dilation0, int dilation1, int dilation2, int before0,       \
      int before1, int before2, int out0, int out1, int out2
#define GEOMETRY                                                                                \
  { {size0, size1, size2}, {kernel0, kernel1, kernel2}, {stride0, stride1, stride2},            \
    {dilation0, dilation1, dilation2}, {before0, before1, before2}, {out0, out1, out2} }

// A flat index as three coordinates.
__device__ __forceinline__ void unravel(int flat, const int* shape, int* at) {
  at[2] = flat % shape[2];
  flat /= shape[2];
  at[1] = flat % shape[1];
  at[0] = flat / shape[1];
}

// The pixel that tap `tap` of window `window` reads, -1 in the padding.
__device__ __forceinline__ int pixel_of(const Geometry& g, int window, int tap) {
  int o[3], t[3], pixel = 0;
  unravel(window, g.out, o);
  unravel(tap, g.kernel, t);
  for (int a = 0; a < 3; a++) {
    int i = o[a] * g.stride[a] + t[a] * g.dilation[a] - g.before[a];
    if (i < 0 || i >= g.size[a]) return -1;
    pixel = pixel * g.size[a] + i;
  }
  return pixel;
}

// The window whose tap `tap` reads pixel `pixel`, -1 if there is none.
__device__ __forceinline__ int window_of(const Geometry& g, int pixel, int tap) {
  int i[3], t[3], window = 0;
  unravel(pixel, g.size, i);
  unravel(tap, g.kernel, t);
  for (int a = 0; a < 3; a++) {
    int shifted = i[a] + g.before[a] - t[a] * g.dilation[a];
    if (shifted < 0 || shifted % g.stride[a]) return -1;
    int o = shifted / g.stride[a];
    if (o >= g.out[a]) return -1;
    window = window * g.out[a] + o;
  }
  return window;
}
