// SPDX-License-Identifier: Apache-2.0
// Wide workers: a handler without state, run by several threads of one worker at once.
//
//     #include <sluice/wide.hpp>            // and link sluice::wide
//
//     class Parse {
//      public:
//       void operator()(const Line& line, sluice::Output<Trade>& out) const;
//     };
//     lines.to<sluice::Wide<Parse>>("parse", {.workers = 2, .threads = 4});
//
// Each worker has a place of `.threads` processing units under one cache or node, as far as the machine has them, and one
// object of the handler. What is there, up to `batch.events`, is handled by the threads of a oneTBB arena that keeps to those
// units; what the handler pushes is handed out in the order of the input, event by event, as if one thread had handled them.
//
// What the handler is must allow that: its operator() is const, takes one event (a record, too) and may run in several threads
// at the same time; it has no Worker, no state and no last word. A buffer that each thread reuses is `thread_local`. An output
// that it is given belongs to the call.
//
// Nothing of a batch has effect before it is committed, whenever and wherever the worker dies. An event that kills it, or that
// throws, is found as in a span (handler.hpp): the batch is handed out again in halves. A thread that handles its event for
// longer than watchdog.deadline, while no other goes on, is a stall.
//
// With one thread there is no arena: the worker runs like any other. So it is where its place has one unit, where the control
// group pays for less than two cores (oneTBB does not look), in run_inline, and for batches too short to be worth it.
#pragma once

#include <sluice/detail/wide_runner.hpp>

namespace sluice {

// Names the handler H in Stream::to().
template <class H>
class Wide {};

}  // namespace sluice
