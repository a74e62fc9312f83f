// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include <sluice/detail/promises.hpp>

#include "worker/worker_loop.hpp"

namespace sluice::detail {

bool WorkerLoop::drops() const noexcept {
  const auto& lanes = memory_.layout().lanes_out;
  return std::any_of(lanes.begin(), lanes.end(), [this](LaneIndex lane) {
    return wiring_.settings(wiring_.edge(wiring_.layout().lanes[lane]).to).full == FullPolicy::drop_newest;
  });
}

bool outside_may_be_ahead(const Worker& worker) noexcept {
  return WorkerLoop::of(WorkerAccess::services(worker)).outside_may_be_ahead();
}

void refuse_spans(const Worker& worker, Error why) {
  WorkerLoop::of(WorkerAccess::services(worker)).refuse_spans(std::move(why));
}

void refuse_lanes_that_drop(const Worker& worker, const std::string& source) {
  if (!WorkerLoop::of(WorkerAccess::services(worker)).drops()) return;
  throw Error{{"start the source", worker.stage(),
               source +
                   " tells senders that it has what it hands on, and a stage behind it drops what is too "
                   "much for it (lane.full=drop_newest)",
               "set lane.full=block for the stages behind it, or have nothing acknowledged"}};
}

bool is_in_event(const Worker& worker) noexcept {
  return WorkerLoop::of(WorkerAccess::services(worker)).in_event();
}

void refuse_without_event(const std::string& object) {
  throw Error{
      {"have an effect in", object,
       "no event is in the handler, so that nothing would know whether it came about when the worker dies",
       "have effects where an event is handled: for what is due by the clock let a TimerSource make events"}};
}

}  // namespace sluice::detail
