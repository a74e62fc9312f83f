// SPDX-License-Identifier: Apache-2.0
// What the messages of a partition's chain of checkpoints are (state_log.hpp).
#pragma once

#include <cstdint>
#include <nats/nats.h>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::detail {

// A claim, or a part of the file of a checkpoint.
struct StateMessage {
  std::uint64_t epoch = 0;
  std::string host{};
  // Drawn by each writer: what it finds under its own is its own message, whatever became of the answer.
  std::string writer{};
  std::string file{};      // "checkpoint-000000000012.base"; empty: a claim.
  std::uint64_t part = 0;  // From 1 on.
  std::uint64_t parts = 0;
  std::uint64_t stored = 0;  // Bytes of the newest whole base and its whole deltas, with this message.
  // Of a delta: with all files from that number on it is a base. 0: it needs what is before it.
  std::uint64_t whole_from = 0;

  bool is_claim() const noexcept { return file.empty(); }
  bool is_last_part() const noexcept { return part == parts; }
  // Of the same try of one writer to store one file.
  bool is_of_the_same_file(const StateMessage& other) const noexcept {
    return epoch == other.epoch && writer == other.writer && file == other.file && parts == other.parts;
  }
  friend bool operator==(const StateMessage&, const StateMessage&) = default;
};

// Nothing for a message that is none of ours.
std::optional<StateMessage> read_state_message(natsMsg* message);
// Adds its headers.
natsStatus write_headers(natsMsg* message, const StateMessage& headers);

// Of a file of a checkpoint, as the engine names them, with .part or anything else before or behind it: nothing.
struct StateFileName {
  std::uint64_t number = 0;
  bool base = false;
};
std::optional<StateFileName> parse_state_file_name(std::string_view name);

}  // namespace sluice::detail
