// SPDX-License-Identifier: Apache-2.0
// The checkpointer: the process that copies the segment and writes the copies out (checkpoints.hpp). Forked by the master,
// and dies with it.
#pragma once

#include <cstdint>
#include <sys/types.h>

#include "layout/wiring.hpp"

namespace sluice::detail {

// What goes over the line between master and checkpointer, a packet each.
struct CheckpointMessage {
  enum class Kind : std::uint32_t {
    ready,    // From the checkpointer: it waits for its first order.
    begin,    // To it: make a checkpoint.
    ask,      // From it: let all stand still.
    go,       // To it: they do.
    copied,   // From it: they may go on.
    put_off,  // To it: they did not. From it, as the answer: it waits for its next order.
    written,  // From it: the checkpoint is there.
    failed,   // From it: `text` says why it is not.
  };
  Kind kind = Kind::ready;
  std::uint32_t taken = 0;      // Of copied: it was the last standstill of this checkpoint.
  std::uint64_t number = 0;     // Of written, and so is what follows.
  std::uint64_t bytes = 0;      // Of the file.
  std::uint64_t raw_bytes = 0;  // Before they were compressed.
  std::int64_t at_ns = 0;       // When it was taken; CLOCK_REALTIME.
  char text[480]{};
};

// Blocks until it is sent or the other end is closed: false. Whether a message came: false when the other end is closed.
bool send_message(int line, const CheckpointMessage& message) noexcept;
bool receive_message(int line, CheckpointMessage& message) noexcept;

// Does not return. `line`: to the master; `master` is its pid; `locked`: see CheckpointWriter.
[[noreturn]] void run_checkpointer(const Wiring& wiring, int line, pid_t master, int locked) noexcept;

}  // namespace sluice::detail
