// cp.async: what each thread has issued, in groups, and what it has waited for.
#include <algorithm>

#include "runtime.h"

extern "C" {
void emu_copy_async(void *shared, const void *global, size_t bytes, size_t source_bytes,
                    ProgramCounter at) {
  const Copy copy = {(char *)shared, (const char *)global,  bytes,
                     source_bytes,   at, running->copy_group};
  expect_copy(copy);
  running->copies.push_back(copy);
}

void emu_copy_commit() { running->copy_group++; }

void emu_copy_wait(int newest) {
  std::vector<Copy> later;
  for (const Copy &copy : running->copies) {
    if (copy.group + newest < running->copy_group) land_copy(copy);
    else later.push_back(copy);
  }
  running->copies = later;
}
}
