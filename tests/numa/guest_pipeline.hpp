// SPDX-License-Identifier: Apache-2.0
// A pipeline that runs in the virtual machine, and the checks that hold for every one: granted equals
// planned, for every process and every page.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sluice/sluice.hpp>

#include "guest_machine.hpp"
#include "guest_report.hpp"
#include "pipelines.hpp"

namespace sluice::test {

// Generous: an emulated machine is a hundred times slower.
inline constexpr std::chrono::seconds kGuestDeadline{90};

bool eventually(const std::function<bool()>& done, std::chrono::nanoseconds deadline = kGuestDeadline);

// Of small lanes, so that every page of them can be looked at; else what a user gets.
Settings guest_settings();

// "in" -> parse -> count -> "out", with as many workers.
Pipeline parse_and_count(const std::string& name, unsigned parsers, unsigned counters);

class Running {
 public:
  // Starts it, and lets events through.
  Running(Report& report, const Pipeline& pipeline, const Settings& settings = guest_settings());

  Engine& engine() { return engine_; }
  std::vector<WorkerStats> workers() const;
  WorkerStats worker(const std::string& name) const;
  // The units that the workers may use, as the kernel says, all of them together.
  CpuSet used() const;
  // Pushes that many events and pulls what becomes of them; whether all came.
  bool pass(std::uint32_t count);

  // Each worker has a CPU of its own that is planned for it, in all its threads, and takes private memory
  // from there.
  void check_processes(const Machine& machine);
  // Each page of a region is where its worker's memory is, each page of a lane where its reader's is.
  void check_pages(const Machine& machine);
  // Whether that holds for what one worker reads. Looks at each page.
  bool has_pages_in_place(const Machine& machine, const std::string& reader) const;
  // Somebody else moves it away.
  bool move_pages(const std::string& reader, int node);
  // No two workers on one core.
  void check_cores(const Machine& machine);
  // Closes it: every event has come out.
  void end();
  // Where the memory of a process is to be.
  int memory_node_of(const Machine& machine, const std::string& process) const;

 private:
  Report& report_;
  Engine engine_;
  std::optional<Inlet<Item>> in_;
  std::optional<Outlet<Counted>> out_;
  std::uint32_t pushed_ = 0;
  std::uint32_t pulled_ = 0;
};

}  // namespace sluice::test
