// Warp-wide calls: the lanes meet in emu_warp_exchange and read one another's values.
// The last argument is never given: as a default it names the line of the kernel that calls.
#pragma once

template <class T>
EMU_INLINE T emu_shuffle(unsigned mask, T value, int source, int width, EmuSite site) {
  static_assert(sizeof(T) <= EMU_EXCHANGE_BYTES, "too large to shuffle");
  const char *table = emu_warp_exchange(mask, &value, sizeof value, false, site);
  const int lane = emu_current->lane;
  bool same_group = source >= 0 && source < 32 && source / width == lane / width;
  if (!same_group) return value;
  if (!(mask >> source & 1)) emu_trap("shuffle reads a lane outside its mask", site);
  memcpy(&value, table + source * EMU_EXCHANGE_BYTES, sizeof value);
  return value;
}

template <class T>
EMU_INLINE T __shfl_sync(unsigned mask, T value, int source, int width = 32,
                         EmuSite site = EmuSite::here()) {
  int group = emu_current->lane / width * width;
  return emu_shuffle(mask, value, group + (source & (width - 1)), width, site);
}
template <class T>
EMU_INLINE T __shfl_xor_sync(unsigned mask, T value, int flip, int width = 32,
                             EmuSite site = EmuSite::here()) {
  return emu_shuffle(mask, value, emu_current->lane ^ flip, width, site);
}
template <class T>
EMU_INLINE T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                              EmuSite site = EmuSite::here()) {
  return emu_shuffle(mask, value, emu_current->lane + (int)delta, width, site);
}
template <class T>
EMU_INLINE T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                            EmuSite site = EmuSite::here()) {
  return emu_shuffle(mask, value, emu_current->lane - (int)delta, width, site);
}

EMU_INLINE unsigned __ballot_sync(unsigned mask, int predicate, EmuSite site = EmuSite::here()) {
  const char *table = emu_warp_exchange(mask, &predicate, sizeof predicate, false, site);
  unsigned votes = 0;
  for (int lane = 0; lane < 32; lane++) {
    int vote;
    memcpy(&vote, table + lane * EMU_EXCHANGE_BYTES, sizeof vote);
    if ((mask >> lane & 1) && vote) votes |= 1u << lane;
  }
  return votes;
}
EMU_INLINE int __any_sync(unsigned mask, int predicate, EmuSite site = EmuSite::here()) {
  return __ballot_sync(mask, predicate, site) != 0;
}
EMU_INLINE int __all_sync(unsigned mask, int predicate, EmuSite site = EmuSite::here()) {
  return __ballot_sync(mask, predicate, site) == mask;
}

EMU_INLINE unsigned __activemask() { return emu_active_mask(); }
EMU_INLINE void __syncwarp(unsigned mask = ~0u, EmuSite site = EmuSite::here()) {
  const char nothing = 0;
  if (mask == ~0u) mask = emu_active_mask();
  emu_warp_exchange(mask, &nothing, 1, true, site);
}

EMU_INLINE void __threadfence() {}
EMU_INLINE void __threadfence_block() {}
EMU_INLINE void __threadfence_system() {}
EMU_INLINE void __nanosleep(unsigned) { emu_yield(); }

namespace cooperative_groups {
struct grid_group {
  static void sync(EmuSite site = EmuSite::here()) { emu_grid_sync(site); }
};
inline grid_group this_grid() { return grid_group(); }
}  // namespace cooperative_groups
