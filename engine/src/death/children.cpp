// SPDX-License-Identifier: Apache-2.0
#include "death/children.hpp"

#include <algorithm>
#include <cstdio>
#include <pthread.h>
#include <unistd.h>

namespace sluice::detail {
namespace {

constexpr int kExitChild = 1;

// Of this process, for ever: fork() calls back without an argument.
ipc::Segment* own_segment = nullptr;
std::size_t own_region = 0;
char text[320];
std::size_t text_bytes = 0;

// Runs in the child, before fork() returns there. What it shares with the worker stays readable. vfork(), posix_spawn() and
// system() do not come here: such a child has the worker's own memory until it is another program.
void become_a_reader() {
  try {
    own_segment->own_nothing();
  } catch (...) {
    end_child();
  }
}

}  // namespace

void keep_children_out(ipc::Segment& segment, std::size_t region, std::string_view pipeline,
                       std::string_view worker) noexcept {
  static const HomeProcess here;
  home_of_worker = &here;
  own_segment = &segment;
  own_region = region;
  const int length = std::snprintf(text, sizeof(text),
                                   "sluice: %.*s: a child that the handler of %.*s forked went on as if it "
                                   "were the worker, and ends here: let children end "
                                   "by _exit() or exec()\n",
                                   static_cast<int>(pipeline.size()), pipeline.data(),
                                   static_cast<int>(worker.size()), worker.data());
  text_bytes = std::min(sizeof(text) - 1, static_cast<std::size_t>(std::max(length, 0)));
  if (::pthread_atfork(nullptr, nullptr, become_a_reader) != 0) ::_exit(kExitChild);
}

bool is_workers_own(const void* address) noexcept {
  return own_segment->holds(own_region, address);
}

void end_child() noexcept {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, text_bytes);
  ::_exit(kExitChild);
}

}  // namespace sluice::detail
