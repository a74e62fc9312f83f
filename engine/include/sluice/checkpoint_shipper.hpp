// SPDX-License-Identifier: Apache-2.0
// CheckpointShipper: takes a pipeline's checkpoints elsewhere, so that they outlive this machine's disk (Engine::ship_checkpoints).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace sluice {

// How far a source that tells it had read what a checkpoint holds.
struct ReadPosition {
  std::string worker;      // "orders/0"
  std::string of;          // What it reads; of NatsSource "nats STREAM SUBJECT".
  std::uint64_t next = 0;  // The position of the first that the checkpoint does not hold.
};

// One that was just published in checkpoint.path.
struct ShippedCheckpoint {
  std::filesystem::path file{};  // Whole, and there until the call returns.
  std::uint64_t number = 0;      // Grows by each try of a life of the pipeline; those that failed leave gaps.
  bool base =
      false;  // It stands alone. Otherwise it goes with the one before it, and all back to their base.
  std::uint64_t bytes = 0;  // Of the file.
  // Not 0: with all from that number on it stands alone, so that nothing before them is needed any more. Of a base its own number.
  // Large states are not written as a base again, but in pieces that deltas carry until all of it is there.
  std::uint64_t whole_from = 0;
  std::vector<ReadPosition> reads{};
};

// Called for each checkpoint, in the order of their numbers, in the process that writes them: it may block, make threads and
// connections there, and keeps what it has captured from call to call. When it returns, the checkpoint counts: what
// waited for it (outside.after=checkpoint) goes out. When it throws a std::exception, the checkpoint has failed, the log has
// the words, and the next one is a base. It is given ten minutes. A process that dies in the midst of a call, or is
// replaced, begins anew: with what was captured before Engine::start(), and a base.
//
// What was drained has ended for good, and would tell so wherever it is gone on with: an operator's ask_to_drain() parks a
// pipeline whose checkpoints are shipped.
using CheckpointShipper = std::function<void(const ShippedCheckpoint&)>;

}  // namespace sluice
