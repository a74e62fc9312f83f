// SPDX-License-Identifier: Apache-2.0
// EventId: the name of an event, unique for the life of a pipeline and equal for every attempt to handle it. A
// handler hands it to a service outside as an idempotency key.
//
// 128 bits:
//
//   origin    bits 63..28   run       drawn at the first start and kept in the segment: a resume keeps it. Never 0,
//                                     but in run_inline, which always gives the same ids
//             bits 27..20   stage     number of the stage or source in the pipeline, in the order of its declaration
//             bits 19..10   replica   number of the worker in its stage
//             bits  9..0    lane      number of the lane among the worker's inputs; kRetryLane for a dead letter that
//                                     is retried, kLastWord for a portion of finish()
//   position  64 bits                 where the event begins in its lane, in bytes since the pipeline began; for a
//                                     source, how many of its calls came before; for a last word, how many of its
//                                     portions did; for a retried letter, its number times 4096. Only what was
//                                     committed counts, so that a replacement uses an id again for the same event
//                                     and for no other
//
// After a restore from a checkpoint (checkpoint.path, with no file of the memory) what came since is done again, and two
// inputs may mix in another order: an id may then name another event than the one whose effect is outside. With
// outside.after=checkpoint no event has been outside, or its id, before a checkpoint holds it in its place: an id is for
// one event then, too.
//
// The limits that follow from that (256 stages and sources, inlets and outlets counted in, 1024 workers of one, 1022
// lanes into a worker) are checked before the start. Two runs have the same number with a probability of 1 in 2^36: a
// store that many runs of many pipelines share keeps the pipeline's name beside the id.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

namespace sluice {

struct EventId {
  static constexpr unsigned kRunBits = 36;
  static constexpr unsigned kStageBits = 8;
  static constexpr unsigned kReplicaBits = 10;
  static constexpr unsigned kLaneBits = 10;
  static constexpr std::uint32_t kRetryLane = 0x3fe;
  static constexpr std::uint32_t kLastWord = 0x3ff;

  std::uint64_t origin = 0;
  std::uint64_t position = 0;

  constexpr std::uint64_t run() const noexcept { return origin >> (64U - kRunBits); }
  constexpr std::uint32_t stage() const noexcept { return field(kReplicaBits + kLaneBits, kStageBits); }
  constexpr std::uint32_t replica() const noexcept { return field(kLaneBits, kReplicaBits); }
  constexpr std::uint32_t lane() const noexcept { return field(0, kLaneBits); }

  friend constexpr bool operator==(const EventId&, const EventId&) = default;
  friend constexpr auto operator<=>(const EventId&, const EventId&) = default;

 private:
  constexpr std::uint32_t field(unsigned shift, unsigned bits) const noexcept {
    return static_cast<std::uint32_t>(origin >> shift) & ((1U << bits) - 1);
  }
};
static_assert(sizeof(EventId) == 16);
static_assert(EventId::kRunBits + EventId::kStageBits + EventId::kReplicaBits + EventId::kLaneBits == 64);

// "1f2e3d4c5.2.0.1.4096": run in hexadecimal, stage, replica, lane, position. Reads the same for equal ids alone.
std::string to_string(const EventId& id);
std::ostream& operator<<(std::ostream& out, const EventId& id);

}  // namespace sluice

template <>
struct std::hash<sluice::EventId> {
  std::size_t operator()(const sluice::EventId& id) const noexcept {
    return static_cast<std::size_t>(mix(mix(id.origin) ^ id.position));
  }

 private:
  // The finisher of splitmix64. Source: Steele, Lea, Flood, OOPSLA 2014.
  static constexpr std::uint64_t mix(std::uint64_t bits) noexcept {
    bits = (bits ^ (bits >> 30U)) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ (bits >> 27U)) * 0x94d049bb133111eb;
    return bits ^ (bits >> 31U);
  }
};
