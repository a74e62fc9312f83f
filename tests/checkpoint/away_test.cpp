// SPDX-License-Identifier: Apache-2.0
// Checkpoints on a storage that is away for a while: what cannot be read is no damage, and nothing older takes its place; what the
// workers have written and a disk has dropped is not there because it says nothing of it the next time.
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "checkpoint/written_files.hpp"
#include "connect/failing_storage.hpp"
#include "model.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::size_t kAwayBytes = 65536;

std::string why_not(const std::function<void()>& tried) {
  try {
    tried();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

class CheckpointAway : public ::testing::Test {
 protected:
  ~CheckpointAway() override { back_again(); }

  CheckpointSearch newest() const { return detail::newest_checkpoint(directory_.path().string()); }
  // Two bases; the second is the newer one.
  void write_two(unsigned keep = 2) {
    CheckpointWriter writer{directory_.path().string(), identity_of(kAwayBytes), {.keep = keep}};
    for (const Image* image : {&first_, &second_}) {
      const std::vector<Extent> extents{{0, *image}};
      writer.write(CheckpointKind::base, 1, extents);
    }
  }
  // It is away, and comes back by itself.
  std::thread away_for_a_moment(int error, FailingCall only = FailingCall::any) const {
    take_storage_away(directory_.path().string(), error, only);
    return std::thread{[] {
      std::this_thread::sleep_for(200ms);
      back_again();
    }};
  }

  CheckpointDirectory directory_;
  Image first_ = Image(kAwayBytes, std::byte{1});
  Image second_ = Image(kAwayBytes, std::byte{2});
};

TEST_F(CheckpointAway, ForAMomentIsWaitedForAndTheNewestIsFound) {
  write_two();
  for (const int error : {EIO, ESTALE, ETIMEDOUT, EINTR, ENOMEM}) {
    std::thread later = away_for_a_moment(error);
    const CheckpointSearch search = newest();
    later.join();
    ASSERT_TRUE(search.found) << std::strerror(error);
    EXPECT_EQ(search.found->number, 2U) << std::strerror(error);
    EXPECT_THAT(search.passed_over, IsEmpty());
    EXPECT_EQ(restored(*search.found), second_);
  }
}

TEST_F(CheckpointAway, ForLongIsAnErrorAndNothingOlderIsTaken) {
  write_two();
  take_storage_away(directory_.path().string(), EIO, FailingCall::pread);
  EXPECT_THAT(why_not([this] { newest(); }), AllOf(HasSubstr("checkpoint-000000000002.base"),
                                                   HasSubstr(std::strerror(EIO)), HasSubstr("start again")));
  back_again();
  EXPECT_EQ(number_restored(directory_.path(), {{2, second_}}), 2U);
}

TEST_F(CheckpointAway, WhileItIsRestoredIsNoDamage) {
  write_two();
  const CheckpointSearch search = newest();
  take_storage_away(directory_.path().string(), ESTALE);
  EXPECT_THAT(why_not([&] { restored(*search.found); }),
              AllOf(HasSubstr("checkpoint-000000000002.base"), HasSubstr(std::strerror(ESTALE))));
  back_again();
  EXPECT_EQ(restored(*search.found), second_);
}

// What cannot be looked at now is kept, and counts once it can be.
TEST_F(CheckpointAway, BehindANewOneCostsNoOlderOne) {
  write_two();
  CheckpointWriter writer{directory_.path().string(), identity_of(kAwayBytes), {.keep = 3}};
  const std::vector<Extent> extents{{0, first_}};
  take_storage_away(directory_.path().string(), EIO, FailingCall::pread);
  EXPECT_THAT(writer.write(CheckpointKind::base, 1, extents).not_removed, HasSubstr(std::strerror(EIO)));
  EXPECT_EQ(directory_.names().size(), 3U);
  back_again();
  EXPECT_THAT(writer.write(CheckpointKind::base, 1, extents).not_removed, IsEmpty());
  EXPECT_THAT(directory_.names(), ElementsAre("checkpoint-000000000002.base", "checkpoint-000000000003.base",
                                              "checkpoint-000000000004.base"));
}

// A mark that cannot be looked for may be there.
TEST_F(CheckpointAway, MakesNoMarkOfTheEndDisappear) {
  write_two();
  { const std::ofstream mark{directory_.path() / "checkpoints.ended"}; }
  std::thread later = away_for_a_moment(EIO, FailingCall::faccessat);
  const CheckpointSearch search = newest();
  later.join();
  EXPECT_FALSE(search.found);
}

// The pages that a disk did not take are dropped, and the kernel tells it once.
TEST_F(CheckpointAway, ThatLosesWhatWasWrittenIsNotForgotten) {
  const std::string path = (directory_.above() / "written").string();
  const detail::Descriptor written{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
  ASSERT_TRUE(written);
  for (const int error : {EIO, ENOSPC}) {
    detail::WrittenFiles files;
    files.bring_to_disk({::getpid()});
    fail_next_sync(directory_.above().string(), error);
    for (int tries = 0; tries < 3; ++tries)
      EXPECT_THAT(
          why_not([&] { files.bring_to_disk({::getpid()}); }),
          AllOf(HasSubstr(std::strerror(error)), HasSubstr("may be missing"), HasSubstr("start it again")));
  }
  // Nothing was tried: nothing is lost.
  for (const int error : {EPERM, ENOSYS, EINTR}) {
    detail::WrittenFiles files;
    files.bring_to_disk({::getpid()});
    fail_next_sync(directory_.above().string(), error);
    EXPECT_THAT(why_not([&] { files.bring_to_disk({::getpid()}); }),
                AllOf(HasSubstr(std::strerror(error)), Not(HasSubstr("missing"))));
    EXPECT_EQ(why_not([&] { files.bring_to_disk({::getpid()}); }), "nothing was thrown");
  }
}

// Of a file of checkpoints nothing is taken for granted either: the next one is written anew, and needs no other.
TEST_F(CheckpointAway, ThatLosesACheckpointHasTheNextOneBeABase) {
  CheckpointWriter writer{directory_.path().string(), identity_of(kAwayBytes), {.keep = 1}};
  const std::vector<Extent> extents{{0, first_}};
  writer.write(CheckpointKind::base, 1, extents);
  fail_next_sync(directory_.path().string(), EIO);
  EXPECT_THAT(why_not([&] { writer.write(CheckpointKind::delta, 1, extents); }),
              HasSubstr(std::strerror(EIO)));
  EXPECT_THAT(directory_.names(), ElementsAre("checkpoint-000000000001.base"));
  EXPECT_TRUE(writer.needs_base());
}

}  // namespace
}  // namespace sluice::test
