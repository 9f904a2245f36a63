// Tensor cores. A kernel writes, where it would emit PTX `mma.sync`:
//     #ifdef GPUNN_EMU
//       emu_mma_1688_tf32(d, a, b, c);
//     #else
//       asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 ...");
//     #endif
// with the same registers. Fragment layouts: PTX ISA, "Matrix Fragments for mma".
#pragma once

EMU_INLINE float emu_tf32(uint32_t bits) {  // what a tensor core sees of a float
  bits += 0x0fff + (bits >> 13 & 1);
  bits &= ~0x1fffu;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

// Register `index` of `lane` in the table that all lanes filled with a[4], b[2].
EMU_INLINE const char *emu_fragment(const char *table, int lane, int index) {
  return table + lane * EMU_EXCHANGE_BYTES + index * 4;
}

// D(16,8) = A(16,8) B(8,8) + C, tf32 in, fp32 out.
EMU_INLINE void emu_mma_1688_tf32(float *d, const uint32_t *a, const uint32_t *b, const float *c,
                                  EmuSite site = EmuSite::here()) {
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const char *table = emu_warp_exchange(~0u, mine, sizeof mine, false, site);
  const int group = emu_current->lane / 4, within = emu_current->lane % 4;
  for (int i = 0; i < 4; i++) {
    const int row = group + i / 2 * 8, column = within * 2 + i % 2;
    float sum = c[i];
    for (int k = 0; k < 8; k++) {
      uint32_t x, y;
      memcpy(&x, emu_fragment(table, row % 8 * 4 + k % 4, row / 8 + k / 4 * 2), 4);
      memcpy(&y, emu_fragment(table, column * 4 + k % 4, 4 + k / 4), 4);
      sum += emu_tf32(x) * emu_tf32(y);
    }
    d[i] = sum;
  }
}

// One of the two 16-bit numbers of a register.
EMU_INLINE float emu_half_of(const char *fragment, int which, bool bfloat) {
  uint16_t bits;
  memcpy(&bits, fragment + which * 2, 2);
  return bfloat ? emu_bfloat_to_float(bits) : emu_half_to_float(bits);
}

// D(16,8) = A(16,16) B(16,8) + C, fp16 or bf16 in (two to a register), fp32 out.
EMU_INLINE void emu_mma_16816(float *d, const uint32_t *a, const uint32_t *b, const float *c,
                              bool bfloat, EmuSite site = EmuSite::here()) {
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const char *table = emu_warp_exchange(~0u, mine, sizeof mine, false, site);
  const int group = emu_current->lane / 4, within = emu_current->lane % 4;
  for (int i = 0; i < 4; i++) {
    const int row = group + i / 2 * 8, column = within * 2 + i % 2;
    float sum = c[i];
    for (int k = 0; k < 16; k++) {
      const int lane = k % 8 / 2;
      const char *x = emu_fragment(table, row % 8 * 4 + lane, row / 8 + k / 8 * 2);
      const char *y = emu_fragment(table, column * 4 + lane, 4 + k / 8);
      sum += emu_half_of(x, k % 2, bfloat) * emu_half_of(y, k % 2, bfloat);
    }
    d[i] = sum;
  }
}
