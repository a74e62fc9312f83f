// SPDX-License-Identifier: Apache-2.0
// Disks that are full or read-only, limits, and places that are not ours: an Error says so, what was published stays, and
// the writer goes on once it can.
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "model.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::size_t kTroubleBytes = 65536;
constexpr CheckpointOptions kOne{.keep = 1, .sync = true};
constexpr int kSkipped = 77;

std::string why_not(const std::function<void()>& tried) {
  try {
    tried();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

// What is expected in the child fails the test here. What it does to limits and mounts ends with it.
void in_a_child(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    int status = 1;
    try {
      status = work();
    } catch (const std::exception& error) {
      std::printf("%s\n", error.what());
    }
    std::fflush(stdout);
    ::_exit(status != 0 ? status : testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "this process may not mount";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

// Until it is killed.
class RunningChild {
 public:
  template <class Work>
  explicit RunningChild(Work work) : pid_{::fork()} {
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      work();
    }
  }
  RunningChild(const RunningChild&) = delete;
  RunningChild& operator=(const RunningChild&) = delete;
  ~RunningChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

// A base that takes as much on the disk as in memory.
class Noise {
 public:
  explicit Noise(unsigned seed) : bytes_(kTroubleBytes) {
    std::mt19937 random{seed};
    std::generate(bytes_.begin(), bytes_.end(), [&random] { return static_cast<std::byte>(random()); });
  }
  std::uint64_t write(CheckpointWriter& writer) const {
    EXPECT_TRUE(writer.wants_base());
    const std::vector<Extent> extents{{0, bytes_}};
    return writer.write(CheckpointKind::base, 1, extents).number;
  }
  const Image& bytes() const { return bytes_; }

 private:
  Image bytes_;
};

// Writes, fails, and writes again: what was published is there all the time, and nothing else is.
class CheckpointTrouble : public ::testing::Test {
 protected:
  // Behind a base: the next one cannot be written. `end` ends the trouble.
  void expect_refused(CheckpointWriter& writer, const testing::Matcher<std::string>& why,
                      const std::function<void()>& end) {
    const std::vector<std::string> before = directory_.names();
    const auto a_delta = [this, &writer] {
      const std::vector<Extent> extents{{0, second_.bytes()}};
      writer.write(CheckpointKind::delta, 1, extents);
    };
    EXPECT_FALSE(writer.wants_base());
    EXPECT_THAT(why_not(a_delta), why);
    EXPECT_THAT(why_not([this, &writer] { second_.write(writer); }), why);
    EXPECT_EQ(directory_.names(), before) << "nothing is left of it";
    EXPECT_EQ(number_restored(directory_.path(), {{1, first_.bytes()}}), 1U);
    end();
    EXPECT_THAT(why_not(a_delta), HasSubstr("there is no base"));
    const std::uint64_t number = second_.write(writer);
    EXPECT_EQ(number_restored(directory_.path(), {{number, second_.bytes()}}), number);
  }
  CheckpointWriter writer() {
    return CheckpointWriter{directory_.path().string(), identity_of(kTroubleBytes), kOne};
  }
  std::string why_no_writer() {
    return why_not([this] { const CheckpointWriter refused = writer(); });
  }

  // Of a user namespace, in which this user is still itself.
  static bool as_root_of_its_own() {
    const auto itself = [](unsigned id) { return std::to_string(id) + " " + std::to_string(id) + " 1"; };
    const std::string user = itself(::geteuid());
    const std::string group = itself(::getegid());
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    std::ofstream{"/proc/self/setgroups"} << "deny";
    std::ofstream{"/proc/self/gid_map"} << group;
    return static_cast<bool>(std::ofstream{"/proc/self/uid_map"} << user << std::flush);
  }
  // For this process and its children alone. False where it is not allowed.
  bool mount_of(const char* options, unsigned long flags) {
    fs::create_directory(directory_.path());
    fs::permissions(directory_.path(), fs::perms::owner_all);
    return (::unshare(CLONE_NEWNS) == 0 || as_root_of_its_own()) &&
           ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("none", directory_.path().c_str(), "tmpfs", flags, options) == 0;
  }

  CheckpointDirectory directory_;
  Noise first_{1};
  Noise second_{2};
};

TEST_F(CheckpointTrouble, AFullDiskIsSaidAndHarmsNothing) {
  in_a_child([this] {
    // Room for two bases, and not for three: the first is removed only when the second is published.
    if (!mount_of("size=172k,mode=700", 0)) return kSkipped;
    CheckpointWriter writer{directory_.path().string(), identity_of(kTroubleBytes), kOne};
    first_.write(writer);
    std::ofstream{directory_.path() / "other"} << std::string(std::size_t{64} << 10, 'x');
    expect_refused(writer,
                   AllOf(HasSubstr("No space left"), HasSubstr("make room there, or set checkpoint.path")),
                   [this] { fs::remove(directory_.path() / "other"); });
    return 0;
  });
}

TEST_F(CheckpointTrouble, AReadOnlyDiskIsSaidAndHarmsNothing) {
  in_a_child([this] {
    if (!mount_of("mode=700", 0)) return kSkipped;
    const auto remount = [this](unsigned long flags) {
      EXPECT_EQ(::mount("none", directory_.path().c_str(), "tmpfs", MS_REMOUNT | flags, "mode=700"), 0);
    };
    CheckpointWriter writer{directory_.path().string(), identity_of(kTroubleBytes), kOne};
    first_.write(writer);
    remount(MS_RDONLY);
    expect_refused(writer, AllOf(HasSubstr("Read-only file system"), HasSubstr("set checkpoint.path")),
                   [&remount] { remount(0); });
    return 0;
  });
}

// What is removed needs no room, and neither does the mark that says so.
TEST_F(CheckpointTrouble, TheyAreRemovedFromADirectoryThatTakesNoFurtherFile) {
  in_a_child([this] {
    if (!mount_of("nr_inodes=16,mode=700", 0)) return kSkipped;
    {
      CheckpointWriter writer{directory_.path().string(), identity_of(kTroubleBytes), {.keep = 9}};
      first_.write(writer);
      const std::vector<Extent> extents{{0, second_.bytes()}};
      writer.write(CheckpointKind::delta, 1, extents);
    }
    const auto other = [this](int number) { return directory_.path() / ("other" + std::to_string(number)); };
    int others = 0;
    while (std::ofstream{other(others)}.is_open())
      ++others;
    EXPECT_GT(others, 0);
    EXPECT_EQ(why_not([this] { detail::remove_checkpoints(directory_.path().string(), "market"); }),
              "nothing was thrown");
    EXPECT_EQ(directory_.names().size(), static_cast<std::size_t>(others)) << "those of others";
    return 0;
  });
}

TEST_F(CheckpointTrouble, ALimitOfFilesIsSaidAndKillsNobody) {
  in_a_child([this] {
    CheckpointWriter writer{directory_.path().string(), identity_of(kTroubleBytes), kOne};
    first_.write(writer);
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    const rlimit before = limit;
    limit.rlim_cur = 30000;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    expect_refused(writer, HasSubstr("(ulimit -f)"), [&before] { ::setrlimit(RLIMIT_FSIZE, &before); });
    return 0;
  });
}

TEST_F(CheckpointTrouble, TooManyOpenFilesAreSaid) {
  in_a_child([this] {
    CheckpointWriter writer{directory_.path().string(), identity_of(kTroubleBytes), kOne};
    first_.write(writer);
    const std::vector<Extent> extents{{0, second_.bytes()}};
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const rlimit before = limit;
    limit.rlim_cur = 4;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const std::string why = why_not([&] { writer.write(CheckpointKind::delta, 1, extents); });
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_THAT(why, AllOf(HasSubstr("Too many open files"), HasSubstr("ulimit -n")));
    EXPECT_EQ(number_restored(directory_.path(), {{1, first_.bytes()}}), 1U);
    second_.write(writer);
    return 0;
  });
}

TEST_F(CheckpointTrouble, ASecondWriterIsRefusedAndTheFirstNamed) {
  std::optional<CheckpointWriter> first;
  first.emplace(directory_.path().string(), identity_of(kTroubleBytes), kOne);
  const std::string pid = "(pid " + std::to_string(::getpid()) + ")";
  EXPECT_THAT(why_no_writer(),
              AllOf(HasSubstr("another process writes there"), HasSubstr("checkpoint.path")));
  in_a_child([this, &pid] {
    EXPECT_THAT(why_no_writer(), HasSubstr("another process writes there " + pid));
    return 0;
  });
  first.reset();
  EXPECT_EQ(why_no_writer(), "nothing was thrown");
}

TEST_F(CheckpointTrouble, ADirectoryOfAnotherPipelineIsRefused) {
  {
    CheckpointWriter writer{directory_.path().string(), {{9, 9}, 100, "bank", "2.0"}, kOne};
    writer.write(CheckpointKind::base, 1, {});
  }
  EXPECT_THAT(why_no_writer(), HasSubstr("it has those of the pipeline bank"));
  EXPECT_TRUE(detail::newest_checkpoint(directory_.path().string()).found) << "and left as it is";
}

TEST_F(CheckpointTrouble, APlaceThatIsNotOursIsRefused) {
  const auto refused = [this](const char* why) {
    EXPECT_THAT(why_no_writer(), AllOf(HasSubstr(why), HasSubstr("set checkpoint.path")));
    EXPECT_THAT(why_not([this] { detail::newest_checkpoint(directory_.path().string()); }), HasSubstr(why));
  };
  fs::create_directory(directory_.above() / "elsewhere");
  fs::create_symlink(directory_.above() / "elsewhere", directory_.path());
  refused("it is a link or no directory");
  fs::remove(directory_.path());
  std::ofstream{directory_.path()} << "a file";
  refused("it is a link or no directory");
  fs::remove(directory_.path());
  fs::create_directory(directory_.path());
  fs::permissions(directory_.path(), fs::perms::all);
  refused("other users may write it");
  fs::permissions(directory_.path(), fs::perms::owner_all);
  if (::chown(directory_.path().c_str(), 12345, static_cast<gid_t>(-1)) == 0)
    refused("it belongs to another user");
}

TEST_F(CheckpointTrouble, ADirectoryThatHasLostItsNameIsSaidAndCountsNoMore) {
  const fs::path path = directory_.path();
  const fs::path elsewhere = path.string() + ".elsewhere";
  const std::vector<std::function<void()>> ways{
      [] {},
      [&path] { fs::create_directory(path); },
      [&] { fs::create_directory_symlink(elsewhere, path); },
  };
  for (const auto& replaced : ways) {
    CheckpointWriter former = writer();
    const std::uint64_t number = first_.write(former);
    fs::rename(path, elsewhere);
    replaced();
    EXPECT_THAT(why_not([&] {
                  const std::vector<Extent> extents{{0, second_.bytes()}};
                  former.write(CheckpointKind::delta, 1, extents);
                }),
                AllOf(HasSubstr("was moved away or replaced"), HasSubstr("begins anew")));
    fs::remove(path);
    fs::rename(elsewhere, path);
    EXPECT_GE(number_restored(path, {{number, first_.bytes()}, {number + 1, second_.bytes()}}), number);
  }
}

TEST_F(CheckpointTrouble, OneThatGoesWithWhatWasRemovedIsSaidAndTheNextIsABase) {
  const std::vector<Extent> extents{{0, second_.bytes()}};
  // The base, and a delta in the midst of a chain.
  for (const std::uint64_t removed : {0U, 1U}) {
    CheckpointWriter writer{directory_.path().string(), identity_of(kTroubleBytes), {.keep = 9}};
    const std::uint64_t base = first_.write(writer);
    for (int deltas = 0; deltas < 2; ++deltas)
      writer.write(CheckpointKind::delta, 1, extents);
    int gone = 0;
    for (const std::string& name : directory_.names()) {
      if (name.find("0" + std::to_string(base + removed) + ".") != std::string::npos)
        gone += fs::remove(directory_.path() / name) ? 1 : 0;
    }
    ASSERT_EQ(gone, 1);
    EXPECT_THAT(why_not([&] { writer.write(CheckpointKind::delta, 1, extents); }),
                AllOf(HasSubstr("number " + std::to_string(base + removed) + ", which it goes with"),
                      HasSubstr("the next checkpoint is a base")));
    EXPECT_TRUE(writer.wants_base());
    const std::uint64_t number = second_.write(writer);
    EXPECT_EQ(number_restored(directory_.path(), {{number, second_.bytes()}}), number);
  }
}

TEST_F(CheckpointTrouble, FilesAreForThisUserAlone) {
  CheckpointWriter writer{directory_.path().string(), identity_of(kTroubleBytes), kOne};
  const mode_t before = ::umask(0);
  first_.write(writer);
  ::umask(before);
  EXPECT_EQ(fs::status(directory_.path()).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(directory_.file(1, "base")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  // Somebody gave it away: it is not believed any more.
  fs::permissions(directory_.file(1, "base"), fs::perms::all);
  EXPECT_THAT(detail::newest_checkpoint(directory_.path().string()).passed_over,
              ElementsAre(HasSubstr("other users may write it")));
}

TEST_F(CheckpointTrouble, HalfWrittenFilesOfTheDeadAreRemoved) {
  fs::create_directory(directory_.path());
  fs::permissions(directory_.path(), fs::perms::owner_all);
  std::ofstream{directory_.file(4, "base.part")} << "half";
  std::ofstream{directory_.file(5, "delta.part")} << "half";
  CheckpointWriter writer{directory_.path().string(), identity_of(kTroubleBytes), kOne};
  EXPECT_THAT(directory_.names(), IsEmpty());
  EXPECT_EQ(first_.write(writer), 6U);
}

TEST_F(CheckpointTrouble, WhatCannotBeRemovedIsSaid) {
  CheckpointWriter writer{directory_.path().string(), identity_of(kTroubleBytes), kOne};
  fs::create_directory(directory_.file(0, "delta"));
  const std::vector<Extent> extents{{0, first_.bytes()}};
  EXPECT_THAT(writer.write(CheckpointKind::base, 1, extents).not_removed,
              HasSubstr("checkpoint-000000000000.delta cannot be removed: "));
  EXPECT_EQ(number_restored(directory_.path(), {{1, first_.bytes()}}), 1U);
}

// A tool that looks, or a host that restores while the writer of the former life is on its way out.
TEST_F(CheckpointTrouble, WhoReadsMeanwhileFindsAWholeOne) {
  std::optional<CheckpointWriter> first;
  first.emplace(directory_.path().string(), identity_of(kTroubleBytes),
                CheckpointOptions{.keep = 1, .sync = false});
  const auto write = [&first](std::uint64_t number) {
    const Image bytes(kTroubleBytes, static_cast<std::byte>(number));
    const std::vector<Extent> extents{{0, bytes}};
    first->write(number % 3 == 0 ? CheckpointKind::delta : CheckpointKind::base, 1, extents);
  };
  write(1);
  const RunningChild writer{[&write] {
    for (std::uint64_t number = 2;; ++number)
      write(number);
  }};
  for (int look = 0; look < 200; ++look) {
    const CheckpointSearch search = detail::newest_checkpoint(directory_.path().string());
    ASSERT_TRUE(search.found);
    try {
      EXPECT_EQ(restored(*search.found), Image(kTroubleBytes, static_cast<std::byte>(search.found->number)));
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("it is gone"));
    }
  }
}

}  // namespace
}  // namespace sluice::test
