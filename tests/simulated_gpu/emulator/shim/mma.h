// Tensor cores and asynchronous copies: the emulator's twins of the PTX in kernels/mma.cuh, under
// the same names. Fragment layouts: PTX ISA, "Matrix Fragments for mma".
#pragma once

EMU_INLINE float emu_tf32(uint32_t bits) {  // what a tensor core sees of a float
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

// The return address of these tells where in the kernel they were called: never inlined.
#define EMU_CALLED __attribute__((noinline, no_sanitize("thread"), unused)) static

EMU_CALLED void emu_read_row(uint32_t *row, const void *address) {
  emu_watched_read(address, 16, __builtin_return_address(0));
  memcpy(row, address, 16);
}

namespace ptx {
// To nearest, ties away from zero.
EMU_INLINE unsigned round_tf32(unsigned bits) {
  return (bits << 1) > 0xff000000u ? 0x7fffffffu : (bits + 0x1000) & ~0x1fffu;
}

EMU_INLINE void mma_tf32(float *d, const unsigned *a, const unsigned *b,
                         EmuSite site = EmuSite::here()) {
  const float c[4] = {d[0], d[1], d[2], d[3]};
  emu_mma_1688_tf32(d, a, b, c, site);
}
EMU_INLINE void mma_half(float *d, const unsigned *a, const unsigned *b,
                         EmuSite site = EmuSite::here()) {
  const float c[4] = {d[0], d[1], d[2], d[3]};
  emu_mma_16816(d, a, b, c, false, site);
}
EMU_INLINE void mma_bfloat16(float *d, const unsigned *a, const unsigned *b,
                             EmuSite site = EmuSite::here()) {
  const float c[4] = {d[0], d[1], d[2], d[3]};
  emu_mma_16816(d, a, b, c, true, site);
}

// ldmatrix: lane i gives the 16-byte row i % 8 of the matrix i / 8.
template <bool TRANSPOSED>
__attribute__((no_sanitize("thread"))) inline void load_matrices(unsigned *d, const void *address,
                                                                 EmuSite site = EmuSite::here()) {
  uint32_t row[4];
  emu_read_row(row, address);
  const char *table = emu_warp_exchange(~0u, row, sizeof row, false, site);
  const int group = emu_current->lane / 4, within = emu_current->lane % 4;
  for (int matrix = 0; matrix < 4; matrix++) {
    const char *rows = table + matrix * 8 * EMU_EXCHANGE_BYTES;
    uint16_t pair[2];
    for (int i = 0; i < 2; i++) {
      const int r = TRANSPOSED ? 2 * within + i : group, c = TRANSPOSED ? group : 2 * within + i;
      memcpy(&pair[i], rows + r * EMU_EXCHANGE_BYTES + c * 2, 2);
    }
    memcpy(&d[matrix], pair, 4);
  }
}

template <int BYTES>
__attribute__((noinline, no_sanitize("thread"))) void copy_async(void *shared, const void *global,
                                                                 bool inside) {
  static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "what cp.async can copy");
  emu_copy_async(shared, global, BYTES, inside ? BYTES : 0, __builtin_return_address(0));
}
EMU_INLINE void copy_commit() { emu_copy_commit(); }
template <int NEWEST> inline void copy_wait() { emu_copy_wait(NEWEST); }
}  // namespace ptx
