// SPDX-License-Identifier: Apache-2.0
// A worker that commits while both its neighbours live: it publishes its cursors to peers that read them at
// that moment, and all three fall asleep and ring each other all the time. As threads over one mapping, which
// ThreadSanitizer can judge, and as processes over a real segment, which is what it is for.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include <sluice/detail/sanitizers.hpp>
#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/waiting.hpp>

#include "child.hpp"
#include "lane_fixture.hpp"

namespace sluice::ipc::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kThreadEvents = SLUICE_THREAD_SANITIZER ? 200'000 : 1'000'000;
// Between processes: as many as go through in this time, and no more than that.
constexpr std::uint64_t kMostEvents = 10 * kThreadEvents;
constexpr std::chrono::seconds kTraffic{10};

enum Side : std::size_t { kMaker = 0, kWorker = 1, kTaker = 2 };
constexpr std::size_t kSides = 3;

// The cursors of the worker's region: a ProducerLine, then a ConsumerLine.
constexpr std::uint64_t kTailWord = 0;
constexpr std::uint64_t kHeadWord = sizeof(ProducerLine) / 8;
constexpr std::uint64_t kWords = (sizeof(ProducerLine) + sizeof(ConsumerLine)) / 8;

// The same for every side, though none but the worker uses all of it.
struct Region {
  Control control;
  alignas(128) std::array<std::atomic<std::uint64_t>, kWords> cursors;
  CommitHeader commit;
  alignas(64) std::array<RedoEntry, 8> record;
  UndoHeader undo;
  alignas(64) std::array<std::byte, 8192> entries;
  alignas(64) std::array<std::byte, 64> state;
  std::atomic<std::uint64_t> waits;
};

struct Event {
  std::uint64_t number;
  std::uint64_t noise;
  std::uint64_t check;  // Of everything up to here.
};

constexpr std::uint64_t mixed(std::uint64_t sum, std::uint64_t noise) {
  const std::uint64_t value = (sum ^ noise) * 0x9e3779b97f4a7c15;
  return value ^ (value >> 29);
}

class Chain {
 public:
  explicit Chain(bool one_process) {
    const std::array specs{RegionSpec{sizeof(Region), {4096}}, RegionSpec{sizeof(Region), {4096}},
                           RegionSpec{sizeof(Region), {}}};
    segment_ = std::make_unique<Segment>("chain", specs);
    segment_->prefault();
    if (one_process) segment_->own_everything();
  }

  Segment& segment() { return *segment_; }
  const Doorbell& bell(Side side) const { return bells_[side]; }
  Region& region(Side side) const { return *reinterpret_cast<Region*>(segment_->plain(side).data()); }
  // From the maker or the worker to the next.
  LaneMemory lane(Side from) const {
    const RingView ring = segment_->ring(from, 0);
    auto* producer = reinterpret_cast<ProducerLine*>(region(from).cursors.data());
    auto& consumer_word = region(static_cast<Side>(from + 1)).cursors[kHeadWord];
    return {producer, reinterpret_cast<ConsumerLine*>(&consumer_word), ring.data, ring.capacity_bytes};
  }

  // Sleeps until `ready`; false when nobody rings for it, or at the deadline.
  bool await(Side side, const std::function<bool()>& ready) {
    const auto until = Clock::now() + kDeadline;
    const WaitPolicy policy{.spin = {}, .yield = {}, .sleep = true, .bound = std::chrono::seconds{10}};
    while (!ready()) {
      // relaxed: counted by one side, read after its end.
      region(side).waits.fetch_add(1, std::memory_order_relaxed);
      if (wait(policy, region(side).control, bells_[side], ready) == Woken::unasked) return false;
      if (Clock::now() > until) return false;
    }
    return true;
  }
  void ring_if_asleep(Published& published, Side side) const {
    if (published.sleeps(region(side).control)) bells_[side].ring();
  }

 private:
  std::unique_ptr<Segment> segment_;
  std::array<Doorbell, kSides> bells_;
};

// Publishes after a random number of events, as a host does.
std::string make_events(Chain& chain, std::uint64_t most, std::mt19937_64 random) {
  LaneProducer lane{chain.lane(kMaker)};
  const auto until = Clock::now() + kTraffic;
  const auto publish = [&] {
    lane.publish();
    Published published;
    chain.ring_if_asleep(published, kWorker);
  };
  std::uint64_t number = 0;
  std::uint64_t check = 0;
  while (number < most && Clock::now() < until) {
    for (std::uint64_t batch = 1 + below(random, 60); batch > 0 && number < most; --batch) {
      const std::uint64_t noise = random();
      check = mixed(check, noise);
      const auto has_room = [&] { return lane.reserve(sizeof(Event)) != nullptr || lane.corrupt(); };
      if (!has_room()) {
        publish();
        if (!chain.await(kMaker, has_room)) return "the maker waits for room at " + std::to_string(number);
      }
      if (lane.corrupt()) return "the maker's lane is corrupt";
      push(lane, Event{number++, noise, check});
    }
    publish();
  }
  lane.end();
  publish();
  return {};
}

// Passes events on, with a checksum that it keeps in recoverable state, and commits.
class Worker {
 public:
  Worker(Chain& chain, std::mt19937_64 random)
      : chain_{chain},
        random_{random},
        region_{chain.region(kWorker)},
        log_{region_.undo, region_.entries, region_.state},
        commit_{region_.commit, region_.record, region_.cursors, log_},
        in_{chain.lane(kMaker)},
        out_{chain.lane(kWorker)} {}

  std::string run() {
    if (!commit_.recover()) return "the region is not sound";
    const auto input_there = [this] { return in_.readable() != 0 || in_.at_end() || in_.corrupt(); };
    while (true) {
      if (!chain_.await(kWorker, input_there)) return "the worker waits for input";
      if (in_.corrupt() || out_.corrupt()) return "a lane of the worker is corrupt";
      if (in_.readable() == 0) break;
      for (std::uint64_t batch = 1 + below(random_, 40); batch > 0 && in_.readable() != 0; --batch) {
        if (!pass_on()) return "the worker waits for room";
      }
      commit();
    }
    out_.end();
    commit();
    return {};
  }

 private:
  bool pass_on() {
    const auto has_room = [this] { return out_.reserve(sizeof(Event)) != nullptr || out_.corrupt(); };
    if (!has_room()) {
      commit();
      if (!chain_.await(kWorker, has_room) || out_.corrupt()) return false;
    }
    Event event{};
    pop(in_, event);
    auto& sum = *reinterpret_cast<std::uint64_t*>(region_.state.data());
    log_.note(region_.state.data(), sizeof(sum));
    sum = mixed(sum, event.noise);
    event.check ^= ~sum;  // All ones, if this side has seen what the maker has made.
    return push(out_, event);
  }

  void commit() {
    commit_.move(kTailWord, out_.next());
    if (out_.ends()) commit_.move(kTailWord + 1, kEnded);
    commit_.move(kHeadWord, in_.next());
    commit_.commit();
    Published published;
    chain_.ring_if_asleep(published, kMaker);
    chain_.ring_if_asleep(published, kTaker);
  }

  Chain& chain_;
  std::mt19937_64 random_;
  Region& region_;
  UndoLog log_;
  Commit commit_;
  LaneConsumer in_;
  LaneProducer out_;
};

// Empty when every event came once, in order and whole.
std::string take_events(Chain& chain, std::mt19937_64 random, std::uint64_t& number) {
  LaneConsumer lane{chain.lane(kWorker)};
  const auto input_there = [&] { return lane.readable() != 0 || lane.at_end() || lane.corrupt(); };
  while (true) {
    if (!chain.await(kTaker, input_there)) return "the taker waits at " + std::to_string(number);
    if (lane.corrupt()) return "the taker's lane is corrupt";
    if (lane.readable() == 0) break;
    for (std::uint64_t batch = 1 + below(random, 60); batch > 0 && lane.readable() != 0; --batch) {
      Event event{};
      pop(lane, event);
      if (event.number != number || event.check != ~std::uint64_t{0}) {
        return "event " + std::to_string(number);
      }
      ++number;
    }
    lane.publish();
    Published published;
    chain.ring_if_asleep(published, kWorker);
  }
  const std::uint64_t made = chain.lane(kMaker).producer->tail.load() / sizeof(Event);
  return made == number ? "" : std::to_string(number) + " events of " + std::to_string(made);
}

void report(const Chain& chain, std::uint64_t events) {
  const auto waits = [&](Side side) {
    return static_cast<unsigned long long>(chain.region(side).waits.load());
  };
  std::printf("%llu events; waits: %llu of the maker, %llu of the worker, %llu of the taker\n",
              static_cast<unsigned long long>(events), waits(kMaker), waits(kWorker), waits(kTaker));
  for (const Side side : {kMaker, kWorker, kTaker})
    EXPECT_GT(waits(side), 0U) << "side " << side;
  EXPECT_GT(events, 0U);
}

TEST(CommitTraffic, OfThreeThreadsThatSleepAndWakeIsWholeAndInOrder) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  Chain chain{true};
  std::string made;
  std::string worked;
  std::thread maker{
      [&, engine = std::mt19937_64{random()}] { made = make_events(chain, kThreadEvents, engine); }};
  std::thread worker{[&, engine = std::mt19937_64{random()}] { worked = Worker{chain, engine}.run(); }};
  std::uint64_t events = 0;
  EXPECT_EQ(take_events(chain, std::mt19937_64{random()}, events), "");
  maker.join();
  worker.join();
  EXPECT_EQ(made, "");
  EXPECT_EQ(worked, "");
  report(chain, events);
}

TEST(CommitTraffic, OfThreeProcessesThatSleepAndWakeIsWholeAndInOrder) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  Chain chain{false};
  const std::uint64_t makers = random();
  const std::uint64_t workers = random();
  const auto status = [](const std::string& wrong) {
    if (!wrong.empty()) std::printf("%s\n", wrong.c_str());
    std::fflush(stdout);
    return wrong.empty() ? 0 : 1;
  };
  Child maker{[&] {
    chain.segment().own(kMaker);
    return status(make_events(chain, kMostEvents, std::mt19937_64{makers}));
  }};
  Child worker{[&] {
    chain.segment().own(kWorker);
    return status(Worker{chain, std::mt19937_64{workers}}.run());
  }};
  chain.segment().own(kTaker);
  std::uint64_t events = 0;
  EXPECT_EQ(take_events(chain, random, events), "");
  EXPECT_EQ(maker.ending(), "exit 0");
  EXPECT_EQ(worker.ending(), "exit 0");
  report(chain, events);
}

}  // namespace
}  // namespace sluice::ipc::test
