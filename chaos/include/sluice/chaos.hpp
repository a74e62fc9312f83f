// SPDX-License-Identifier: Apache-2.0
// Chaos: hurts the processes of running pipelines, at the times that a ChaosSchedule sets, to see that
// nothing comes of it. Behind `sluice chaos` and the option --chaos of every Sluice program.
//
// It works from outside, by signals: kills any process of a pipeline, stalls workers, stops and continues
// processes. Never the program itself, never a process that is no pipeline's. A master and its supervisor can
// replace each other, so they are killed too, but only while both are there, and not again until the one that was
// killed is dead, and for a second behind that: the pipeline does not promise to outlive the death of both at once.
// Used by one thread, of the process below which the pipelines run: its descendants are looked at, nothing else.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include <sluice/chaos_schedule.hpp>

namespace sluice {

// What was done to one process.
struct Injury {
  std::chrono::nanoseconds at{0};  // On the monotonic clock.
  Harm harm = Harm::kill;
  std::string kind;  // "worker", "standby", "dumper", "newborn", "master" or "supervisor".
  std::string name;  // "parse/0".
  pid_t pid = 0;
  std::chrono::nanoseconds pause{0};  // Of a stop.
};

class Chaos {
 public:
  // From now on; hurts nothing by itself. Rates are 0 to kMostHarm a second.
  explicit Chaos(const ChaosOptions& options);
  ~Chaos();  // Continues the processes that it stopped.
  Chaos(const Chaos&) = delete;
  Chaos& operator=(const Chaos&) = delete;

  // Carries out the hits that are due, and continues the processes whose stop is over. To be called some
  // times a second at least, or when time_to_next() is over. Does not block; takes about a millisecond when a
  // hit is due. Forks, for a stop. Throws Error where the kernel does not tell whose children processes are.
  void tick();

  // Until tick() has something to do, at most an hour.
  std::chrono::nanoseconds time_to_next() const;

  // Continues every process that was stopped, before its time.
  void continue_all() noexcept;

  // How often it was done so far, to any process.
  std::uint64_t count(Harm harm) const;

  // "12 kills (worker 9, standby 3), 1 stall (worker 1), 0 stops; 2 more found no process to hurt".
  std::string summary() const;

  // The last 1,000 injuries, the oldest first.
  const std::deque<Injury>& last() const noexcept;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Sends `signal`, which may be 0 for none, to every living descendant of this process, of a pipeline or not;
// what they are: "31 parse/0 (state S)". Throws Error where the kernel does not tell whose children processes
// are.
std::vector<std::string> signal_descendants(int signal);

}  // namespace sluice
