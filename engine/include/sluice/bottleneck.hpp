// SPDX-License-Identifier: Apache-2.0
// Which stage blocks the rest of a pipeline, from two looks at it.
//
//     const Stats before = engine.stats();
//     ... some seconds ...
//     std::puts(bottleneck_text(before, engine.stats()).c_str());
//     // "book is the bottleneck: 98 % busy, parse waits 71 % for it"
//
// Pure: any thread, at any time. Between the looks the watchdog must have looked often enough (watchdog.tick): some seconds
// are right with the usual settings. Where the workers outnumber the processors, a wait for one counts as busy, and the
// stage that is named may only lack a processor.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <sluice/stats.hpp>

namespace sluice {

enum class BottleneckReason {
  busy,       // The stage is at work all the time.
  outside,    // The stage waits until the outside is there again.
  absent,     // The stage has no process at work most of the time: it dies again and again, or starts slowly.
  not_taken,  // The host does not take from the outlet what is there.
  stopped,    // Somebody has stopped a worker that has something to do, by a signal or a debugger.
};
// "busy", "outside", "absent", "not taken", "stopped".
std::string_view name_of(BottleneckReason reason) noexcept;

struct Bottleneck {  // The stage or outlet that blocks the rest, and why.
  std::string name;  // Of the stage; of the outlet for `not_taken`.
  BottleneckReason reason = BottleneckReason::busy;
  // Of the time between the looks, 0 to 1, of its busiest worker; how long those in front of an outlet, or of a worker
  // that is stopped, wait for room.
  double share = 0;
  std::string text;  // As above.
};

// `before` and `now` are of one life of one pipeline; with an empty `before` it is the time since its start. Nothing when no
// stage holds the others up: the host or the sources give less than the stages could take, or the watchdog has not looked
// in between. A source that is at work all the time is named like any other stage.
std::optional<Bottleneck> bottleneck_of(const Stats& before, const Stats& now);

// The same in words, and why there is none: "no bottleneck: the stages wait for input".
std::string bottleneck_text(const Stats& before, const Stats& now);

}  // namespace sluice
