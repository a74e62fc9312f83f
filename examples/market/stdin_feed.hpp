// SPDX-License-Identifier: Apache-2.0
// Standard input and pipes as the source of the market demonstration: the host reads them, one after the
// other, and pushes their lines.
//
// A pipe cannot be read twice, so no worker may own it; the host does, in the thread that waits for the
// engine. It may pause for as long as it likes.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sluice/connect/line_reader.hpp>
#include <sluice/sluice.hpp>

#include "market/capture_line.hpp"
#include "market/events.hpp"

namespace market {

class StdinFeed {
 public:
  // Opens the pipes, which waits for their writers. Throws sluice::Error.
  StdinFeed(std::vector<std::string> paths, std::uint64_t max_line_bytes);

  // Pushes what is there, for at most some milliseconds; closes the inlets at the end of the input. After the
  // engine's start.
  void feed(sluice::Engine& engine);
  // Why the input broke off; empty when it did not.
  const std::string& failure() const noexcept { return failure_; }

 private:
  struct Stream {
    std::string path;
    std::shared_ptr<const int> descriptor;  // Closed with the last of them, unless it is standard input.
  };

  void open_inlets(sluice::Engine& engine);
  bool input_waits() const;
  void push(const sluice::FileLine& line);
  void push_row(const RowHead& head, const std::string& row);
  void next_stream();
  void close();

  std::vector<Stream> streams_;
  std::size_t now_ = 0;  // Of streams_.
  std::uint64_t max_line_bytes_;
  std::optional<sluice::Inlet<LineRecord>> lines_;
  std::optional<sluice::Inlet<RowRecord>> rows_;
  std::optional<sluice::LineReader> capture_;  // Once there is something to read: to open one reads.
  std::optional<CaptureFormat> format_;
  std::string failure_;
  bool open_ = true;
};

}  // namespace market
