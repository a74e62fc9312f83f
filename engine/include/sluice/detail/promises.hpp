// SPDX-License-Identifier: Apache-2.0
// Promises: what a connector asks before it begins, so that settings and handlers with which it could not keep what it
// promises are refused at the start.
//
// In the constructor of a handler, but for the last two.
#pragma once

#include <string>

#include <sluice/error.hpp>
#include <sluice/worker.hpp>

namespace sluice::detail {

// Whether a start that goes back to a checkpoint may find outside what this worker has told since: there are checkpoints,
// and its stage does not wait for them (outside.after=commit).
bool outside_may_be_ahead(const Worker& worker) noexcept;

// The worker does not start, for that reason, if its handler takes spans: which is known once it is made.
void refuse_spans(const Worker& worker, Error why);

// Throws Error if a lane out of the worker drops events when it is full (lane.full=drop_newest): `source` tells senders
// that it has what it hands on.
void refuse_lanes_that_drop(const Worker& worker, const std::string& source);

// Whether an event is in the handler. None is in its constructor and in an action of when_idle().
bool is_in_event(const Worker& worker) noexcept;
// What is to be outside without one: it would be of no event, and so be lost or be there twice when the worker dies.
[[noreturn]] void refuse_without_event(const std::string& object);

}  // namespace sluice::detail
