// SPDX-License-Identifier: Apache-2.0
// The market demonstration and its program of one thread, run as their users would, on the same capture.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "child_run.hpp"

namespace sluice::bench {

class MarketRuns {
 public:
  // The recorded day if $MARKET_DATA names a directory that has it, else a simulated one. Files are kept
  // in a temporary directory as long as this object lives. Throws std::runtime_error if there is no capture.
  MarketRuns();
  ~MarketRuns();
  MarketRuns(const MarketRuns&) = delete;
  MarketRuns& operator=(const MarketRuns&) = delete;

  ChildRun pipeline(const std::vector<std::string>& options = {}) const;
  // The same while `sluice serve` shows it to an open page and is scraped each second; what they take is in its CPU time. Needs
  // curl.
  ChildRun looked_at(const std::vector<std::string>& options) const;
  ChildRun single_thread() const;
  // Which output differs between the last runs of both, byte by byte; empty when none does.
  std::string difference() const;
  const std::string& capture() const { return capture_; }  // For people.

 private:
  ChildRun run(std::vector<std::string> command, const std::string& out, const char* before_inputs) const;

  std::filesystem::path directory_;
  std::vector<std::string> inputs_;
  std::string capture_;
};

}  // namespace sluice::bench
