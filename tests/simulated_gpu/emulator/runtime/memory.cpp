// Memory checks. g++ -fsanitize=thread calls a __tsan_* hook before each load and store; these
// are ours, not the sanitizer's. Beside every element of an array lies a Cell that remembers
// who last wrote and read it, and between which barriers.
#include <link.h>
#include <string.h>

#include <algorithm>

#include "runtime.h"

struct Region {
  char *begin = nullptr, *end = nullptr;
  size_t granularity = 1;
  std::string name;
  bool is_shared = false, read_only = false;
  std::vector<Cell> cells;

  bool contains(const char *address) const { return address >= begin && address < end; }
  size_t cell_count() const { return (end - begin + granularity - 1) / granularity; }
  void forget() { cells.assign(cell_count(), Cell()); }
};

extern uintptr_t module_base;
static uintptr_t module_end;
static std::vector<Region> arrays;
static Region static_shared, dynamic_shared;
static bool checking;
static uint64_t last_epoch = 0;

uint64_t next_epoch() { return ++last_epoch; }
size_t static_shared_bytes() { return static_shared.end - static_shared.begin; }

// ---- races --------------------------------------------------------------------------------
static Mark mark_now() {
  const Block &block = *running->home;
  return {block.epoch, block.warps[running->warp].epoch, block.id, running->linear};
}

// May `past` and `now` happen in either order?
static bool unordered(const Mark &past, const Mark &now, const Region &region) {
  if (past.epoch < grid.fence) return false;
  if (past.block != now.block) return !region.is_shared;
  if (past.thread == now.thread || past.epoch != now.epoch) return false;
  bool same_warp = past.thread / 32 == now.thread / 32;
  return !(same_warp && past.warp_epoch != now.warp_epoch);
}

static void note_read(Cell &cell, const Mark &now) {
  bool again = cell.readers != nobody && cell.read.epoch == now.epoch;
  if (again && cell.readers == many) return;
  bool other_warp = again && cell.read.thread / 32 != now.thread / 32;
  cell.readers = other_warp ? many : one;
  if (!other_warp) cell.read = now;
}

static bool read_conflicts(const Cell &cell, const Mark &now, const Region &region) {
  if (cell.readers == nobody) return false;
  if (cell.readers == many && cell.read.epoch == now.epoch) return true;
  return unordered(cell.read, now, region);
}

static void fail_race(ProgramCounter at, const Region &region, size_t index, const char *doing,
                      const char *done, const Mark &past) {
  fail_at(at, "race on %s[%zu]: %s by this thread, %s by block %u thread %d, no barrier between",
          region.name.c_str(), index, doing, done, past.block, past.thread);
}

static void touch(Region &region, size_t index, bool writes, bool is_atomic, ProgramCounter at) {
  Cell &cell = region.cells[index];
  const Mark now = mark_now();
  const char *doing = is_atomic ? "atomic" : writes ? "write" : "read";
  if (cell.written == pending)
    fail_at(at, "%s of %s+%zu bytes, which a cp.async of thread %d may still be filling: wait first",
            doing, region.name.c_str(), index * region.granularity, cell.write.thread);
  bool both_atomic = is_atomic && cell.written == atomic;
  if (cell.written != none && !both_atomic && unordered(cell.write, now, region))
    fail_race(at, region, index, doing, cell.written == atomic ? "atomic" : "write", cell.write);
  if (writes && !is_atomic && read_conflicts(cell, now, region))
    fail_race(at, region, index, doing, "read", cell.read);
  if (region.is_shared && !writes && cell.written == none)
    fail_at(at, "read of uninitialised shared memory: %s+%zu bytes", region.name.c_str(),
            index * region.granularity);
  if (writes) {
    cell.write = now;
    cell.written = is_atomic ? atomic : plain;
  } else {
    note_read(cell, now);
  }
}

// ---- one access ---------------------------------------------------------------------------
static Region *region_of(const char *address) {
  if (static_shared.contains(address)) return &static_shared;
  if (dynamic_shared.contains(address)) return &dynamic_shared;
  for (Region &region : arrays)
    if (region.contains(address)) return &region;
  return nullptr;
}

// The fiber's own stack, threadIdx and its friends, constant tables: not ours to check.
static bool is_private(const char *address) {
  const char *self = (const char *)running;
  const bool is_self = address >= self && address < self + sizeof(Fiber);
  return is_self || on_stack(running->context, address) || address == (const char *)&emu_current;
}

static bool is_static_table(const char *address) {
  return (uintptr_t)address >= module_base && (uintptr_t)address < module_end;
}

static size_t distance(const Region &region, const char *address) {
  return address < region.begin ? region.begin - address : address - region.end;
}

static void fail_out_of_bounds(const char *address, size_t bytes, const char *verb,
                               ProgramCounter at) {
  const size_t near = 1 << 16;  // the gap the caller leaves between two arrays
  const Region *nearest = nullptr;
  for (const Region &region : arrays)
    if (distance(region, address) < near &&
        (!nearest || distance(region, address) < distance(*nearest, address)))
      nearest = &region;
  if (!nearest) fail_at(at, "out of bounds %s of %zu bytes at %p", verb, bytes, address);
  ptrdiff_t size = nearest->granularity;
  fail_at(at, "out of bounds %s of %zu bytes: %s, element %td of %td", verb, bytes,
          nearest->name.c_str(), (address - nearest->begin) / size,
          (nearest->end - nearest->begin) / size);
}

static void access(char *address, size_t bytes, bool writes, bool is_atomic, bool aligned,
                   ProgramCounter at) {
  if (!running || !checking || is_private(address)) return;
  const char *verb = writes ? "write" : "read";
  Region *region = region_of(address);
  if (!region) {
    if (is_static_table(address)) return;
    fail_out_of_bounds(address, bytes, verb, at);
  }
  const char *name = region->name.c_str();
  if (address + bytes > region->end)
    fail_at(at, "out of bounds %s of %zu bytes: %s, crosses its end", verb, bytes, name);
  if (writes && region->read_only) fail_at(at, "write to %s, which is const", name);
  if (aligned && (uintptr_t)address % bytes)
    fail_at(at, "misaligned %zu-byte access: %s+%td bytes", bytes, name, address - region->begin);
  size_t first = (address - region->begin) / region->granularity;
  size_t last = (address + bytes - 1 - region->begin) / region->granularity;
  for (size_t i = first; i <= last; i++) touch(*region, i, writes, is_atomic, at);
}

#define CALLER __builtin_return_address(0)
#define HOOKS(size)                                                                      \
  void __tsan_read##size(void *p) { access((char *)p, size, 0, 0, 1, CALLER); }            \
  void __tsan_write##size(void *p) { access((char *)p, size, 1, 0, 1, CALLER); }           \
  void __tsan_unaligned_read##size(void *p) { access((char *)p, size, 0, 0, 0, CALLER); }  \
  void __tsan_unaligned_write##size(void *p) { access((char *)p, size, 1, 0, 0, CALLER); } \
  void __tsan_volatile_read##size(void *p) { access((char *)p, size, 0, 1, 1, CALLER); }   \
  void __tsan_volatile_write##size(void *p) { access((char *)p, size, 1, 1, 1, CALLER); }

extern "C" {
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __tsan_read_range(void *p, size_t size) { access((char *)p, size, 0, 0, 0, CALLER); }
void __tsan_write_range(void *p, size_t size) { access((char *)p, size, 1, 0, 0, CALLER); }
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void **, void *) {}

// Called from the shim's atomics: one frame up lies the kernel.
void emu_atomic_access(void *address, size_t bytes, ProgramCounter at) {
  access((char *)address, bytes, true, true, true, at);
}

// Called for reads that the shim does on behalf of the kernel.
void emu_watched_read(const void *address, size_t bytes, ProgramCounter at) {
  access((char *)address, bytes, false, false, true, at);
}

// The arrays a launch may touch. `granularity`: bytes of one element.
void emu_add_array(void *address, size_t bytes, size_t granularity, const char *name,
                   int read_only) {
  Region region;
  region.begin = (char *)address;
  region.end = region.begin + bytes;
  region.granularity = granularity;
  region.name = name;
  region.read_only = read_only;
  arrays.push_back(region);
}

void emu_clear() {
  arrays.clear();
  clear_errors();
}
}

// ---- asynchronous copies ------------------------------------------------------------------
// Between issue and wait the bytes may arrive at any moment: the place counts as written from the
// issue on (a race with whoever still reads it), and as unreadable until they are waited for.
const int POISON = 0xFF;  // NaN as float, -1 as int

static void set_kind(const Copy &copy, WriteKind kind) {
  Region *region = region_of(copy.to);
  const size_t first = (copy.to - region->begin) / region->granularity;
  for (size_t i = 0; i < copy.bytes / region->granularity; i++)
    region->cells[first + i].written = kind;
}

void expect_copy(const Copy &copy) {
  const Region *region = region_of(copy.to);
  if (!region || !region->is_shared)
    fail_at(copy.issued_at, "cp.async copies to shared memory only");
  access(copy.to, copy.bytes, true, false, true, copy.issued_at);
  if (copy.source_bytes)
    access((char *)copy.from, copy.source_bytes, false, false, true, copy.issued_at);
  memset(copy.to, POISON, copy.bytes);
  if (checking) set_kind(copy, pending);
}

void land_copy(const Copy &copy) {
  if (checking) set_kind(copy, plain);
  access(copy.to, copy.bytes, true, false, true, copy.issued_at);
  memset(copy.to, 0, copy.bytes);
  memcpy(copy.to, copy.from, copy.source_bytes);
}

// ---- static and dynamic shared memory -----------------------------------------------------
// __shared__ variables are thread-local ones of the module, so that they lie together: its TLS
// segment is the static shared memory of the block that runs now.
static int find_segment(dl_phdr_info *info, size_t, void *wanted) {
  uintptr_t low = UINTPTR_MAX, high = 0;
  const ElfW(Phdr) *tls = nullptr;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto &header = info->dlpi_phdr[i];
    if (header.p_type == PT_TLS) tls = &header;
    if (header.p_type != PT_LOAD) continue;
    low = std::min<uintptr_t>(low, info->dlpi_addr + header.p_vaddr);
    high = std::max<uintptr_t>(high, info->dlpi_addr + header.p_vaddr + header.p_memsz);
  }
  if ((uintptr_t)wanted < low || (uintptr_t)wanted >= high) return 0;
  module_base = info->dlpi_addr;
  module_end = high;
  static_shared.begin = tls ? (char *)info->dlpi_tls_data : nullptr;
  static_shared.end = tls ? static_shared.begin + tls->p_memsz : nullptr;
  return 1;
}

void find_module(const void *kernel_address) {
  dl_iterate_phdr(find_segment, const_cast<void *>(kernel_address));
}

void start_checks(bool check) {
  checking = check;
  for (Region *region : {&static_shared, &dynamic_shared}) {
    region->granularity = 2;
    region->is_shared = true;
  }
  static_shared.name = "__shared__";
  dynamic_shared.name = "dynamic __shared__";
  if (checking)
    for (Region &region : arrays) region.forget();
}

static void first_visit(Block &block) {
  if (static_shared.begin) memset(static_shared.begin, POISON, static_shared_bytes());
  block.dynamic_shared.assign(grid.shape.dynamic_shared + 16, (char)POISON);
}

void enter_block(Block &block, bool first_time) {
  if (first_time) first_visit(block);
  char *raw = block.dynamic_shared.data();
  dynamic_shared.begin = raw + (-(uintptr_t)raw & 15);
  dynamic_shared.end = dynamic_shared.begin + grid.shape.dynamic_shared;
  for (Fiber *fiber : block.fibers) fiber->dynamic_shared = dynamic_shared.begin;
  if (first_time) {
    if (checking) static_shared.forget(), dynamic_shared.forget();
    return;
  }
  if (static_shared.begin)
    memcpy(static_shared.begin, block.static_bytes.data(), static_shared_bytes());
  static_shared.cells.swap(block.static_cells);
  dynamic_shared.cells.swap(block.dynamic_cells);
}

void leave_block(Block &block) {
  block.static_bytes.assign(static_shared.begin, static_shared.end);
  static_shared.cells.swap(block.static_cells);
  dynamic_shared.cells.swap(block.dynamic_cells);
}
