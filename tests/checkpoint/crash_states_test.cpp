// SPDX-License-Identifier: Apache-2.0
// Whatever a death or a power cut leaves of a writer's files gives back exactly a state that was published, and none older
// than the last one that was promised.
//
// A writer is traced at its work. From the calls that it made follows every state that a death can leave behind, and a
// sample of those that a power cut can. Each is built for real and looked at.
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "disk_model.hpp"
#include "model.hpp"
#include "recorder.hpp"

namespace sluice::test {
namespace {

using What = DiskCall::What;

constexpr std::size_t kTracedBytes = 1500;
// Beyond the numbers of all checkpoints: the pipeline has ended, and then the last of them is removed.
constexpr std::uint64_t kEnding = 1000;
constexpr std::uint64_t kEnded = 1001;

enum class Large { no, yes };

// In a traced child, behind this: a directory takes no further file.
void let_no_file_be_made() {
  const auto flags = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 2 * sizeof(std::uint64_t));
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(SYS_openat), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, flags),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    throw std::runtime_error{"no filter of system calls"};
}

// Two lives, each with several bases, and a regular end. `mark` is told what was published, or what happens now.
// Or each with one, and renewed several times: a second life goes on where the first one has ended then.
template <class Mark>
std::map<std::uint64_t, Image> two_lives(const std::filesystem::path& directory, CheckpointOptions options,
                                         Large large, Mark&& mark) {
  SegmentModel model{kTracedBytes, 3};
  if (large == Large::yes) model.renew_chains();
  for (int life = 0; life < 2; ++life) {
    const CheckpointSearch search = detail::newest_checkpoint(directory.string());
    CheckpointWriter writer{directory.string(), identity_of(kTracedBytes), options};
    if (large == Large::yes && search.found) writer.go_on_after(detail::tip_of(*search.found));
    for (int i = 0; i < (large == Large::yes ? 20 : 9); ++i)
      mark(model.publish(writer, 300).number);
  }
  EXPECT_EQ(model.renewed() >= 3, large == Large::yes) << model.renewed();
  mark(kEnding);
  detail::remove_checkpoints(directory.string(), "market");
  mark(kEnded);
  return model.published();
}

class CheckpointCrashStates : public ::testing::Test {
 protected:
  void record_a_writer(CheckpointOptions options, Large large = Large::no, bool full_at_the_end = false) {
    const CheckpointDirectory traced;
    recording_ = record(traced.above(), [&] {
      two_lives(traced.path(), options, large, [full_at_the_end](std::uint64_t number) {
        if (number == kEnding && full_at_the_end) let_no_file_be_made();
        mark(number);
      });
    });
    const CheckpointDirectory untraced;
    published_ = two_lives(untraced.path(), options, large, [](std::uint64_t) {});
    if (recording_.problem.ends_with("may not trace its child")) GTEST_SKIP() << recording_.problem;
    ASSERT_EQ(recording_.problem, "");
    ASSERT_EQ(count(What::mark), published_.size() + 2);
    ASSERT_GE(count(What::rename), published_.size());
    ASSERT_GT(count(What::remove), published_.size() / 2) << "older ones are removed meanwhile";
    std::uint64_t bases = 0;
    for (const DiskCall& call : recording_.calls)
      bases += call.what == What::rename && call.new_name.ends_with(".base") ? 1 : 0;
    if (large == Large::yes) {
      ASSERT_EQ(bases, 1U);
    } else {
      ASSERT_GE(bases, 4U) << "more than the first of each life";
    }
  }

  std::size_t count(What what) const {
    return static_cast<std::size_t>(
        std::count_if(recording_.calls.begin(), recording_.calls.end(),
                      [what](const DiskCall& call) { return call.what == what; }));
  }
  // What was promised when so many calls had been made.
  std::uint64_t promised(std::size_t calls) const {
    std::uint64_t promised = 0;
    for (std::size_t i = 0; i < calls; ++i) {
      if (recording_.calls[i].what == What::mark) promised = recording_.calls[i].at;
    }
    return promised;
  }

  // Whether the state of a disk is one that may be left; `goes_on` also whether a writer can go on from it.
  void look_at(const DiskModel& disk, std::uint64_t promised, bool goes_on) {
    const CheckpointDirectory directory;
    disk.build(directory.above());
    const std::uint64_t found = number_restored(directory.path(), published_);
    if (promised < kEnding) {
      EXPECT_GE(found, promised);
    } else if (promised == kEnding) {
      EXPECT_TRUE(found == 0 || found == published_.rbegin()->first) << found;
    } else {
      EXPECT_EQ(found, 0U);
    }
    if (goes_on) expect_that_a_writer_goes_on(directory, found);
  }
  void expect_that_a_writer_goes_on(const CheckpointDirectory& directory, std::uint64_t found) {
    CheckpointWriter writer{directory.path().string(), identity_of(kTracedBytes), {.keep = 1, .sync = false}};
    SegmentModel model{kTracedBytes, 4};
    const std::uint64_t number = model.publish(writer, 300).number;
    EXPECT_GT(number, found);
    EXPECT_EQ(number_restored(directory.path(), model.published()), number);
    EXPECT_EQ(directory.names().size(), 1U) << "nothing is left of what was there";
  }

  // With one that is damaged and none that is whole no start goes on.
  static void expect_nothing_damaged(const DiskModel& disk) {
    const CheckpointDirectory directory;
    disk.build(directory.above());
    EXPECT_THAT(detail::newest_checkpoint(directory.path().string()).passed_over, ::testing::IsEmpty());
  }

  // While they are removed: half of a rename is a newest that is gone, and no chain that is damaged.
  void expect_no_refusal_behind_power_cuts() const {
    for (std::size_t calls = 0; calls <= recording_.calls.size(); ++calls) {
      for (unsigned seed = 0; promised(calls) >= kEnding && seed < 10; ++seed) {
        SCOPED_TRACE("power cut behind call " + std::to_string(calls) + ", seed " + std::to_string(seed));
        std::mt19937 random{static_cast<unsigned>(calls) * 10 + seed};
        expect_nothing_damaged(DiskModel::after_power_cut(recording_.calls, calls, random));
      }
    }
  }

  // Also in the midst of each write.
  void look_at_every_death() {
    std::mt19937 random{1};
    for (std::size_t calls = 0; calls <= recording_.calls.size(); ++calls) {
      SCOPED_TRACE("death behind call " + std::to_string(calls));
      look_at(DiskModel::after_death(recording_.calls, calls, 0), promised(calls), calls % 8 == 0);
      if (promised(calls) >= kEnding) {
        look_at(DiskModel::after_death(recording_.calls, calls, 0), promised(calls), true);
        expect_nothing_damaged(DiskModel::after_death(recording_.calls, calls, 0));
      }
      const bool writes = calls < recording_.calls.size() && recording_.calls[calls].what == What::write;
      for (int i = 0; writes && i < 3; ++i) {
        const std::size_t torn = random() % recording_.calls[calls].bytes.size();
        look_at(DiskModel::after_death(recording_.calls, calls, torn), promised(calls), false);
      }
      if (HasFailure()) return;
    }
  }

  Recording recording_;
  std::map<std::uint64_t, Image> published_;
};

TEST_F(CheckpointCrashStates, EveryDeathLeavesThePublishedOnes) {
  record_a_writer({.keep = 1, .sync = true});
  if (!IsSkipped() && !HasFatalFailure()) look_at_every_death();
}

TEST_F(CheckpointCrashStates, EveryDeathLeavesThePublishedOnesOfChainsThatAreRenewed) {
  record_a_writer({.keep = 1, .sync = true}, Large::yes);
  if (!IsSkipped() && !HasFatalFailure()) look_at_every_death();
}

TEST_F(CheckpointCrashStates, EveryDeathLeavesThePublishedOnesWithoutSyncToo) {
  record_a_writer({.keep = 9, .sync = false});
  if (!IsSkipped() && !HasFatalFailure()) look_at_every_death();
}

// The newest becomes the mark then, since no other can be made.
TEST_F(CheckpointCrashStates, EveryDeathLeavesThePublishedOnesWhereTheEndFindsNoRoomForAFile) {
  for (const Large large : {Large::no, Large::yes}) {
    record_a_writer({.keep = 9, .sync = true}, large, true);
    if (IsSkipped() || HasFatalFailure()) return;
    EXPECT_EQ(recording_.calls.back().what, What::mark);
    EXPECT_TRUE(std::any_of(recording_.calls.begin(), recording_.calls.end(), [](const DiskCall& call) {
      return call.what == What::rename && call.new_name == "checkpoints.ended";
    }));
    look_at_every_death();
    expect_no_refusal_behind_power_cuts();
  }
}

// Without sync nothing is promised of a power cut but that what is found is what was.
TEST_F(CheckpointCrashStates, PowerCutsLeaveNoStateThatNeverWas) {
  for (const Large large : {Large::no, Large::yes}) {
    record_a_writer({.keep = 2, .sync = false}, large);
    if (IsSkipped() || HasFatalFailure()) return;
    std::mt19937 random{7};
    for (std::size_t calls = 0; calls <= recording_.calls.size(); ++calls)
      look_at(DiskModel::after_power_cut(recording_.calls, calls, random), 0, false);
  }
}

class CheckpointPowerCuts : public CheckpointCrashStates,
                            public ::testing::WithParamInterface<std::pair<unsigned, Large>> {};

TEST_P(CheckpointPowerCuts, LeaveWhatWasBroughtToTheDisk) {
  constexpr unsigned kSamples = 10;
  record_a_writer({.keep = GetParam().first, .sync = true}, GetParam().second);
  if (IsSkipped() || HasFatalFailure()) return;
  for (std::size_t calls = 0; calls <= recording_.calls.size(); ++calls) {
    for (unsigned seed = 0; seed < kSamples; ++seed) {
      SCOPED_TRACE("power cut behind call " + std::to_string(calls) + ", seed " + std::to_string(seed));
      std::mt19937 random{static_cast<unsigned>(calls) * kSamples + seed};
      look_at(DiskModel::after_power_cut(recording_.calls, calls, random), promised(calls), seed == 0);
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Keep, CheckpointPowerCuts,
                         ::testing::Values(std::pair{1U, Large::no}, std::pair{9U, Large::no},
                                           std::pair{1U, Large::yes}, std::pair{3U, Large::yes}));

}  // namespace
}  // namespace sluice::test
