// The runtime's own picture of a launch: threads are fibers, grouped in warps and blocks.
#pragma once
#include <string.h>

#include <memory>
#include <string>
#include <vector>

#include "abi.h"

struct Block;
using ProgramCounter = const void *;

// ---- fiber.cpp: one stack per CUDA thread, switched by hand -------------------------------
struct Context;
Context *new_context();
void prepare(Context *context, void (*entry)());  // the next switch_to starts at `entry`
void switch_to(Context *context);                 // from the scheduler into a fiber
void switch_back();                               // from the running fiber to the scheduler
bool on_stack(const Context *context, const char *address);

// ---- what a thread waits for --------------------------------------------------------------
enum class State { running, waiting, done };

// A cp.async that was issued and not waited for.
struct Copy {
  char *to;
  const char *from;
  size_t bytes, source_bytes;  // what lies between is filled with zeros
  ProgramCounter issued_at;
  uint64_t group;
};

struct Fiber : EmuThread {
  Context *context = nullptr;
  State state = State::running;
  Block *home = nullptr;
  const uint64_t *counter = nullptr;  // waits while *counter == seen
  uint64_t seen = 0;
  const char *reason = "";
  bool at_grid_sync = false;
  bool yielding = false;
  std::vector<Copy> copies;   // in the order of issue
  uint64_t copy_group = 0;    // that the next copy joins
};

// Lanes of one warp that meet in a *_sync call. Two tables, so that a fast lane may already
// publish its next value while a slow one still reads the last.
struct Rendezvous {
  unsigned mask = 0, arrived = 0;
  uint64_t generation = 0;
  EmuSite site = {nullptr, 0};
  char table[2][32][EMU_EXCHANGE_BYTES];
};

struct Warp {
  std::vector<std::unique_ptr<Rendezvous>> meetings;
  uint64_t epoch = 0;  // changes at each __syncwarp
  unsigned alive = 0;
};

// ---- what the memory checks remember of one element -----------------------------------------
enum WriteKind : uint8_t { none, plain, atomic, pending };  // pending: a copy is on its way
enum Readers : uint8_t { nobody, one, many };

struct Mark {          // who, and when
  uint64_t epoch = 0;  // of the block: since its last barrier
  uint64_t warp_epoch = 0;
  unsigned block = 0;
  int thread = 0;
};

struct Cell {
  Mark write, read;
  WriteKind written = none;
  Readers readers = nobody;
};

struct Block {
  unsigned id = 0, size = 0, alive = 0, arrived = 0;
  int votes = 0, votes_result = 0;  // __syncthreads_count
  uint64_t generation = 0;          // barriers passed
  uint64_t epoch = 0;               // unique over all blocks: what lies between two barriers
  EmuSite barrier = {nullptr, 0};
  bool finished = false;
  std::vector<Fiber *> fibers;
  std::vector<Warp> warps;
  std::vector<char> dynamic_shared;
  std::vector<char> static_bytes;  // what waits here while another block runs
  std::vector<Cell> static_cells, dynamic_cells;
};

struct Grid {
  EmuLaunch shape;
  void (*kernel)(void *);
  void *context;
  bool aborted;
  unsigned alive, arrived;  // threads, for grid.sync()
  uint64_t generation;      // grid barriers passed
  uint64_t fence;           // epochs below it lie before the last grid barrier
  std::vector<Block> blocks;
};

extern Grid grid;
extern Fiber *running;

// ---- errors.cpp: what the launch did wrong ------------------------------------------------
void clear_errors();
int error_count();
void report(const std::string &message);
void report_at(EmuSite site, const std::string &message);
void fail(EmuSite site, const char *format, ...);  // ends the running thread
void fail_at(ProgramCounter at, const char *format, ...);
void abort_launch();

// ---- memory.cpp: bounds, alignment, initialisation and races ------------------------------
void find_module(const void *kernel_address);  // its code, tables and static shared memory
void start_checks(bool check);
size_t static_shared_bytes();
void expect_copy(const Copy &copy);  // from now on nobody may touch where it goes
void land_copy(const Copy &copy);
void enter_block(Block &block, bool first_time);
void leave_block(Block &block);
uint64_t next_epoch();  // never the same twice, always increasing
