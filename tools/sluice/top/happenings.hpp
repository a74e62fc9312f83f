// SPDX-License-Identifier: Apache-2.0
// What happened to a pipeline, newest last: what its reports (deaths.jsonl) say, and what only its counters say.
//
// Its counters know of deaths too, as where a report could not be written, or belongs to another user. Pure; one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/stats.hpp>

#include "report_line.hpp"

namespace sluice::command {

using WallTime = std::chrono::system_clock::time_point;

struct Happening {
  WallTime at;
  std::string worker;  // Empty for what is about none of them.
  std::string text;    // In words, in one line, fit to be shown.
  bool alarm = true;   // False for what was put right.
  bool death = false;
  bool counted = false;  // It is known by a counter alone: a report takes its place.
};

class Happenings {
 public:
  static constexpr std::size_t kMost = 200;

  // `now` and `wall`: when `stats` were taken, by both clocks.
  void look(const Stats& stats, std::chrono::nanoseconds now, WallTime wall);
  // Lines of deaths.jsonl. Those of another pipeline, and of an earlier life than the last look's, are left out.
  void add(const std::vector<std::string>& lines);

  const std::deque<Happening>& all() const noexcept { return all_; }
  // Of a death the words, of its last one; empty if nothing is known but what the counters say.
  std::string_view cause_of(std::string_view worker) const noexcept;

 private:
  struct Counted {
    std::uint32_t restarts = 0;
    std::uint64_t dead_letters = 0;
  };

  void add_report(const ReportLine& report);
  void insert(Happening happening);
  void look_at(const WorkerStats& worker, std::chrono::nanoseconds now, WallTime wall);
  void look_at_rest(const Stats& stats, WallTime wall);
  bool knows_death(std::string_view worker, WallTime at) const noexcept;

  std::deque<Happening> all_;
  bool looked_ = false;
  std::string pipeline_;
  WallTime started_;  // This life of it.
  std::map<std::string, Counted, std::less<>> counted_;
  std::uint32_t masters_ = 0;
  std::uint64_t problems_ = 0;
  std::uint64_t reports_lost_ = 0;
  std::uint64_t checkpoints_failed_ = 0;
  std::string state_;
};

// "crashed, signal 11 (Segmentation fault)", "threw: no such table". `signal`: 0 for none, `message`: may be empty.
std::string death_text(std::string_view cause, int signal, std::string_view message);
// When the master learned of its last one, on CLOCK_MONOTONIC; 0 if it did not.
std::chrono::nanoseconds last_death_of(const WorkerStats& worker);

}  // namespace sluice::command
