// SPDX-License-Identifier: Apache-2.0
// How the worker loop times some of its events: those that the producer of their lane has stamped, and some calls of a
// source. The setting latency.sample says how many.
//
// A batch is cut at a stamped event: those before it are handled as ever, and it alone between two looks at the clock. The
// runners know nothing of it: they handle what the loop's look has found.
#include <algorithm>

#include <sluice/ipc/framing.hpp>

#include "worker/worker_loop.hpp"

namespace sluice::detail {
namespace {

// How many events, up to `most`, begin before `position`. Their lengths are the other side's, and the walk ends where they
// make no sense: the runner says what is wrong there.
std::uint64_t events_before(const InLane& input, std::uint64_t position, std::uint64_t most) noexcept {
  const std::uint64_t bytes = position - input.lane.next();
  if (input.event_bytes != 0) return std::min(most, bytes / input.event_bytes);
  ipc::LaneConsumer ahead = input.lane;
  std::uint64_t events = 0;
  while (events < most && ahead.next() - input.lane.next() < bytes && ahead.readable() != 0) {
    const std::span<const std::byte> payload = ipc::peek_record(ahead);
    if (payload.data() == nullptr) break;
    ahead.advance(ipc::record_stride(payload.size()));
    ++events;
  }
  return events;
}

}  // namespace

// As Runner::consume().
std::uint64_t WorkerLoop::consume_stamped(InLane& input, std::uint32_t lane, std::uint64_t limit) {
  const bool spans = takes_spans_;
  std::uint64_t handled = 0;
  while (handled < limit && (handled == 0 || (!spans && input.lane.knows_more() && work_.batch_goes_on()))) {
    const std::uint64_t readable = input.lane.readable();
    if (readable == 0) break;
    const std::uint64_t most = limit - handled;
    const Stamp stamp =
        input.comes_to_stamp() ? input.stamps->first_in(input.lane.next(), readable) : Stamp{};
    const bool stamped = stamp.time_ns != 0;
    const std::uint64_t before = stamped ? events_before(input, stamp.position, most) : most;
    // A span is one call of the handler, whichever of its events is stamped.
    const bool timed = stamped && (spans ? before < most : before == 0);
    std::uint64_t calls_for = most;
    if (!spans && timed) calls_for = 1;
    if (!spans && before != 0) calls_for = before;
    const std::chrono::nanoseconds begun = timed ? begin_timing() : std::chrono::nanoseconds{0};
    const std::uint64_t consumed = runner_->consume(input.lane, lane, calls_for, work_);
    if (timed) end_timing(begun, consumed, stamp);
    handled += consumed;
    if (consumed == 0) break;
  }
  return handled;
}

// As Runner::produce(), up to the next call that is timed, or that one alone.
Produced WorkerLoop::produce_timed(const SourceCalls& limits) {
  SourceCalls some = limits;
  if (calls_until_timed_ == 0) {
    some.most = 1;
    const std::chrono::nanoseconds begun = begin_timing();
    const Produced made = runner_->produce(some, work_);
    end_timing(begun, made.calls, {});
    if (made.calls != 0) calls_until_timed_ = sample_ - 1;
    return made;
  }
  some.most = std::min(limits.most, calls_until_timed_);
  const Produced made = runner_->produce(some, work_);
  calls_until_timed_ -= made.calls;
  return made;
}

std::chrono::nanoseconds WorkerLoop::begin_timing() noexcept {
  timing_ = true;
  held_up_ = std::chrono::nanoseconds{0};
  return monotonic_now();
}

// `stamp`: as the event's producer says; of a source, an empty one. What did nothing is not counted.
void WorkerLoop::end_timing(std::chrono::nanoseconds begun, std::uint64_t handled,
                            const Stamp& stamp) noexcept {
  timing_ = false;
  if (handled == 0) return;
  Latencies& latencies = memory_.latencies();
  latencies.handler.add((monotonic_now() - begun - held_up_).count());
  // The other side's word: one from the future says nothing.
  if (stamp.time_ns <= 0 || stamp.time_ns > begun.count()) return;
  latencies.lane.add(begun.count() - stamp.time_ns);
  if (stamp.born_ns <= 0 || stamp.born_ns > stamp.time_ns) return;
  out_.hand_on(stamp.born_ns);
  if (come_through_ < born_ns_.size()) born_ns_[come_through_++] = stamp.born_ns;
}

// The batch is committed, and what its flush has done outside is done.
void WorkerLoop::time_the_whole_way() noexcept {
  const std::int64_t now_ns = monotonic_now().count();
  for (; come_through_ != 0; --come_through_)
    memory_.latencies().end_to_end.add(now_ns - born_ns_[come_through_ - 1]);
}

}  // namespace sluice::detail
