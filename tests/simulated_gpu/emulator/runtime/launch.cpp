// The scheduler: blocks run one after another (all at once in a cooperative launch), and within
// a block each thread runs until it waits for others. Deterministic for a given `order`.
#include <algorithm>
#include <map>
#include <random>

#include "runtime.h"

Grid grid;
Fiber *running = nullptr;
EmuThread *emu_current = nullptr;
static std::vector<Fiber *> idle_fibers;

// ---- waiting ------------------------------------------------------------------------------
static void wait_while(const uint64_t *counter, uint64_t seen, const char *reason) {
  running->counter = counter;
  running->seen = seen;
  running->reason = reason;
  running->state = State::waiting;
  switch_back();
}

static void open_barrier(Block &block) {
  block.arrived = 0;
  block.generation++;
  block.epoch = next_epoch();
  block.votes_result = block.votes;
  block.votes = 0;
}

static void open_grid_barrier() {
  grid.arrived = 0;
  grid.generation++;
  grid.fence = next_epoch();
  for (Block &block : grid.blocks) block.epoch = next_epoch();
}

// ---- what kernels call --------------------------------------------------------------------
static bool same_place(EmuSite a, EmuSite b) {
  return a.line == b.line && std::string(a.file) == b.file;
}

static Rendezvous &meeting_of(Warp &warp, unsigned mask) {
  for (auto &meeting : warp.meetings)
    if (meeting->mask == mask) return *meeting;
  warp.meetings.emplace_back(new Rendezvous);
  warp.meetings.back()->mask = mask;
  return *warp.meetings.back();
}

extern "C" {
char *emu_dynamic_shared(EmuSite) { return emu_current ? emu_current->dynamic_shared : nullptr; }
unsigned emu_active_mask() { return running->home->warps[running->warp].alive; }
void emu_trap(const char *what, EmuSite site) { fail(site, "%s", what); }

void emu_syncthreads(EmuSite site) {
  Block &block = *running->home;
  if (block.arrived == 0) block.barrier = site;
  if (!same_place(block.barrier, site))
    fail(site, "divergent __syncthreads: other threads of the block wait at line %d",
         block.barrier.line);
  uint64_t seen = block.generation;
  if (++block.arrived == block.alive) open_barrier(block);
  wait_while(&block.generation, seen, "__syncthreads");
}

int emu_syncthreads_count(int predicate, EmuSite site) {
  running->home->votes += predicate != 0;
  emu_syncthreads(site);
  return running->home->votes_result;
}

void emu_grid_sync(EmuSite site) {
  if (!grid.shape.cooperative) fail(site, "grid sync in a launch that is not cooperative");
  uint64_t seen = grid.generation;
  running->at_grid_sync = true;
  if (++grid.arrived == grid.alive) open_grid_barrier();
  wait_while(&grid.generation, seen, "grid sync");
  running->at_grid_sync = false;
}

// Lets the others run once: for loops that wait for another block by reading memory.
void emu_yield() {
  static const uint64_t always = 1;
  running->yielding = true;
  wait_while(&always, 0, "a spin loop");
}

const char *emu_warp_exchange(unsigned mask, const void *data, size_t bytes, bool is_barrier,
                              EmuSite site) {
  Warp &warp = running->home->warps[running->warp];
  if (!(mask >> running->lane & 1))
    fail(site, "lane %d calls a *_sync whose mask %08x leaves it out", running->lane, mask);
  if (mask & ~warp.alive)
    fail(site, "*_sync mask %08x names lanes that exited or do not exist (alive: %08x)", mask,
         warp.alive);
  Rendezvous &meeting = meeting_of(warp, mask);
  uint64_t seen = meeting.generation;
  meeting.site = site;
  auto *table = meeting.table[seen & 1];
  memcpy(table[running->lane], data, bytes);
  meeting.arrived |= 1u << running->lane;
  if (meeting.arrived == mask) {
    meeting.arrived = 0;
    meeting.generation++;
    if (is_barrier) warp.epoch = next_epoch();
  }
  wait_while(&meeting.generation, seen, "a warp *_sync");
  return table[0];
}
}

// ---- a thread's life ----------------------------------------------------------------------
// Those who wait for this thread need not do so any longer, or do so in vain.
static void leave(Fiber &fiber) {
  Block &block = *fiber.home;
  Warp &warp = block.warps[fiber.warp];
  unsigned lane = 1u << fiber.lane;
  warp.alive &= ~lane;
  if (--block.alive && block.arrived == block.alive) open_barrier(block);
  if (--grid.alive && grid.arrived == grid.alive) open_grid_barrier();
  for (auto &meeting : warp.meetings)
    if (meeting->arrived && (meeting->mask & lane))
      report_at(meeting->site, "thread exited while lanes of its warp wait for it in a *_sync");
}

static void thread_main() {
  grid.kernel(grid.context);
  running->state = State::done;
  leave(*running);
  switch_back();
}

static Fiber *new_fiber() {
  Context *context;
  if (idle_fibers.empty()) {
    context = new_context();
  } else {
    context = idle_fibers.back()->context;
    delete idle_fibers.back();
    idle_fibers.pop_back();
  }
  Fiber *fiber = new Fiber;
  fiber->context = context;
  prepare(context, thread_main);
  return fiber;
}

static void resume(Fiber *fiber) {
  running = fiber;
  emu_current = fiber;
  fiber->state = State::running;
  fiber->yielding = false;
  switch_to(fiber->context);
  running = nullptr;
}

// ---- a block's life -----------------------------------------------------------------------
static EmuIndex unravel(unsigned linear, EmuIndex size) {
  return {linear % size.x, linear / size.x % size.y, linear / (size.x * size.y)};
}

static void fill_block(Block &block, unsigned id) {
  const EmuIndex size = grid.shape.block;
  block.id = id;
  block.size = block.alive = size.x * size.y * size.z;
  block.epoch = next_epoch();
  block.warps = std::vector<Warp>((block.size + 31) / 32);
  for (unsigned i = 0; i < block.size; i++) {
    Fiber *fiber = new_fiber();
    fiber->home = &block;
    fiber->linear = i;
    fiber->lane = i % 32;
    fiber->warp = i / 32;
    fiber->thread = unravel(i, size);
    fiber->block = unravel(id, grid.shape.grid);
    fiber->block_size = size;
    fiber->grid_size = grid.shape.grid;
    block.warps[fiber->warp].alive |= 1u << fiber->lane;
    block.fibers.push_back(fiber);
  }
}

static void empty_block(Block &block) {
  idle_fibers.insert(idle_fibers.end(), block.fibers.begin(), block.fibers.end());
  block.fibers.clear();
}

template <class T>
static std::vector<T> in_launch_order(std::vector<T> items) {
  if (grid.shape.order == 1) std::reverse(items.begin(), items.end());
  if (grid.shape.order >= 2)
    std::shuffle(items.begin(), items.end(), std::mt19937(grid.shape.order));
  return items;
}

static void report_deadlock(const Block &block) {
  std::map<std::string, int> waiting;
  for (Fiber *fiber : block.fibers)
    if (fiber->state == State::waiting) waiting[fiber->reason]++;
  std::string message = "deadlock in block " + std::to_string(block.id) + ":";
  for (auto &entry : waiting)
    message += " " + std::to_string(entry.second) + " threads in " + entry.first;
  report(message);
}

// Runs until every thread is done (true), or until all that live wait for other blocks (false).
static bool run_block(Block &block) {
  const std::vector<Fiber *> order = in_launch_order(block.fibers);
  for (;;) {
    bool progress = false;
    for (Fiber *fiber : order) {
      bool stuck = fiber->state == State::waiting && *fiber->counter == fiber->seen;
      if (fiber->state == State::done || stuck) continue;
      resume(fiber);
      if (grid.aborted) return true;
      progress |= !fiber->yielding;
    }
    if (block.alive == 0) return true;
    if (progress) continue;
    if (!grid.shape.cooperative) report_deadlock(block);
    return grid.aborted;
  }
}

// ---- a launch -----------------------------------------------------------------------------
static void run_blocks_in_turn(unsigned count) {
  std::vector<unsigned> ids(count);
  for (unsigned i = 0; i < count; i++) ids[i] = i;
  const unsigned threads = grid.shape.block.x * grid.shape.block.y * grid.shape.block.z;
  for (unsigned id : in_launch_order(ids)) {
    Block block;
    fill_block(block, id);
    grid.alive = threads;
    enter_block(block, true);
    run_block(block);
    empty_block(block);
    if (grid.aborted) return;
  }
}

// One round lets each block run until it waits for the others.
static void run_round(const std::vector<unsigned> &ids, bool first_time) {
  for (unsigned id : ids) {
    Block &block = grid.blocks[id];
    if (block.finished) continue;
    enter_block(block, first_time);
    block.finished = run_block(block);
    leave_block(block);
    if (grid.aborted) return;
  }
}

static void run_blocks_together(unsigned count) {
  const int patience = 100000;  // rounds without a barrier or a finished block
  grid.blocks = std::vector<Block>(count);
  grid.alive = 0;
  std::vector<unsigned> ids(count);
  for (unsigned i = 0; i < count; i++) {
    ids[i] = i;
    fill_block(grid.blocks[i], i);
    grid.alive += grid.blocks[i].size;
  }
  ids = in_launch_order(ids);
  int idle = 0;
  for (bool first = true; grid.alive && !grid.aborted; first = false) {
    uint64_t generation = grid.generation;
    unsigned alive = grid.alive;
    run_round(ids, first);
    idle = generation == grid.generation && alive == grid.alive ? idle + 1 : 0;
    if (idle > patience) report("deadlock of the whole grid");
  }
  for (Block &block : grid.blocks) empty_block(block);
  grid.blocks.clear();
}

static void check_shape(const EmuLaunch &launch) {
  const EmuIndex g = launch.grid, b = launch.block;
  const size_t threads = size_t(b.x) * b.y * b.z, blocks = size_t(g.x) * g.y * g.z;
  if (!threads || !blocks || threads > 1024 || b.z > 64 || g.y > 65535 || g.z > 65535)
    report("invalid launch: grid and block must be positive, block <= 1024 threads");
  if (static_shared_bytes() > 48 * 1024 + 64)
    report(std::to_string(static_shared_bytes()) + " bytes of static shared memory: over 48 KiB");
  if (launch.dynamic_shared > 227 * 1024) report("dynamic shared memory is over 227 KiB");
}

extern "C" int emu_launch(void (*kernel)(void *), void *context, const void *kernel_address,
                          const EmuLaunch *launch) {
  clear_errors();
  grid = Grid();
  grid.shape = *launch;
  grid.kernel = kernel;
  grid.context = context;
  grid.fence = next_epoch();
  find_module(kernel_address);
  check_shape(*launch);
  if (grid.aborted) return error_count();
  start_checks(launch->check);
  const unsigned blocks = launch->grid.x * launch->grid.y * launch->grid.z;
  launch->cooperative ? run_blocks_together(blocks) : run_blocks_in_turn(blocks);
  emu_current = nullptr;
  return error_count();
}
