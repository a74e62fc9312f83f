// SPDX-License-Identifier: Apache-2.0
// The autopsy: what is known of how a worker died, read from its region before the replacement writes over
// it, and whether the event in its handler is to blame.
//
// Used by the master, for a worker whose death is confirmed. Nothing that the dead wrote is believed beyond
// what the kernel says: it decides who is to blame, never whether a process lives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "death/death.hpp"
#include "death/memory_events.hpp"
#include "layout/wiring.hpp"
#include "master/child.hpp"

namespace sluice::detail {

struct Autopsy {
  Death death;
  pid_t pid = 0;
  std::uint32_t incarnation = 0;
  std::optional<EventName> event;  // In its handler when it died.
  std::uint32_t span = 1;          // How many it had from that one on.
  std::uint32_t attempts = 0;      // How often that event has killed; 0 when no event is to blame.
  bool cuts_span = false;          // One of a span is to blame, which is cut in halves,
  bool cuts_anew = false;          // and no other has been cut before.
  std::string message;
  std::vector<std::uintptr_t> frames;
  bool was_ready = false;  // Its handler was constructed.
  bool achieved = false;   // It had committed something, or waited.
};

// Why it died. `status` is absent for a process that was no child of this master. Counts kills in the child.
Death find_cause(const Wiring& wiring, Child& child, const std::optional<WaitStatus>& status,
                 MemoryEvents& memory_events);

// The rest. Counts the attempt against the event in the worker's entry, where the replacement looks for
// events that it must not handle (poison.cpp).
Autopsy examine(const Wiring& wiring, const Child& child, const Death& death);

// The name of an event of the worker for a report, as JSON: its id as a text, or null for none.
std::string event_text(const Wiring& wiring, WorkerIndex worker, const std::optional<EventName>& event);

// The fields of its report, as JSON.
std::string fields_of(const Wiring& wiring, WorkerIndex worker, const Autopsy& autopsy);

}  // namespace sluice::detail
