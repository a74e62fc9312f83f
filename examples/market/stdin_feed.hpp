// SPDX-License-Identifier: Apache-2.0
// Standard input as the source of the market demonstration: the host reads it and pushes its lines.
//
// A pipe cannot be read twice, so no worker may own it; the host does, in the thread that waits for the
// engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <sluice/sluice.hpp>

#include "market/capture_file.hpp"
#include "market/capture_line.hpp"
#include "market/events.hpp"

namespace market {

class StdinFeed {
 public:
  // After the engine's start.
  StdinFeed(sluice::Engine& engine, std::uint64_t max_line_bytes);

  // Pushes what is there, for at most some milliseconds; closes the inlets at the end of the input.
  void feed();
  // Why the input broke off; empty when it did not.
  const std::string& failure() const noexcept { return failure_; }

 private:
  bool push(const Line& line);
  void close();

  sluice::Inlet<LineRecord> lines_;
  sluice::Inlet<RowRecord> rows_;
  std::uint64_t max_line_bytes_;
  std::optional<CaptureFile> capture_;  // Once there is something to read: to open one reads.
  std::optional<CaptureFormat> format_;
  std::string failure_;
  bool open_ = true;
};

}  // namespace market
