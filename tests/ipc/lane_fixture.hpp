// SPDX-License-Identifier: Apache-2.0
// A lane in a segment of its own: the producer's region holds line and ring, the consumer's its line.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/ipc/framing.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/ipc/segment.hpp>

namespace sluice::ipc::test {

inline constexpr std::size_t kProducerRegion = 0;
inline constexpr std::size_t kConsumerRegion = 1;

class TestLane {
 public:
  explicit TestLane(std::size_t capacity_bytes = 4096, bool one_process = true) {
    const std::array specs{RegionSpec{4096, {capacity_bytes}}, RegionSpec{4096, {}}};
    segment_ = std::make_unique<Segment>("lane", specs);
    segment_->prefault();
    if (one_process) segment_->own_everything();
  }

  LaneMemory memory() const {
    const RingView ring = segment_->ring(kProducerRegion, 0);
    return {reinterpret_cast<ProducerLine*>(segment_->plain(kProducerRegion).data()),
            reinterpret_cast<ConsumerLine*>(segment_->plain(kConsumerRegion).data()), ring.data,
            ring.capacity_bytes};
  }
  Segment& segment() { return *segment_; }

  // What a peer that has gone wrong would write.
  void set_tail(std::uint64_t value) const { memory().producer->tail.store(value); }
  void set_ended(std::uint64_t value) const { memory().producer->ended.store(value); }
  void set_head(std::uint64_t value) const { memory().consumer->head.store(value); }

 private:
  std::unique_ptr<Segment> segment_;
};

// Pushes one value as a fixed-size event; false when the lane is full. Publishes nothing.
template <class Event>
bool push(LaneProducer& lane, const Event& event) {
  std::byte* at = lane.reserve(sizeof(Event));
  if (at == nullptr) return false;
  std::memcpy(at, &event, sizeof(Event));
  lane.advance(sizeof(Event));
  return true;
}

// Takes one fixed-size event; false when there is none. Publishes nothing.
template <class Event>
bool pop(LaneConsumer& lane, Event& event) {
  if (lane.readable() < sizeof(Event)) return false;
  std::memcpy(&event, lane.data(), sizeof(Event));
  lane.advance(sizeof(Event));
  return true;
}

inline bool push_record(LaneProducer& lane, const std::string& bytes) {
  std::byte* at = reserve_record(lane, bytes.size());
  if (at == nullptr) return false;
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  lane.advance(record_stride(bytes.size()));
  return true;
}

// The record at the consumer's position, which must be there.
inline std::string pop_record(LaneConsumer& lane) {
  const std::span<const std::byte> record = peek_record(lane);
  EXPECT_NE(record.data(), nullptr);
  std::string bytes(reinterpret_cast<const char*>(record.data()), record.size());
  lane.advance(record_stride(record.size()));
  return bytes;
}

// A seed that a failure names, so that the run can be repeated.
class Seed {
 public:
  Seed() : value_{std::random_device{}()}, trace_{__FILE__, __LINE__, "seed " + std::to_string(value_)} {
    std::printf("seed %u\n", value_);
    std::fflush(stdout);  // A forked child would print it again.
  }
  std::mt19937_64 engine() const { return std::mt19937_64{value_}; }

 private:
  unsigned value_;
  ::testing::ScopedTrace trace_;
};

inline std::uint64_t below(std::mt19937_64& engine, std::uint64_t limit) {
  return std::uniform_int_distribution<std::uint64_t>{0, limit - 1}(engine);
}

}  // namespace sluice::ipc::test
