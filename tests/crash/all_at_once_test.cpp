// SPDX-License-Identifier: Apache-2.0
// A pipeline that is kept loses every process at the same instant, again and again, host and all; each next start goes
// on, and at the end everything has taken effect exactly once. It goes on with the file of its memory; or that is lost as well,
// and it goes back to its last checkpoint.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

#include "ledger.hpp"
#include "support/clear_away.hpp"
#include "total_loss.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int kLosses = 100;
constexpr int kLossesOfMemory = 40;

enum class Kept { segment, checkpoints, both };
std::string name_of(Kept kept) {
  switch (kept) {
    case Kept::segment:
      return "Segment";
    case Kept::checkpoints:
      return "Checkpoints";
    default:
      return "Both";
  }
}

class AllAtOnce : public testing::TestWithParam<Kept> {
 protected:
  AllAtOnce() {
    const fs::path parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path();
    std::string name = (parent / "sluice-all-at-once-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    std::cout << "seed " << seed_ << "\n";
  }
  ~AllAtOnce() override { sluice::test::clear_away(directory_); }

  sluice::Settings settings(const std::vector<std::string>& assignments = {}) const {
    sluice::Settings settings;
    if (GetParam() != Kept::checkpoints) settings.set("segment.path", segment().string());
    if (GetParam() != Kept::segment) {
      settings.set("checkpoint.path", checkpoints().string());
      settings.set("checkpoint.every", "2ms");
      // No machine dies here.
      settings.set("checkpoint.sync", "no");
    }
    settings.set("watchdog.deadline", "20s");
    settings.set("state.bytes", "256KiB");
    settings.set("undo.bytes", "64KiB");
    for (const std::string& assignment : assignments)
      settings.set_assignment(assignment);
    return settings;
  }

  static std::uintmax_t size_of(const fs::path& path) {
    std::error_code missing;
    const std::uintmax_t size = fs::file_size(path, missing);
    return missing ? 0 : size;
  }

  fs::path segment() const { return directory_ / "segment"; }
  static int losses() { return GetParam() == Kept::segment ? kLosses : kLossesOfMemory; }
  fs::path checkpoints() const { return directory_ / "checkpoints"; }
  bool is_kept() const {
    std::error_code none;
    return fs::exists(segment()) || (fs::exists(checkpoints()) && !fs::is_empty(checkpoints(), none));
  }
  fs::path file(const std::string& name) const { return directory_ / name; }

  // As large as the segment that the next host maps.
  total_loss::AddressesTaken random_addresses() {
    return {random_() % 32, std::max<std::size_t>(size_of(segment()), 1 << 20)};
  }
  std::chrono::microseconds random_pause(std::uint64_t most_us) {
    return std::chrono::microseconds{random_() % most_us};
  }

  // Lets a host live for a while, `losses` times, and kills everything; the lives that came to their end by
  // themselves. One loss of four comes while the pipeline starts, if it takes that long.
  template <class Work>
  int lose(int losses, std::uint64_t most_us, Work&& work) {
    int ended = 0;
    for (int loss = 0; loss < losses; ++loss) {
      const std::uintmax_t lives = size_of(file("lives"));
      total_loss::Host host{random_addresses(), work};
      if (loss % 4 != 0) {
        EXPECT_TRUE(total_loss::within(total_loss::kDeadline,
                                       [&] { return host.ended() || size_of(file("lives")) != lives; }));
      }
      if (host.wait_for_end(random_pause(most_us))) {
        ++ended;
        EXPECT_EQ(host.status(), 0);
      }
      host.kill(random_() % 2 == 0);
      // Now and then the next start comes while the kernel is still taking the last one down.
      const bool memory_lost = GetParam() == Kept::both && random_() % 2 == 0;
      if (memory_lost || random_() % 2 == 0) {
        EXPECT_TRUE(host.gone());
      }
      if (memory_lost) fs::remove(segment());
    }
    return ended;
  }

  template <class Work>
  void let_live(Work&& work) {
    total_loss::Host host{random_addresses(), work};
    ASSERT_TRUE(host.wait_for_end(total_loss::kDeadline)) << "it did not come to its end, seed " << seed_;
    EXPECT_EQ(host.status(), 0) << "seed " << seed_;
    EXPECT_TRUE(host.gone()) << "a process was left behind, seed " << seed_;
    EXPECT_FALSE(is_kept()) << "seed " << seed_;
  }

  std::uint64_t seed_ = std::random_device{}();
  std::mt19937_64 random_{seed_};
  fs::path directory_;
};

void append(const fs::path& path, const std::string& text) {
  std::ofstream{path, std::ios::app} << text << "\n";
}

// Where this process has the file mapped first.
std::string base_of(const fs::path& path) {
  std::ifstream maps{"/proc/self/maps"};
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(path.string())) return line.substr(0, line.find('-'));
  }
  return "nowhere";
}

class LedgerAllAtOnce : public AllAtOnce {
 protected:
  // What a host does in each of its lives; the last one ends the sources.
  void live(std::uint64_t entries, const std::vector<std::string>& assignments, bool last) {
    sluice::Engine engine{ledger::pipeline(entries, file("statement")), settings(assignments)};
    engine.start();
    append(file("lives"), base_of(segment()) + (engine.resumed() ? " resumed" : " new"));
    if (last) {
      engine.wait_for(20ms);
      engine.drain();
    } else {
      engine.wait();
    }
    std::ofstream{file("dealt")} << engine.stats().stages.front().events_out();
  }

  void run(const std::vector<std::string>& assignments) {
    constexpr std::uint64_t kEndless = std::uint64_t{1} << 60;
    const int ended = lose(losses(), 30'000, [&] { live(kEndless, assignments, false); });
    EXPECT_EQ(ended, 0) << "seed " << seed_;
    EXPECT_TRUE(is_kept());
    let_live([&] { live(kEndless, assignments, true); });
    report();
    EXPECT_GT(dealt(), 0U);
    EXPECT_THAT(ledger::audit(file("statement"), dealt()), testing::IsEmpty()) << "seed " << seed_;
  }

  std::uint64_t dealt() const {
    std::uint64_t dealt = 0;
    std::ifstream{file("dealt")} >> dealt;
    return dealt;
  }

  void report() const {
    std::ifstream lives{file("lives")};
    std::set<std::string> bases;
    int resumed = 0;
    for (std::string base, how; lives >> base >> how; bases.insert(base))
      resumed += how == "resumed" ? 1 : 0;
    std::cout << losses() << " total losses, " << resumed << " resumed starts seen through, at "
              << bases.size() << " addresses; " << dealt() << " entries\n";
    if (GetParam() == Kept::segment) {
      EXPECT_GE(bases.size(), 2U) << "every life mapped the segment at the same address";
      EXPECT_GE(resumed, losses() / 2);
    } else {
      EXPECT_GE(resumed, 1);
    }
  }
};

TEST_P(LedgerAllAtOnce, IsExactOverManyTotalLosses) {
  run({});
}

TEST_P(LedgerAllAtOnce, IsExactOverManyTotalLossesBehindTinyLanes) {
  run({"lane.slots=2", "lane.bytes=4KiB", "undo.bytes=4KiB"});
}

TEST_P(LedgerAllAtOnce, IsExactWhenTheLossesComeAroundTheEnd) {
  // So short that most losses hit the end of stream, the last words, or the end of the host.
  constexpr std::uint64_t kEntries = 3'000;
  for (int round = 0; round < 30; ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + ", seed " + std::to_string(seed_));
    int lives = 0;
    // A host that was killed after it had removed the file begins anew, and so does its statement.
    while (lives < 4 && lose(1, 40'000, [&] { live(kEntries, {}, false); }) == 0)
      ++lives;
    if (lives == 4) let_live([&] { live(kEntries, {}, false); });
    EXPECT_THAT(ledger::audit(file("statement"), kEntries), testing::IsEmpty());
    EXPECT_FALSE(is_kept());
    fs::remove(file("statement"));
  }
}

// A host that pushes numbers and writes down what comes out, through deaths of its own.
struct Number {
  std::uint64_t number;
  std::uint64_t nth;  // Of its key, as the stage counted.

  friend bool operator==(const Number&, const Number&) = default;
  friend bool operator<(const Number& a, const Number& b) {
    return std::tie(a.number, a.nth) < std::tie(b.number, b.nth);
  }
};
constexpr std::uint64_t kKeys = 7;

class CountPerKey {
 public:
  explicit CountPerKey(sluice::Worker& worker)
      : seen_{worker.table<std::uint64_t, std::uint64_t>("seen", kKeys)} {}
  void operator()(const Number& number, sluice::Output<Number>& out) {
    out.push([&](Number& made) { made = {number.number, seen_[number.number % kKeys]++}; });
  }

 private:
  sluice::Table<std::uint64_t, std::uint64_t> seen_;
};

struct Pass {
  void operator()(const Number& number, sluice::Output<Number>& out) const { out.push(number); }
};

sluice::Pipeline numbers_pipeline() {
  sluice::Pipeline pipeline{"numbers"};
  const auto numbers = pipeline.inlet<Number>("in");
  numbers.by([](const Number& number) { return number.number % kKeys; })
      .to<CountPerKey>("count", {.workers = 2})
      .outlet("counted");
  // Everybody gets every number: a push that dies half-way must have happened nowhere.
  numbers.broadcast().to<Pass>("pass", {.workers = 2}).outlet("passed");
  return pipeline;
}

// The events of one outlet, as the host keeps them: those of polls that never returned are cut off.
class Book {
 public:
  Book(sluice::Engine& engine, const std::string& outlet, const fs::path& path)
      : outlet_{engine.outlet<Number>(outlet)},
        fd_{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)} {
    const auto committed = static_cast<off_t>(outlet_.position() * sizeof(Number));
    if (fd_ < 0 || ::lseek(fd_, 0, SEEK_END) < committed || ::ftruncate(fd_, committed) != 0) {
      throw std::runtime_error{"the book holds less than was pulled"};
    }
  }
  ~Book() { ::close(fd_); }
  Book(const Book&) = delete;
  Book& operator=(const Book&) = delete;

  void pull() {
    outlet_.poll([this](const Number& number) {
      if (::write(fd_, &number, sizeof(number)) != sizeof(number)) throw std::runtime_error{"write failed"};
    });
  }
  bool ended() { return outlet_.ended(); }

 private:
  sluice::Outlet<Number> outlet_;
  int fd_;
};

std::vector<Number> read_book(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  std::vector<Number> numbers;
  for (Number number{}; file.read(reinterpret_cast<char*>(&number), sizeof(number));)
    numbers.push_back(number);
  return numbers;
}

class HostAllAtOnce : public AllAtOnce {
 protected:
  void live(bool last) {
    sluice::Engine engine{numbers_pipeline(), settings({"lane.slots=256"})};
    engine.start();
    append(file("lives"), base_of(segment()) + (engine.resumed() ? " resumed" : " new"));
    Book counted{engine, "counted", file("counted")};
    Book passed{engine, "passed", file("passed")};
    sluice::Inlet<Number> in = engine.inlet<Number>("in");
    constexpr std::uint64_t kLastOnes = 1'000;
    const std::uint64_t end = last ? in.position() + kLastOnes : std::uint64_t{1} << 60;
    counted.pull();
    passed.pull();
    while (in.position() < end) {
      const sluice::PushResult result = in.try_push({in.position(), 0});
      if (result != sluice::PushResult::accepted && result != sluice::PushResult::full)
        throw std::runtime_error{"not accepted"};
      // What earlier lives have left in the lanes may fill the outlets at any time, and nobody else empties them.
      if (result == sluice::PushResult::full || in.position() % 32 == 0) {
        counted.pull();
        passed.pull();
      }
    }
    std::ofstream{file("pushed")} << in.position();
    in.close();
    while (!counted.ended() || !passed.ended()) {
      counted.pull();
      passed.pull();
    }
    engine.wait();
  }

  // Every number once in the one book, counted per key in order, and `workers` times in the other.
  void audit(std::uint64_t pushed, std::uint64_t workers) const {
    std::vector<Number> counted = read_book(file("counted"));
    std::sort(counted.begin(), counted.end());
    ASSERT_EQ(counted.size(), pushed);
    for (std::uint64_t i = 0; i < pushed; ++i)
      ASSERT_EQ(counted[i], (Number{i, i / kKeys})) << "number " << i;
    std::vector<Number> passed = read_book(file("passed"));
    std::sort(passed.begin(), passed.end());
    ASSERT_EQ(passed.size(), workers * pushed);
    for (std::uint64_t i = 0; i < passed.size(); ++i)
      ASSERT_EQ(passed[i], (Number{i / workers, 0})) << "number " << i / workers;
  }
};

TEST_P(HostAllAtOnce, GoesOnPushingAndPullingWhereItWas) {
  EXPECT_EQ(lose(losses(), 30'000, [this] { live(false); }), 0) << "seed " << seed_;
  let_live([this] { live(true); });
  std::uint64_t pushed = 0;
  std::ifstream{file("pushed")} >> pushed;
  std::cout << losses() << " total losses, " << pushed << " numbers pushed\n";
  SCOPED_TRACE("seed " + std::to_string(seed_));
  EXPECT_GT(pushed, 0U);
  audit(pushed, 2);
}

const auto kHow = [](const testing::TestParamInfo<Kept>& kept) { return name_of(kept.param); };
INSTANTIATE_TEST_SUITE_P(, LedgerAllAtOnce, testing::Values(Kept::segment, Kept::checkpoints, Kept::both),
                         kHow);
INSTANTIATE_TEST_SUITE_P(, HostAllAtOnce, testing::Values(Kept::segment, Kept::checkpoints, Kept::both),
                         kHow);

}  // namespace
