// SPDX-License-Identifier: Apache-2.0
// The shadow against the segment that it is a copy of, byte by byte, at drawn instants: between events, and in the midst of
// one that goes on changing what it has noted before.
#include "checkpoint/shadow.hpp"

#include <array>
#include <cstring>
#include <functional>
#include <iostream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

#include "host/host.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::test {

using namespace detail;
namespace {

constexpr std::uint64_t kKeys = 3000;
constexpr const char* kShape = "it is as it is";

struct Order {
  enum class Kind : std::uint64_t { put, edit, erase, fill, fail, last };
  Kind kind;
  std::uint64_t key;
  std::uint64_t value;
};

struct Row {
  std::uint64_t sum;
  std::array<std::uint64_t, 40> last;  // Some rows lie across two pages.
};

// Called in the midst of an event.
std::function<void()> in_the_midst;
// Whether an order that is to fail does so; the second try of each is handled.
bool failing = true;

class Keeper {
 public:
  explicit Keeper(Worker& worker)
      : rows_{worker.table<std::uint64_t, Row>("rows", kKeys)},
        field_{worker.state<std::array<std::uint64_t, 20'000>>("field")},
        count_{worker.state<std::uint64_t>("count", 7)} {}

  void operator()(const Order& order, Output<Bytes>& out) {
    ++count_.edit();
    switch (order.kind) {
      case Order::Kind::put:
      case Order::Kind::edit: {
        Row& row = rows_[order.key];
        row.sum += order.value;
        midst();
        // Noted before, or of a row that is new: the log and the stamps hear nothing of it.
        row.last[order.value % row.last.size()] = order.value;
        break;
      }
      case Order::Kind::erase:
        rows_.erase(order.key);
        midst();
        break;
      case Order::Kind::fill: {
        const auto part = field_.edit(order.key * 5, 1 + order.value % 900);
        std::fill(part.begin(), part.end(), order.value);
        midst();
        std::fill(part.begin(), part.end(), order.value + 1);
        break;
      }
      default: {
        rows_[order.key].sum += 1;
        field_.edit(order.key * 5, 1)[0] = order.value;
        midst();
        rows_[order.key].sum += 1;
        if (failing) throw std::runtime_error{"no"};
        failing = true;
      }
    }
    out.push(std::string(order.value % 200, 'x'));
  }

 private:
  static void midst() {
    if (in_the_midst) in_the_midst();
  }

  Table<std::uint64_t, Row> rows_;
  Recoverable<std::array<std::uint64_t, 20'000>> field_;
  Recoverable<std::uint64_t> count_;
};

// A pipeline in one process and one thread, and a shadow of it.
class Pair {
 public:
  Pair() : host_{pipeline().graph(), settings()}, shadow_{std::in_place, made(), kShape} {
    in_the_midst = [this] {
      if (random() % 3 == 0) stand_still();
    };
  }
  ~Pair() { in_the_midst = nullptr; }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  std::uint64_t random() { return random_(); }
  std::uint64_t seed() const noexcept { return seed_; }
  std::uint64_t taken() const noexcept { return taken_; }
  std::uint64_t renewed() const noexcept { return renewals_; }

  // Some events, all handled; some of what came out is pulled.
  void work() {
    HostInlet& in = host_.inlet("in", EventType::of<Order>());
    for (std::uint64_t event = 0; event < 1 + random() % 6; ++event) {
      const Order order{static_cast<Order::Kind>(random() % static_cast<std::uint64_t>(Order::Kind::last)),
                        random() % kKeys, random() % 1000};
      ASSERT_EQ(in.push(order), PushResult::accepted);
    }
    while (step()) {
    }
    HostOutlet& out = host_.outlet("out", EventType::of<Bytes>());
    if (random() % 2 == 0 || ++unpulled_ > 5) {
      unpulled_ = 0;
      out.poll_payloads([](std::span<const std::byte>) {}, 1 + random() % 20);
      out.ack();
    }
  }

  // As a later life does that was restored from a checkpoint of this instant: nothing is stamped, and everything is saved.
  void begin_as_restored() {
    shadow_->copy_restored();
    ASSERT_TRUE(shadow_->take());
    std::fill(saved_.begin(), saved_.end(), std::byte{});
    apply(shadow_->everything(), saved_);
    for (ipc::PageStamp& stamp : wiring().worker(WorkerIndex{0}).page_stamps())
      stamp.store(0);
    shadow_.emplace(wiring(), kShape, Shadow::Begins::restored);
    renewing_ = false;
    // What goes out first must not wait until all of the state is copied.
    EXPECT_LE(shadow_->bytes_behind(), kPageBytes);
    // Nothing of the state has changed; its last page may not be a whole one.
    ASSERT_TRUE(shadow_->take());
    const ProcessLayout& keeper = wiring().layout().processes[ProcessIndex{2}];
    const std::uint64_t state = ImageMap{wiring().layout(), kShape}.plain(ProcessIndex{2}) + keeper.state;
    std::uint64_t unsaved = 0;
    for (const Extent& extent : shadow_->changes()) {
      if (extent.offset >= state && extent.offset < state + keeper.state_bytes)
        unsaved += extent.bytes.size();
    }
    EXPECT_LE(unsaved, kPageBytes);
  }

  // A piece more of everything counts as changed.
  void renew() {
    if (!renewing_) {
      shadow_->begin_renewal();
      renewing_ = true;
      is_last_ = false;
      renewed_.assign(saved_.size(), std::byte{});
    }
    if (!is_last_) is_last_ = shadow_->renew(random() % (256 << 10));
  }

  void stand_still() {
    std::atomic<std::uint32_t>& round = wiring().master().checkpoint_round;
    if (random() % 2 == 0) {
      shadow_->end_round();
    } else {
      if (random() % 4 == 0) shadow_->copy_restored();
      ASSERT_TRUE(shadow_->take());
      if (shadow_->is_whole()) compare(shadow_->everything(), std::vector<std::byte>(saved_.size()));
      compare(shadow_->changes(), saved_);
      if (random() % 4 != 0) save();
      ++taken_;
    }
    round.store(round.load() + 1);
    // While it goes on.
    if (random() % 2 == 0) shadow_->copy_state_ahead();
    if (random() % 2 == 0) shadow_->copy_lanes_ahead();
    if (random() % 2 == 0) shadow_->bytes_behind();
  }

 private:
  void save() {
    apply(shadow_->changes(), saved_);
    if (renewing_) apply(shadow_->changes(), renewed_);
    shadow_->saved();
    if (!renewing_ || !is_last_) return;
    compare({}, renewed_);
    renewing_ = false;
    ++renewals_;
  }

  static Settings settings() {
    Settings settings;
    settings.set("lane.bytes", "16KiB");
    settings.set("state.bytes", "4MiB");
    settings.set("checkpoint.path",
                 "/nonexistent");  // Its inlet commits then as one of a pipeline that is kept.
    return settings;
  }
  static Pipeline pipeline() {
    Pipeline pipeline{"pair"};
    pipeline.inlet<Order>("in").to<Keeper>("keep").outlet("out");
    return pipeline;
  }

  // The shadow is made of a pipeline that is at work.
  const Wiring& made() {
    wiring().segment().own_everything();
    host_.open_ends(
        waiter_.emplace(ipc::WaitPolicy{}, wiring().host().control(), wiring().bell(kHostProcess)));
    loop_.emplace(wiring(), WorkerIndex{0},
                  its_.emplace(ipc::WaitPolicy{}, wiring().worker(WorkerIndex{0}).control(),
                               wiring().bell(WorkerIndex{0})));
    wiring().master().checkpoint_round.store(1);
    saved_.resize(ImageMap{wiring().layout(), kShape}.bytes());
    return wiring();
  }

  const Wiring& wiring() const { return host_.wiring(); }

  bool step() {
    try {
      return loop_->step() == WorkerLoop::Step::worked;
    } catch (const std::runtime_error&) {
      failing = false;
      return true;
    }
  }

  // In their order, and none twice: as the store takes them.
  static void apply(const std::vector<Extent>& extents, std::vector<std::byte>& image) {
    std::uint64_t end = 0;
    for (const Extent& extent : extents) {
      EXPECT_GE(extent.offset, end);
      end = extent.offset + extent.bytes.size();
      std::copy(extent.bytes.begin(), extent.bytes.end(),
                image.begin() + static_cast<std::ptrdiff_t>(extent.offset));
    }
  }

  // What a restore would make of it on top of an image, against the segment as it is now.
  void compare(const std::vector<Extent>& extents, std::vector<std::byte> image) {
    apply(extents, image);
    const ImageMap map{wiring().layout(), kShape};
    const auto same = [&](ProcessIndex process, std::size_t from, std::size_t to) {
      const std::byte* plain = wiring().segment().plain(process.value()).data();
      return std::memcmp(plain + from, image.data() + map.plain(process) + from, to - from) == 0;
    };
    const ProcessLayout& keeper = wiring().layout().processes[ProcessIndex{2}];
    EXPECT_TRUE(same(ProcessIndex{2}, 0, keeper.entries)) << seed_;
    EXPECT_TRUE(same(ProcessIndex{2}, keeper.state, keeper.state + keeper.state_bytes)) << seed_;
    const std::uint64_t noted = wiring().worker(WorkerIndex{0}).undo().tail.load();
    EXPECT_TRUE(same(ProcessIndex{2}, keeper.entries, keeper.entries + noted)) << seed_;
    EXPECT_TRUE(same(kHostProcess, 0, wiring().layout().processes[kHostProcess].plain_bytes)) << seed_;
    for (const LaneIndex lane : wiring().lanes()) {
      const ipc::LaneMemory memory = wiring().lane(lane);
      for (std::uint64_t at = memory.consumer->head.load(); at < memory.producer->tail.load(); ++at) {
        const std::uint64_t offset = at & (memory.capacity_bytes - 1);
        ASSERT_EQ(memory.ring[offset], image[map.ring(lane) + offset]) << seed_ << " lane " << lane.value();
      }
    }
  }

  std::uint64_t seed_ = std::random_device{}();
  std::mt19937_64 random_{seed_};
  Host host_;
  std::optional<DoorbellWaiter> waiter_;
  std::optional<DoorbellWaiter> its_;
  std::optional<WorkerLoop> loop_;
  std::vector<std::byte> saved_;
  std::optional<Shadow> shadow_;
  std::vector<std::byte> renewed_;  // From what was saved since the renewal has begun alone.
  bool renewing_ = false;
  bool is_last_ = false;
  std::uint64_t renewals_ = 0;
  std::uint64_t taken_ = 0;
  int unpulled_ = 0;
};

TEST(Shadow, IsTheSegmentAtEveryStandstill) {
  Pair pair;
  std::cout << "seed " << pair.seed() << "\n";
  for (int round = 0; round < 400 && !testing::Test::HasFailure(); ++round) {
    pair.work();
    pair.stand_still();
  }
  EXPECT_GT(pair.taken(), 100U);
}

// Of one that was restored, too, and of which not all is copied.
TEST(Shadow, HasSavedEverythingOnceAllPiecesAreSaved) {
  Pair pair;
  std::cout << "seed " << pair.seed() << "\n";
  for (int round = 0; round < 600 && !testing::Test::HasFailure(); ++round) {
    if (round % 100 == 50) pair.begin_as_restored();
    pair.work();
    if (pair.random() % 2 == 0) pair.renew();
    pair.stand_still();
  }
  EXPECT_GT(pair.renewed(), 3U);
}

TEST(Shadow, OfWhatWasRestoredSavesWhatHasChangedSince) {
  Pair pair;
  std::cout << "seed " << pair.seed() << "\n";
  for (int round = 0; round < 400 && !testing::Test::HasFailure(); ++round) {
    if (round % 20 == 10) pair.begin_as_restored();
    pair.work();
    pair.stand_still();
  }
  EXPECT_GT(pair.taken(), 100U);
}

}  // namespace
}  // namespace sluice::test
