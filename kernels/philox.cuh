// Philox4x64-10, bit for bit as numpy.random.Philox. Python twin: gpunn/backend/random.py.
#pragma once

struct PhiloxBlock {
  unsigned long long word[4];
  // NumPy's order of 32-bit numbers: the low half of a word comes first.
  __device__ unsigned int half(int i) const {
    return (unsigned int)(i & 1 ? word[i >> 1] >> 32 : word[i >> 1]);
  }
};

// Block `index` (from 0) of a draw: the counter is raised before it is used, as in NumPy.
__device__ inline PhiloxBlock philox(unsigned long long index, const unsigned int* state) {
  unsigned long long c0 = index + 1, c1 = state[1], c2 = 0, c3 = 0, k0 = state[0], k1 = 0;
  for (int round = 0; round < 10; round++) {
    if (round) {
      k0 += 0x9E3779B97F4A7C15ull;
      k1 += 0xBB67AE8584CAA73Bull;
    }
    unsigned long long low0 = 0xD2E7470EE14C6C93ull * c0, low1 = 0xCA5A826395121157ull * c2;
    unsigned long long high0 = __umul64hi(0xD2E7470EE14C6C93ull, c0);
    unsigned long long high1 = __umul64hi(0xCA5A826395121157ull, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
  }
  PhiloxBlock block = {{c0, c1, c2, c3}};
  return block;
}

// Uniform numbers in [0, 1) from a block: 8 of 24 bits, or 4 of 53 bits.
template <class C> struct Uniform;
template <> struct Uniform<float> {
  enum { per_block = 8 };
  __device__ static float of(const PhiloxBlock& block, int i) {
    return (float)(block.half(i) >> 8) * (1.0f / 16777216.0f);
  }
};
template <> struct Uniform<double> {
  enum { per_block = 4 };
  __device__ static double of(const PhiloxBlock& block, int i) {
    return (double)(block.word[i] >> 11) * (1.0 / 9007199254740992.0);
  }
};
