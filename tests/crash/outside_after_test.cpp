// SPDX-License-Identifier: Apache-2.0
// outside.after=checkpoint: what has left the pipeline is never ahead of what can come back. Handlers draw lots, so that what
// is done again comes out otherwise; everything is lost again and again, memory and all, and nothing that the host has
// pulled ever changes.
#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

#include "support/clear_away.hpp"
#include "total_loss.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct Lot {
  std::uint64_t number;
  std::uint64_t drawn;

  bool operator==(const Lot&) const = default;
};

class Draw {
 public:
  void operator()(const Lot& lot, sluice::Output<Lot>& out) { out.push({lot.number, random_()}); }

 private:
  std::mt19937_64 random_{std::random_device{}()};
};

// What was pulled, by its position; what is pulled again must be the same.
class LotBook {
 public:
  LotBook(sluice::Engine& engine, const fs::path& path)
      : outlet_{engine.outlet<Lot>("out")}, fd_{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)} {}
  ~LotBook() { ::close(fd_); }
  LotBook(const LotBook&) = delete;
  LotBook& operator=(const LotBook&) = delete;

  void pull() {
    std::uint64_t at = outlet_.position();
    outlet_.poll([&](const Lot& lot) {
      const auto offset = static_cast<off_t>(at++ * sizeof(Lot));
      Lot known{};
      const ssize_t got = ::pread(fd_, &known, sizeof(known), offset);
      if (got == sizeof(known) && !(known == lot))
        throw std::runtime_error{"another lot than was pulled before"};
      if (got != sizeof(known) && ::pwrite(fd_, &lot, sizeof(lot), offset) != sizeof(lot))
        throw std::runtime_error{"write failed"};
    });
    outlet_.ack();
  }
  bool ended() { return outlet_.ended(); }
  std::uint64_t position() { return outlet_.position(); }

 private:
  sluice::Outlet<Lot> outlet_;
  int fd_;
};

class OutsideAfter : public testing::Test {
 protected:
  OutsideAfter() {
    std::string name = (fs::temp_directory_path() / "sluice-outside-after-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    std::cout << "seed " << seed_ << "\n";
  }
  ~OutsideAfter() override { sluice::test::clear_away(directory_); }

  fs::path book() const { return directory_ / "book"; }

  void live(bool last) const {
    sluice::Pipeline pipeline{"lots"};
    pipeline.inlet<Lot>("in").to<Draw>("draw").outlet("out");
    sluice::Settings settings;
    for (const char* assignment : {"checkpoint.every=3ms", "checkpoint.sync=no", "outside.after=checkpoint",
                                   "state.bytes=64KiB", "undo.bytes=64KiB", "lane.slots=256"})
      settings.set_assignment(assignment);
    settings.set("checkpoint.path", (directory_ / "checkpoints").string());
    sluice::Engine engine{pipeline, settings};
    engine.start();
    auto in = engine.inlet<Lot>("in");
    LotBook book{engine, this->book()};
    const std::uint64_t end = in.position() + (last ? 300 : std::uint64_t{1} << 40);
    while (in.position() < end) {
      // A full lane waits for the checkpoint that lets the host pull.
      if (in.try_push({in.position(), 0}) != sluice::PushResult::accepted) std::this_thread::yield();
      book.pull();
    }
    in.close();
    while (!book.ended())
      book.pull();
    engine.wait();
  }

  std::uint64_t seed_ = std::random_device{}();
  std::mt19937_64 random_{seed_};
  fs::path directory_;
};

TEST_F(OutsideAfter, NothingThatWasPulledEverChanges) {
  constexpr int kLosses = 60;
  for (int loss = 0; loss < kLosses; ++loss) {
    const std::uintmax_t before = fs::exists(book()) ? fs::file_size(book()) : 0;
    total_loss::Host host{{}, [this] { live(false); }};
    // Until it has pulled something, most of the time.
    if (random_() % 4 != 0) {
      EXPECT_TRUE(total_loss::within(total_loss::kDeadline, [&] {
        return host.ended() || (fs::exists(book()) && fs::file_size(book()) > before);
      }));
    }
    EXPECT_FALSE(host.wait_for_end(std::chrono::microseconds{random_() % 20'000})) << "seed " << seed_;
    host.kill(random_() % 2 == 0);
    ASSERT_TRUE(host.gone());
  }
  total_loss::Host host{{}, [this] { live(true); }};
  ASSERT_TRUE(host.wait_for_end(total_loss::kDeadline)) << "seed " << seed_;
  EXPECT_EQ(host.status(), 0) << "seed " << seed_;
  EXPECT_TRUE(host.gone());
  std::cout << fs::file_size(book()) / sizeof(Lot) << " lots\n";
  EXPECT_GT(fs::file_size(book()) / sizeof(Lot), 300U);
}

}  // namespace
