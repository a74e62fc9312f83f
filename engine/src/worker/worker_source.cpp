// SPDX-License-Identifier: Apache-2.0
// How the worker loop serves a source beyond calling it: when its batch ends, and how it waits.
#include <algorithm>
#include <poll.h>
#include <string>

#include <sluice/error.hpp>

#include "worker/own_bell.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {

bool WorkerLoop::asked_to_end() const noexcept {
  return drain_asked(wiring_.requests(), master_) || host_gone(master_);
}

// Known once the input has ended: how a neighbour came to its end is seen with the end of its lane.
bool WorkerLoop::interrupted() const noexcept {
  if (node_.kind == NodeKind::source) return cut_short_;
  for (std::size_t i = 0; i < in_.size(); ++i) {
    if (!is_worker(in_[i].from)) continue;
    // relaxed: the end of its lane was read with acquire, and is stored behind it.
    const ProcessMemory before = wiring_.process(in_[i].from);
    if (before.cursors()[kFinished].load(std::memory_order_relaxed) == kCutShort) return true;
  }
  return false;
}

// What is there goes, and what a source will have next is not known: so the first event goes alone, and each batch may
// be twice as large as the last one, for as long as the source is quick.
std::uint64_t WorkerLoop::calls_at_most() const noexcept {
  if (one_by_one_ != 0) return 1;
  return linger_.count() == 0 ? std::min(source_pace_, batch_events_) : batch_events_;
}

void WorkerLoop::note_pace(bool slow) noexcept {
  source_pace_ = slow ? 1 : std::min(2 * source_pace_, batch_events_);
}

std::int64_t WorkerLoop::may_last_until(std::int64_t until_ns) noexcept {
  // relaxed: a claim for the watchdog, which looks again and again.
  std::atomic<std::int64_t>& own = memory_.control().outside.until_ns;
  const std::int64_t before_ns = own.load(std::memory_order_relaxed);
  own.store(until_ns, std::memory_order_relaxed);
  return before_ns;
}

namespace {

// What poll() says of it: 0 for nothing yet.
int events_of(int fd) noexcept {
  pollfd entry{fd, POLLIN, 0};
  return fd >= 0 && ::poll(&entry, 1, 0) > 0 ? entry.revents : 0;
}

}  // namespace

void refuse_closed(int fd, const std::string& stage) {
  throw Error{{"wait for the descriptor", std::to_string(fd) + " in stage " + stage, "it is not open",
               "a descriptor that the host has opened is named in StageOptions::descriptors"}};
}

// As far as the last call tells. Not asked again of a source that has never waited.
bool WorkerLoop::next_call_waits() const noexcept {
  return waited_for_ && events_of(*waited_for_) == 0;
}

bool WorkerLoop::wait_for(int fd, std::chrono::nanoseconds limit) {
  // A stage with flushes is never committed in the midst of an event, and a source's call is one. What earlier calls made
  // does not wait for it either: the call that would wait is sent back, and the next one waits.
  if (!has_flushes()) {
    publish_before_event();
  } else if (node_.kind == NodeKind::source && limit.count() > 0) {
    waited_for_ = fd;
    if (work_.events_before() != committed_in_) {
      work_.note_look();
      const int events = events_of(fd);
      if ((events & POLLNVAL) != 0) refuse_closed(fd, node_.name);
      return events != 0;
    }
  }
  const std::int64_t until_ns = ns_after(std::max(limit, std::chrono::nanoseconds{0}));
  const std::int64_t before_ns = may_last_until(until_ns);
  set_activity(ipc::Activity::idle);
  source_pace_ = 1;
  int events =
      0;  // Its end and an error, POLLHUP and POLLERR, are found by who reads; POLLNVAL nobody could.
  pollfd entries[] = {{wiring_.bell(index_).fd(), POLLIN, 0}, {fd, POLLIN, 0}};
  const bool source = node_.kind == NodeKind::source;
  while (events == 0 && !tellings_.due() && !(source && (asked_to_stand() || asked_to_end()))) {
    // A stage that waits in the midst of an event, as for room: what it waits for may be this checkpoint.
    if (asked_to_stand()) {
      stand_still();
      set_activity(ipc::Activity::idle);
      continue;
    }
    const std::int64_t left = std::max<std::int64_t>(until_ns - monotonic_now().count(), 0);
    constexpr std::int64_t kSecond = 1'000'000'000;
    const timespec timeout{left / kSecond, left % kSecond};
    entries[0].revents = entries[1].revents = 0;
    if (::ppoll(entries, fd < 0 ? 1 : 2, &timeout, nullptr) == 0) break;
    if ((entries[0].revents & POLLNVAL) != 0) check_own_bell(wiring_, index_);
    events = entries[1].revents;
    // It rings when the pipeline is drained or parked, and for what is of no interest here.
    if (entries[0].revents != 0) wiring_.bell(index_).wait(std::chrono::nanoseconds{0});
  }
  set_activity(ipc::Activity::busy);
  may_last_until(before_ns);
  tellings_.tell();
  work_.note_look();
  if ((events & POLLNVAL) != 0) refuse_closed(fd, node_.name);
  return events != 0;
}

}  // namespace sluice::detail
