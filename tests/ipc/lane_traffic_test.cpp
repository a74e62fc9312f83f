// SPDX-License-Identifier: Apache-2.0
// Millions of events between two ends that run at the same time: two threads, which ThreadSanitizer can
// judge, and two processes, which are what the lane is for.
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include <sluice/ipc/framing.hpp>
#include <sluice/ipc/lane.hpp>

#include "child.hpp"
#include "lane_fixture.hpp"

constexpr std::uint64_t kEvents = 250'000;  // Of a round.

namespace sluice::ipc::test {
namespace {

using Clock = std::chrono::steady_clock;

// Gives the other end a chance on a machine with few processing units; false once the time is up.
class Turn {
 public:
  bool pass() {
    std::this_thread::yield();
    return (++passes_ & 1023) != 0 || Clock::now() < until_;
  }

 private:
  Clock::time_point until_ = Clock::now() + kDeadline;
  std::uint64_t passes_ = 0;
};

struct Event {  // 24 bytes: some cross the ring's end.
  std::uint64_t number;
  std::uint64_t random;
  std::uint64_t check;
};

constexpr std::uint64_t checksum(std::uint64_t number, std::uint64_t random) {
  return (number * 0x9e3779b97f4a7c15) ^ (random >> 7) ^ random;
}

// Publishes after a random number of events, and the end of the stream with the last of them. True when all went
// out.
bool produce_events(const LaneMemory& memory, std::mt19937_64 random) {
  LaneProducer lane{memory};
  Turn turn;
  for (std::uint64_t number = 0; number < kEvents;) {
    for (std::uint64_t batch = 1 + below(random, 100); batch > 0 && number < kEvents; --batch) {
      const std::uint64_t noise = random();
      while (!push(lane, Event{number, noise, checksum(number, noise)})) {
        lane.publish();
        if (!turn.pass()) return false;
      }
      ++number;
    }
    if (number == kEvents) lane.end();
    lane.publish();
  }
  return !lane.corrupt();
}

// Takes random numbers of events between publications. Empty when every event came once, in order and whole, and
// then the end.
std::string consume_events(const LaneMemory& memory, std::mt19937_64 random) {
  LaneConsumer lane{memory};
  Turn turn;
  std::uint64_t number = 0;
  while (true) {
    if (lane.readable() == 0) {
      if (lane.at_end()) break;
      if (!turn.pass()) return "deadline at " + std::to_string(number);
      lane.publish();
      continue;
    }
    Event event{};
    for (std::uint64_t batch = 1 + below(random, 100); batch > 0 && pop(lane, event); --batch) {
      if (event.number != number || event.check != checksum(event.number, event.random)) {
        return "event " + std::to_string(number);
      }
      ++number;
    }
    lane.publish();
  }
  if (lane.corrupt()) return "corrupt";
  return number == kEvents ? "" : std::to_string(number) + " events";
}

constexpr std::uint64_t kRecords = kEvents / 8;

std::uint64_t record_bytes(std::uint64_t number) {
  return number * 7919 % 401;
}

bool produce_records(const LaneMemory& memory, std::mt19937_64 random) {
  LaneProducer lane{memory};
  Turn turn;
  for (std::uint64_t number = 0; number < kRecords; ++number) {
    std::byte* at = nullptr;
    while ((at = reserve_record(lane, record_bytes(number))) == nullptr) {
      lane.publish();
      if (!turn.pass()) return false;
    }
    std::memset(at, static_cast<int>(number & 0xff), record_bytes(number));
    lane.advance(record_stride(record_bytes(number)));
    if (below(random, 20) == 0) lane.publish();
  }
  lane.publish();
  return !lane.corrupt();
}

std::string consume_records(const LaneMemory& memory, std::mt19937_64 random) {
  LaneConsumer lane{memory};
  Turn turn;
  for (std::uint64_t number = 0; number < kRecords;) {
    if (lane.readable() == 0) {
      lane.publish();
      if (!turn.pass()) return "deadline at " + std::to_string(number);
      continue;
    }
    const std::span<const std::byte> record = peek_record(lane);
    if (record.data() == nullptr || record.size() != record_bytes(number)) {
      return "length of record " + std::to_string(number);
    }
    for (const std::byte byte : record) {
      if (byte != static_cast<std::byte>(number & 0xff)) return "bytes of record " + std::to_string(number);
    }
    lane.advance(record_stride(record.size()));
    ++number;
    if (below(random, 20) == 0) lane.publish();
  }
  return lane.readable() == 0 ? "" : "more than was sent";
}

// Streams of a few events, one after the other over the same memory: what matters is how they end. Half of them
// end with their last events, half by a publication of its own.
constexpr std::uint64_t kStreams = kEvents / 400;

struct ShortStreams {
  LaneMemory memory() { return {&producer, &consumer, ring.data(), ring.size() / 2}; }
  static std::uint64_t events(std::uint64_t stream) { return stream * 7919 % 5; }

  ProducerLine producer{};
  ConsumerLine consumer{};
  std::vector<std::byte> ring = std::vector<std::byte>(8192);
  std::atomic<std::uint64_t> begun{0};
  std::atomic<std::uint64_t> done{0};
};

bool produce_short_streams(ShortStreams& streams) {
  Turn turn;
  for (std::uint64_t stream = 1; stream <= kStreams; ++stream) {
    while (streams.begun.load() != stream) {
      if (!turn.pass()) return false;
    }
    LaneProducer lane{streams.memory()};
    for (std::uint64_t i = 0; i < ShortStreams::events(stream); ++i)
      push(lane, i);
    if (stream % 2 == 0) lane.publish();
    lane.end();
    lane.publish();
    streams.done.store(stream);
  }
  return true;
}

// Empty when no stream was taken for ended before its last event.
std::string consume_short_streams(ShortStreams& streams) {
  Turn turn;
  for (std::uint64_t stream = 1; stream <= kStreams; ++stream) {
    // Nobody looks at the lane now: a new stream begins.
    streams.producer.tail.store(0);
    streams.producer.ended.store(kGoesOn);
    streams.consumer.head.store(0);
    LaneConsumer lane{streams.memory()};
    streams.begun.store(stream);
    std::uint64_t events = 0;
    while (true) {
      const std::uint64_t readable = lane.readable();
      if (readable == 0 && lane.at_end()) break;
      lane.advance(readable);
      events += readable / 8;
      if (readable == 0 && !turn.pass()) return "deadline in stream " + std::to_string(stream);
    }
    if (events != ShortStreams::events(stream)) return "stream " + std::to_string(stream) + " ended early";
    while (streams.done.load() != stream) {
      if (!turn.pass()) return "the producer does not come to the end of stream " + std::to_string(stream);
    }
  }
  return {};
}

using Produce = bool (*)(const LaneMemory&, std::mt19937_64);
using Consume = std::string (*)(const LaneMemory&, std::mt19937_64);

void run_in_threads(Produce produce, Consume consume, std::size_t capacity_bytes) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  const TestLane lane{capacity_bytes};
  bool produced = false;
  std::thread producer{
      [&, engine = std::mt19937_64{random()}] { produced = produce(lane.memory(), engine); }};
  EXPECT_EQ(consume(lane.memory(), std::mt19937_64{random()}), "");
  producer.join();
  EXPECT_TRUE(produced);
}

void run_in_processes(Produce produce, Consume consume, std::size_t capacity_bytes) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  TestLane lane{capacity_bytes, false};
  Child producer{[&] {
    lane.segment().own(kProducerRegion);
    return produce(lane.memory(), std::mt19937_64{random()}) ? 0 : 1;
  }};
  lane.segment().own(kConsumerRegion);
  EXPECT_EQ(consume(lane.memory(), std::mt19937_64{random()}), "");
  EXPECT_EQ(producer.ending(), "exit 0");
}

// Once at the least, and as often as there is time for: a busy machine, a sanitizer or an emulator takes it slowly.
void in_rounds(const std::function<void()>& run) {
  constexpr int kMostRounds = 16;
  const auto enough = Clock::now() + kDeadline / 12;
  for (int round = 0; round < kMostRounds && !testing::Test::HasFailure(); ++round) {
    run();
    if (Clock::now() > enough) break;
  }
}

TEST(LaneTraffic, OfEventsBetweenTwoThreadsIsWholeAndInOrder) {
  in_rounds([] { run_in_threads(produce_events, consume_events, 4096); });
}
TEST(LaneTraffic, OfEventsThroughALargeRingBetweenTwoThreadsIsWholeAndInOrder) {
  in_rounds([] { run_in_threads(produce_events, consume_events, 1 << 20); });
}
TEST(LaneTraffic, OfEventsBetweenTwoProcessesIsWholeAndInOrder) {
  in_rounds([] { run_in_processes(produce_events, consume_events, 4096); });
}
TEST(LaneTraffic, OfEventsThroughALargeRingBetweenTwoProcessesIsWholeAndInOrder) {
  in_rounds([] { run_in_processes(produce_events, consume_events, 1 << 20); });
}
TEST(LaneTraffic, OfRecordsBetweenTwoThreadsIsWholeAndInOrder) {
  in_rounds([] { run_in_threads(produce_records, consume_records, 4096); });
}
TEST(LaneTraffic, OfRecordsBetweenTwoProcessesIsWholeAndInOrder) {
  in_rounds([] { run_in_processes(produce_records, consume_records, 16384); });
}

TEST(LaneTraffic, NeverSeesTheEndOfAStreamBeforeItsLastEvent) {
  in_rounds([] {
    ShortStreams streams;
    bool produced = false;
    std::thread producer{[&] { produced = produce_short_streams(streams); }};
    EXPECT_EQ(consume_short_streams(streams), "");
    producer.join();
    EXPECT_TRUE(produced);
  });
}

}  // namespace
}  // namespace sluice::ipc::test
