// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a state that is so large that no second base is written: its chain is renewed in pieces, and is everything all the
// same, whatever dies meanwhile.
#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <sys/mman.h>

#include "with_checkpoints.hpp"

namespace sluice::test {

using namespace detail;
namespace {

constexpr std::size_t kRun = 8192;  // Words that an event writes: 64 KiB.
constexpr std::size_t kRuns = 400;  // 25 MiB.

// Nothing that could be compressed, or is zero.
std::uint64_t word_of(std::uint64_t number, std::uint64_t at) {
  std::uint64_t word = (number << 20) + at + 0x9e3779b97f4a7c15;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return (word ^ (word >> 31)) | 1;
}

struct Sum {
  std::uint64_t number;
  std::uint64_t sum;
};

// Where the event with this number writes.
std::size_t run_of(std::uint32_t number) {
  return number % 3 == 0 ? number % 7 : number % kRuns;
}

// Each event writes a run of the field; one with a key of 1 sums all of it up as well.
class Scatter {
 public:
  using Field = std::array<std::uint64_t, kRun * kRuns>;

  explicit Scatter(Worker& worker) : field_{worker.state<Field>("field")} {}
  void operator()(const Item& item, Output<Sum>& out) {
    const auto run = field_.edit(run_of(item.number) * kRun, kRun);
    for (std::size_t at = 0; at < run.size(); ++at)
      run[at] = word_of(item.number, at);
    std::uint64_t sum = 0;
    if (item.key == 1) {
      for (const std::uint64_t word : *field_)
        sum = sum * 31 + word;
    }
    out.push({item.number, sum});
  }

 private:
  Recoverable<Field> field_;
};

// In memory that all processes share.
struct Told {
  std::atomic<unsigned> bases{0};
  std::atomic<unsigned> renewed{0};
  std::atomic<unsigned> shipped{0};
  std::atomic<std::uint64_t> most_bytes{0};  // Of a delta.
};

class LargeCheckpoints : public WithCheckpoints {
 protected:
  LargeCheckpoints() {
    void* const memory =
        ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    told_ = new (memory) Told;
  }
  ~LargeCheckpoints() override { ::munmap(told_, sizeof(Told)); }

  static Pipeline scattering() {
    Pipeline pipeline{"scattering"};
    pipeline.inlet<Item>("in").to<Scatter>("scatter").outlet("out");
    return pipeline;
  }
  Settings large(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"state.bytes=32MiB", "undo.bytes=1MiB"});
    return settings(more);
  }
  CheckpointShipper shipper() const {
    return [told = told_](const ShippedCheckpoint& checkpoint) {
      if (checkpoint.base) {
        ++told->bases;
      } else {
        if (checkpoint.whole_from != 0) ++told->renewed;
        told->most_bytes = std::max<std::uint64_t>(told->most_bytes, checkpoint.bytes);
      }
      ++told->shipped;
    };
  }
  // One more event, and what it gives.
  Sum next(Engine& engine, bool sum) {
    Inlet<Item> in = engine.inlet<Item>("in");
    Outlet<Sum> out = engine.outlet<Sum>("out");
    const auto number = static_cast<std::uint32_t>(in.position());
    EXPECT_EQ(in.push({sum ? 1U : 0U, number}), PushResult::accepted);
    Sum given{};
    EXPECT_TRUE(eventually([&] {
      out.poll([&](const Sum& each) { given = each; });
      out.ack();
      return out.position() > number;
    }));
    EXPECT_EQ(given.number, number);
    written_ = number + 1;  // What came later in a former life is not there.
    return given;
  }
  std::uint64_t expected() const {
    std::vector<std::uint32_t> last(kRuns, UINT32_MAX);
    for (std::uint32_t number = 0; number < written_; ++number)
      last[run_of(number)] = number;
    std::uint64_t sum = 0;
    for (const std::uint32_t number : last) {
      for (std::size_t at = 0; at < kRun; ++at)
        sum = sum * 31 + (number == UINT32_MAX ? 0 : word_of(number, at));
    }
    return sum;
  }
  // That all of the field is as its events have left it.
  void expect_all(Engine& engine) {
    const std::uint64_t sum = next(engine, true).sum;
    EXPECT_EQ(sum, expected());
  }
  // Until the chain was renewed so often.
  void work(Engine& engine, unsigned times) {
    const unsigned wanted = told_->renewed + times;
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (told_->renewed < wanted && std::chrono::steady_clock::now() < until && !HasFailure())
      next_few(engine);
    EXPECT_GE(told_->renewed, wanted);
  }

  // Few enough for one checkpoint, and waits for one behind them: on a slow disk the next one would hold all that came meanwhile.
  void next_few(Engine& engine) {
    constexpr int kFew = 40;
    const unsigned before = told_->shipped;
    for (int event = 0; event < kFew; ++event)
      next(engine, false);
    EXPECT_TRUE(eventually([&] { return told_->shipped != before; }));
  }

  Told* told_ = nullptr;
  std::uint32_t written_ = 0;
};

TEST_F(LargeCheckpoints, AreRenewedInPieces) {
  {
    Engine engine{scattering(), large()};
    engine.ship_checkpoints(shipper());
    engine.start();
    for (std::size_t event = 0; event < 3 * kRuns; ++event)
      next(engine, false);
    // What has become of these is shipped with the first, and with the second of the next at the latest.
    for (int turn = 0; turn < 3; ++turn)
      next_few(engine);
    const unsigned bases = told_->bases;
    told_->most_bytes = 0;
    work(engine, 2);
    EXPECT_EQ(told_->bases, bases) << "it is no smaller than it was";
    EXPECT_LT(told_->most_bytes, kRun * kRuns * 8 / 2) << "not all of it at once";
    const std::vector<fs::path> all = files();
    EXPECT_TRUE(std::none_of(all.begin(), all.end(),
                             [](const fs::path& file) { return file.extension() == ".base"; }));
    lose(engine);
  }
  // What was restored goes on with them, and renews them.
  for (int life = 0; life < 2; ++life) {
    Engine engine{scattering(), large()};
    engine.ship_checkpoints(shipper());
    const unsigned bases = told_->bases;
    engine.start();
    EXPECT_TRUE(engine.resumed());
    expect_all(engine);
    work(engine, 1);
    expect_all(engine);
    // One, where the former life was killed in the midst of a file.
    EXPECT_LE(told_->bases, bases + 1);
    lose(engine);
  }
}

// Who has restored what it had before goes on with what has come since.
TEST_F(LargeCheckpoints, AreRestoredAheadWhileTheyAreRenewed) {
  Engine second{scattering(), large()};
  {
    Engine first{scattering(), large()};
    first.ship_checkpoints(shipper());
    first.start();
    for (std::size_t event = 0; event < 3 * kRuns; ++event)
      next(first, false);
    for (int turn = 0; turn < 3; ++turn) {
      work(first, 1);
      EXPECT_TRUE(second.restore_ahead());
    }
    lose(first);
  }
  second.start();
  EXPECT_TRUE(second.resumed());
  expect_all(second);
}

// A process that writes them begins anew after its death, and everything that dies is gone on with.
TEST_F(LargeCheckpoints, AreWholeWhateverDiesMeanwhile) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  for (int life = 0; life < 6 && !HasFailure(); ++life) {
    Engine engine{scattering(), large({"outside.after=checkpoint"})};
    engine.ship_checkpoints(shipper());
    engine.start();
    if (life != 0) expect_all(engine);
    const std::size_t events = 1 + random() % (life == 0 ? 3 * kRuns : kRuns);
    const std::size_t death = random() % events;
    for (std::size_t event = 0; event < events; ++event) {
      if (event == death && life % 2 == 1) kill_checkpointer_of(engine);
      next(engine, false);
    }
    lose(engine);
  }
}

}  // namespace
}  // namespace sluice::test
