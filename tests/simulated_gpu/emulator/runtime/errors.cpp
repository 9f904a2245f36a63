// Error messages. Each is "address|message": the Python side turns a code address (0: none)
// into a source line.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime.h"

static std::vector<std::string> errors;
uintptr_t module_base = 0;

static std::string who() {
  if (!running) return "";
  const EmuThread &t = *running;
  char text[120];
  snprintf(text, sizeof text, " [block (%u,%u,%u) thread (%u,%u,%u)]", t.block.x, t.block.y,
           t.block.z, t.thread.x, t.thread.y, t.thread.z);
  return text;
}

static std::string formatted(const char *format, va_list arguments) {
  char text[600];
  vsnprintf(text, sizeof text, format, arguments);
  return text;
}

static void add(ProgramCounter at, const std::string &message) {
  char address[32] = "0";
  if (at)  // a return address: one byte back lies in the call itself
    snprintf(address, sizeof address, "%#zx", (uintptr_t)at - module_base - 1);
  errors.push_back(std::string(address) + "|" + message);
}

void clear_errors() { errors.clear(); }
int error_count() { return (int)errors.size(); }

void report(const std::string &message) {
  add(nullptr, message + who());
  grid.aborted = true;
}

void report_at(EmuSite site, const std::string &message) {
  const char *slash = strrchr(site.file, '/');
  std::string name = slash ? slash + 1 : site.file;
  add(nullptr, message + who() + " at " + name + ":" + std::to_string(site.line));
  grid.aborted = true;
}

// The thread leaves for good; its stack is reused by the next launch.
void abort_launch() {
  grid.aborted = true;
  running->state = State::done;
  switch_back();
}

void fail(EmuSite site, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  report_at(site, formatted(format, arguments));
  va_end(arguments);
  abort_launch();
}

void fail_at(ProgramCounter at, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  add(at, formatted(format, arguments) + who());
  va_end(arguments);
  abort_launch();
}

extern "C" void emu_errors(char *text, size_t capacity) {
  std::string all;
  for (const std::string &error : errors) all += error + "\n";
  snprintf(text, capacity, "%s", all.c_str());
}
