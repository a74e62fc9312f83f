// SPDX-License-Identifier: Apache-2.0
// The pipelines whose workers the suite `recovery` kills.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>

#include <sluice/sluice.hpp>

namespace sluice::bench {

// Settings under which a worker may die as often as a suite likes; reports go to a directory that is removed
// at the end.
class PatientSettings {
 public:
  explicit PatientSettings(const std::string& huge = "auto");
  ~PatientSettings();
  PatientSettings(const PatientSettings&) = delete;
  PatientSettings& operator=(const PatientSettings&) = delete;
  const Settings& value() const noexcept { return settings_; }

 private:
  std::string directory_;
  Settings settings_;
};

// feed -> touch. A source numbers events; the worker `touch/0` changes a row of its state for each.
class Touched {
 public:
  // `huge` is memory.huge. What is put into huge pages behind the start is, once the state is filled.
  Touched(std::uint64_t state_bytes, const std::string& huge);

  // Until every row that the events name has been inserted, and changed once more, and the pages are as they stay.
  bool await_touched(std::chrono::nanoseconds limit);
  // Sends the signal; the time just before it.
  std::chrono::nanoseconds kill(int signal = SIGKILL);
  // Until a process that was born after `killed` has begun an event.
  std::optional<LifeStats> await_successor(std::chrono::nanoseconds killed, std::chrono::nanoseconds limit);

  double rate_over(std::chrono::nanoseconds time);
  struct Rate {
    double events_a_second;
    std::chrono::nanoseconds window;
    std::chrono::nanoseconds limit;
  };
  // The end of the first window in which at least so many events were handled.
  std::optional<std::chrono::nanoseconds> await_rate(const Rate& wanted);

  // Drains it. Empty, or what does not add up: each event must have been handled once.
  std::string end();

 private:
  std::uint64_t handled() const;

  PatientSettings settings_;
  std::uint64_t keys_;
  Engine engine_;
};

// Two sources on a unit each that push to nobody: one is killed, the other must not notice.
class Neighbours {
 public:
  Neighbours();
  std::uint64_t bystanders_events() const;
  bool kill();

 private:
  PatientSettings settings_;
  Engine engine_;
};

}  // namespace sluice::bench
