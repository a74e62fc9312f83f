// SPDX-License-Identifier: Apache-2.0
// The pipelines that `sluice serve` tells of: those that were named, or all of this user's that run at the moment.
//
// Nothing is done between two requests. A pipeline is attached to once, its numbers are then read from its segment; each
// request connects to its socket to see that it lives, which costs its master some microseconds. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <sluice/observer.hpp>

#include "observer/rates.hpp"
#include "serve/metrics_text.hpp"

namespace sluice::command {

// What a live page is told of a pipeline.
struct LivePipeline {
  std::string name;     // No two have the same.
  std::string json;     // As `sluice stats --json` has it.
  std::string reports;  // The directory of its reports and dead letters.
  std::uint64_t dead_letters = 0;
};

class WatchedPipelines {
 public:
  // Names as Observer::attach() takes them; none: all that run.
  explicit WatchedPipelines(std::vector<std::string> names) : names_{std::move(names)} {}

  // What runs now. Waits for a pipeline that does not answer for a fifth of the time at most.
  std::vector<Exposed> look();
  // The same for live pages, with all that can be told of each; bottlenecks are judged as for look(). What costs more,
  // lanes and what the kernel says of processes, is as it was at the last call with `whole`, if this is none.
  std::vector<LivePipeline> live(bool whole);
  // Looks at those that were there, for the rates: some dozen times a second while there are live pages. Makes no system
  // call. Whether a process has died or come, a letter was written, or a pipeline is over.
  bool glance();
  bool all() const noexcept { return names_.empty(); }
  // By the names that they had: those that were named and do not run, and those that were told of until they failed, or all
  // that led them was killed. One that came to its end and was not named is not missed.
  std::set<std::string> down() const;
  // Of those that were named, which ones do not run.
  const std::vector<std::string>& missing() const noexcept { return missing_; }
  // Why those that live and are not told of cannot be looked at, with their names: another version runs them.
  const std::vector<std::string>& refusals() const noexcept { return refusals_; }

 private:
  // By their sockets.
  std::vector<std::string> sockets();
  struct Look {
    std::chrono::nanoseconds at{0};
    Stats stats;
  };
  struct Watched {
    Observer observer;
    std::string name{};         // As it is told of, for as long as it runs: no two have the same.
    std::vector<Look> looks{};  // The oldest first; of those before the window of bottlenecks, one.
    detail::Rates rates{std::chrono::seconds{2}};  // So that two looks that live() takes are in it.
    std::uint64_t happened = 0;                    // Counts what glance() tells of.
    Snapshot last{};
  };
  struct Refusal {
    std::chrono::nanoseconds until{0};  // It is not asked again before.
    std::string why{};
  };
  static Exposed exposed(Watched& watched);
  static LivePipeline live_of(Watched& watched, bool whole);
  // What bottlenecks are judged against; keeps `stats` for later.
  static Stats judged_against(Watched& watched, const Stats& stats, std::chrono::nanoseconds now);
  // Those that are there now; the others are missing().
  std::vector<Watched*> present();
  // Gives those a name that have none. Who has one keeps it, whoever comes later.
  void name_all(const std::vector<Watched*>& seen);
  void forget(const std::string& socket);
  // Gives nothing for one that does not answer.
  Watched* attached(const std::string& socket);

  std::vector<std::string> names_;
  std::vector<std::string> missing_;
  std::vector<std::string> refusals_;
  std::map<std::string, Refusal> refused_;  // By their sockets, as the next.
  std::map<std::string, Watched> watched_;
  std::map<std::string, std::string> said_as_;  // Sockets, and by which of names_ they were found.
  std::map<std::string, std::string>
      told_as_;                 // Each of names_, and the name of the last that was found by it.
  std::set<std::string> died_;  // Names of those that did not come to an end of their own.
};

}  // namespace sluice::command
