// SPDX-License-Identifier: Apache-2.0
// Frame: the event that comes from a socket: one frame of a connection, or one datagram.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include <sluice/event.hpp>

namespace sluice {

// Where a frame ends.
enum class Framing {
  lines,  // At a line feed, which is not part of it. A carriage return before that is. A line may be empty.
  length_prefixed,  // Four bytes say how many follow, big-endian. None may follow.
};

// From whom a frame is, and the how manieth. The frame is the record's body.
struct FrameHead {
  // A number that no other connection of the stage has had, also in lives before; of those since the checkpoint that it was
  // restored from nobody knows. 0 for a datagram.
  std::uint64_t connection = 0;
  // Counts from 1: the frames of the sender, if senders say who they are, else those of the connection or, for datagrams,
  // those that this worker has pushed.
  std::uint64_t sequence = 0;
  char sender[40] = {};  // Who it says it is, ended by a zero; empty if senders do not say.
  char peer[64] =
      {};  // "127.0.0.1:40312", "[::1]:40312", "pid 4711 uid 1000" for a Unix socket; ended by a zero.

  std::string_view sender_text() const noexcept { return {sender, ::strnlen(sender, sizeof(sender))}; }
  std::string_view peer_text() const noexcept { return {peer, ::strnlen(peer, sizeof(peer))}; }
};

using Frame = Record<FrameHead>;

}  // namespace sluice
