// SPDX-License-Identifier: Apache-2.0
#include "own_master.hpp"

#include <fstream>
#include <string>
#include <sys/types.h>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>

#include "apart.hpp"

namespace sluice::detail {
namespace {

// By a signal. A debugger that holds it is its user's business.
bool is_stopped(pid_t process) {
  std::ifstream file{fmt::format("/proc/{}/stat", process)};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  // Behind the name, which may have anything in it.
  const std::size_t name_end = text.rfind(')');
  return name_end != std::string::npos && text.compare(name_end, 3, ") T") == 0;
}

}  // namespace

void OwnMaster::require_at_work(const Engine& engine) {
  constexpr std::chrono::milliseconds kBetweenLooks{500};
  const auto now = monotonic_now();
  if (now < next_look_) return;
  next_look_ = now + kBetweenLooks;
  const pid_t master = engine.stats().master;
  if (master <= 0 || !is_stopped(master)) return stopped_since_.reset();
  if (!stopped_since_) stopped_since_ = now;
  if (now - *stopped_since_ < kLongestSilence) return;
  throw Error{{"go on with", "a partition that makes no checkpoints",
               fmt::format("somebody has stopped its master, the process {}", master),
               "it is started again; let nobody stop processes of a cluster's host"}};
}

}  // namespace sluice::detail
