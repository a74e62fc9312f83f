// SPDX-License-Identifier: Apache-2.0
#include "master/observers.hpp"

#include <fmt/format.h>

#include "death/report_file.hpp"

namespace sluice::detail {

void Observers::begin() {
  if (wiring_.master().masters.load(std::memory_order_relaxed) == 0 && !socket_.trouble().empty())
    news_.not_observed(socket_.trouble());
  listen();
}

void Observers::listen() noexcept {
  due_.reset();
  if (socket_.open()) epoll_.add(socket_.fd(), kObserverEvent);
}

Ask Observers::answer() {
  constexpr auto kPause = std::chrono::milliseconds{10};
  const ObserverSocket::Answered answered = socket_.answer();
  if (answered.clients == ObserverSocket::kMostClients) {
    // A flood of them waits, and no other process does.
    epoll_.remove(socket_.fd());
    due_ = monotonic_now() + kPause;
  }
  if (answered.refused != 0) refuse(answered);
  return answered.asked;
}

void Observers::refuse(const ObserverSocket::Answered& answered) {
  // Those who are refused must not fill the disk: what is too soon for a line of its own is in the next one's
  // count.
  constexpr auto kBetweenLines = std::chrono::milliseconds{100};
  MasterRegister& own = wiring_.master();
  // relaxed: this process's own word, for people.
  const std::uint64_t refused =
      own.observers_refused.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(answered.refused);
  own.observers_refused.store(refused, std::memory_order_relaxed);
  if (monotonic_now() < next_refusal_) return;
  next_refusal_ = monotonic_now() + kBetweenLines;
  news_.observer_refused(answered.last_refused.uid, answered.last_refused.pid, refused);
  report_log_.append(fmt::format(R"({},"uid":{},"pid":{},"refused":{})",
                                 report_head("observer refused", wiring_.graph().name),
                                 answered.last_refused.uid, answered.last_refused.pid, refused));
}

}  // namespace sluice::detail
