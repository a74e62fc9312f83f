// SPDX-License-Identifier: Apache-2.0
// How the master answers observers, and what it says of those it refuses.

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "master/master.hpp"

namespace sluice::detail {

void Master::answer_observers() {
  constexpr auto kPause = std::chrono::milliseconds{10};
  const ObserverSocket::Answered answered = observer_socket_.answer();
  if (answered.clients == ObserverSocket::kMostClients) {
    // Whoever floods it waits, and nobody else does.
    listen_for_observers(false);
    observers_due_ = monotonic_now() + kPause;
  }
  if (answered.refused != 0) refuse(answered);
}

void Master::refuse(const ObserverSocket::Answered& answered) {
  // Who is refused must not fill the disk: what is too soon for a line of its own is in the next one's count.
  constexpr auto kBetweenLines = std::chrono::milliseconds{100};
  MasterRegister& own = wiring_.master();
  // relaxed: this process's own word, for people.
  const std::uint64_t refused =
      own.observers_refused.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(answered.refused);
  own.observers_refused.store(refused, std::memory_order_relaxed);
  if (monotonic_now() < next_refusal_) return;
  next_refusal_ = monotonic_now() + kBetweenLines;
  const std::string fields = fmt::format(
      R"("report":"observer refused","time":"{:%FT%TZ}","uid":{},"pid":{},"refused":{})",
      fmt::gmtime(std::time(nullptr)), answered.last_refused.uid, answered.last_refused.pid, refused);
  coroner_.examine({.fields_json = fields}, report_path_);
}

}  // namespace sluice::detail
