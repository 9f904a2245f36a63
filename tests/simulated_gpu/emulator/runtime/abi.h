// The contract between the runtime (runtime/*.cpp, one shared library) and the shim
// (include/cuda_shim.h, compiled into every emulated kernel).
#pragma once
#include <stddef.h>
#include <stdint.h>

struct EmuIndex {
  unsigned x, y, z;
};

// What a CUDA thread knows about itself: threadIdx, blockIdx, blockDim, gridDim, ...
struct EmuThread {
  EmuIndex thread, block, block_size, grid_size;
  int linear, lane, warp;  // position within the block
  char *dynamic_shared;
};

struct EmuLaunch {
  EmuIndex grid, block;
  size_t dynamic_shared;
  int cooperative;
  int check;  // watch every memory access
  int order;  // 0: in order, 1: reversed, >= 2: seed of a random order
};

// Where in the CUDA source a synchronising call stands. As a default argument, here() is the
// line of the call.
struct EmuSite {
  const char *file;
  int line;
  static constexpr EmuSite here(const char *file = __builtin_FILE(),
                                int line = __builtin_LINE()) {
    return {file, line};
  }
};

const size_t EMU_EXCHANGE_BYTES = 64;  // what one lane may publish to its warp

extern "C" {
extern EmuThread *emu_current;
char *emu_dynamic_shared(EmuSite site);
void emu_syncthreads(EmuSite site);
int emu_syncthreads_count(int predicate, EmuSite site);
void emu_grid_sync(EmuSite site);
void emu_yield();
// Each lane of `mask` publishes `bytes`; returns a table of 32 rows of EMU_EXCHANGE_BYTES.
const char *emu_warp_exchange(unsigned mask, const void *data, size_t bytes, bool is_barrier,
                              EmuSite site);
unsigned emu_active_mask();
void emu_atomic_access(void *address, size_t bytes, const void *program_counter);
void emu_watched_read(const void *address, size_t bytes, const void *program_counter);
// cp.async: the copy is done by the wait for its group, not before.
void emu_copy_async(void *shared, const void *global, size_t bytes, size_t source_bytes,
                    const void *program_counter);
void emu_copy_commit();
void emu_copy_wait(int newest);  // for all groups but this many, the newest
void emu_trap(const char *what, EmuSite site);
int emu_launch(void (*kernel)(void *), void *context, const void *kernel_address,
               const EmuLaunch *launch);
}
