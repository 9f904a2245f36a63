// Atomics: no fiber is ever interrupted, so plain code is atomic. Never inlined: the address
// they return to tells where in the kernel they were called.
#pragma once

#define EMU_ATOMIC(name, expression)                                                       \
  template <class T, class U>                                                              \
  __attribute__((noinline, no_sanitize("thread"))) T name(T *address, U operand) {         \
    emu_atomic_access(address, sizeof(T), __builtin_return_address(0));                    \
    T old = *address, value = (T)operand;                                                  \
    *address = (expression);                                                               \
    return old;                                                                            \
  }
EMU_ATOMIC(atomicAdd, old + value)
EMU_ATOMIC(atomicSub, old - value)
EMU_ATOMIC(atomicMax, old > value ? old : value)
EMU_ATOMIC(atomicMin, old < value ? old : value)
EMU_ATOMIC(atomicExch, value)
EMU_ATOMIC(atomicAnd, old & value)
EMU_ATOMIC(atomicOr, old | value)
EMU_ATOMIC(atomicXor, old ^ value)
EMU_ATOMIC(atomicInc, old >= value ? T(0) : old + 1)

template <class T, class U, class V>
__attribute__((noinline, no_sanitize("thread"))) T atomicCAS(T *address, U expected, V value) {
  emu_atomic_access(address, sizeof(T), __builtin_return_address(0));
  T old = *address;
  if (old == (T)expected) *address = (T)value;
  return old;
}
