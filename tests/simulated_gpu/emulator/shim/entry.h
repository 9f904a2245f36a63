// How Python calls a kernel: an array of pointers to its arguments, as in cuLaunchKernel, and a
// signature to check them against first.
#pragma once

namespace emu {

// 'f' float (of 16 bits: a class), 'i' integer, 'p' pointer, 'c' pointer to const
template <class T> struct Kind { static constexpr char letter = __is_class(T) ? 'f' : 'i'; };
template <> struct Kind<float> { static constexpr char letter = 'f'; };
template <> struct Kind<double> { static constexpr char letter = 'f'; };
template <class T> struct Kind<T *> { static constexpr char letter = 'p'; };
template <class T> struct Kind<const T *> { static constexpr char letter = 'c'; };

template <int...> struct Indices {};
template <int n, int... rest> struct Count : Count<n - 1, n - 1, rest...> {};
template <int... all> struct Count<0, all...> { typedef Indices<all...> type; };

template <class... T> struct Call {
  void (*kernel)(T...);
  void **arguments;

  template <int... i>
  __attribute__((no_sanitize("thread"))) void run(Indices<i...>) const {
    kernel(*(T *)arguments[i]...);
  }
  __attribute__((no_sanitize("thread"))) static void start(void *self) {
    ((const Call *)self)->run(typename Count<sizeof...(T)>::type());
  }
};

template <class... T>
int launch(void (*kernel)(T...), void **arguments, const EmuLaunch *shape) {
  Call<T...> call = {kernel, arguments};
  return emu_launch(Call<T...>::start, &call, (const void *)kernel, shape);
}

// Writes (letter, size) of each argument and returns their number.
template <class... T>
int signature(void (*)(T...), char *out) {
  const char letters[] = {Kind<T>::letter..., 0};
  const char sizes[] = {(char)sizeof(T)..., 0};
  for (size_t i = 0; i < sizeof...(T); i++) {
    out[2 * i] = letters[i];
    out[2 * i + 1] = sizes[i];
  }
  return sizeof...(T);
}
}  // namespace emu

// The dynamic loader makes a thread's copy of the shared variables at their first use.
extern "C" __attribute__((unused)) void *emu_touch_shared() {
  static thread_local char first;
  return &(first = 0);
}
