// Stacks and the switch between them. On x86-64 a dozen instructions by hand, because
// swapcontext() makes a system call each time and a kernel switches a million times.
#include <sys/mman.h>

#include "runtime.h"

static const size_t STACK_BYTES = 256 << 10;
static const size_t SPARE_BYTES = 64;  // keeps the first frame aligned, and off the very top

static char *new_stack() {
  return (char *)mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

#ifdef __x86_64__

struct Context {
  char *stack;
  void *pointer;  // the stack pointer while it is not running
};
static void *scheduler;
static Context *active;

// Saves the registers a callee must keep and the stack pointer, then restores the other's.
extern "C" void emu_switch(void **save, void *load);
asm(R"(
.text
.globl emu_switch
.hidden emu_switch
.type emu_switch, @function
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

void prepare(Context *context, void (*entry)()) {
  void **top = (void **)(context->stack + STACK_BYTES - SPARE_BYTES);
  *--top = nullptr;        // entry() never returns
  *--top = (void *)entry;  // where `ret` goes
  for (int i = 0; i < 6; i++) *--top = nullptr;  // the six saved registers
  context->pointer = top;
}

void switch_to(Context *context) {
  active = context;
  emu_switch(&scheduler, context->pointer);
}

void switch_back() { emu_switch(&active->pointer, scheduler); }

#else
#include <ucontext.h>

struct Context {
  char *stack;
  ucontext_t state;
};
static ucontext_t scheduler;
static Context *active;

void prepare(Context *context, void (*entry)()) {
  getcontext(&context->state);
  context->state.uc_stack.ss_sp = context->stack;
  context->state.uc_stack.ss_size = STACK_BYTES;
  context->state.uc_link = nullptr;
  makecontext(&context->state, entry, 0);
}

void switch_to(Context *context) {
  active = context;
  swapcontext(&scheduler, &context->state);
}

void switch_back() { swapcontext(&active->state, &scheduler); }
#endif

Context *new_context() {
  Context *context = new Context;
  context->stack = new_stack();
  return context;
}

bool on_stack(const Context *context, const char *address) {
  return address >= context->stack && address < context->stack + STACK_BYTES;
}
