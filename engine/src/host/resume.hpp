// SPDX-License-Identifier: Apache-2.0
// What a start does with a segment that it has taken over from a life whose processes are all dead.
#pragma once

#include <string>

#include "layout/wiring.hpp"

namespace sluice::detail {

// Clears what belonged to those processes: pids, sleepers, verdicts, the requests to stop and to park, the outcome.
// Cursors, commit records, undo logs, state, lanes and counts stay: each process recovers its own region as
// it always does. A drain stays asked for: sources may have ended because of it. For the host, before its
// first fork, while it may write everything; can be repeated.
void forget_processes(const Wiring& wiring);

// Draws the number of the run for its events' ids and the seed for the hash of the tables' keys, unless the segment has them.
// As above.
void draw_run(const Wiring& wiring);
// The seed alone: without processes there is no run.
void draw_hash_seed(const Wiring& wiring);
// Of a segment that is gone on with `from` somewhere: throws Error when these are not what was drawn.
void refuse_damaged_numbers(const Wiring& wiring, const std::string& from);
// At each start: a number for this life of the run, higher than that of any life that it goes on from.
void begin_life(const Wiring& wiring);

// Nothing was ever committed or pushed: a start from nothing would do the same.
bool is_untouched(const Wiring& wiring);

// The host has consumed every event of its outlets.
bool all_pulled(const Wiring& wiring);

}  // namespace sluice::detail
