// SPDX-License-Identifier: Apache-2.0
// The header Sluice-Position of a message: how far the worker that sent it had come, with this message. Pure.
//
//     2 1f2e3d4c50200400 18a2b3c4d5e6f708 7 0:4096:2 3:128:1
//
// is the header's version; EventId::origin of the worker's lane 0, and the life of its run (Worker::life()), in hexadecimal, which
// version 1 has not; the turn of its process, one more than that of the last message that it found when it took over; and for each lane up to where its events have been sent: all messages of the events before a position, and so many of the
// event there. The message's own lane comes first; of the others those that may not be committed yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::detail {

inline constexpr const char* kPositionHeader = "Sluice-Position";

// How far a lane's messages have been sent.
struct Sent {
  std::uint32_t lane = 0;
  std::uint64_t position = 0;
  std::uint32_t count = 0;

  // Whether message `index` of the event at `at` is among them.
  bool covers(std::uint64_t at, std::uint32_t index) const noexcept {
    return at < position || (at == position && index < count);
  }
  friend bool operator==(const Sent&, const Sent&) = default;
};

struct PositionHeader {
  std::uint64_t origin = 0;
  std::uint64_t life = 0;
  std::uint32_t turn = 0;
  std::vector<Sent> sent;

  friend bool operator==(const PositionHeader&, const PositionHeader&) = default;
};

std::string to_header(const PositionHeader& header);
// Nothing for what is no such header.
std::optional<PositionHeader> read_header(std::string_view text);

}  // namespace sluice::detail
