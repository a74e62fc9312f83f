// SPDX-License-Identifier: Apache-2.0
// What a named segment promises: the next start finds what the last processes left, at whatever address; it
// refuses, and does not touch, everything else; nobody is surprised by a file that is half there.
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>
#include <sluice/ipc/segment.hpp>

#include "child.hpp"

namespace sluice::ipc {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::array kTwo{RegionSpec{5000, {4096, 8192}}, RegionSpec{64, {4096}}};
const std::string kShape = "stage parse: 2 workers\nstage book: 1 worker\nlane parse to book: 1MiB\n";

struct Snapshot {
  std::string bytes;
  fs::file_time_type changed;

  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

Snapshot snapshot(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::string{std::istreambuf_iterator<char>{file}, {}}, fs::last_write_time(path)};
}

class SegmentFile : public testing::Test {
 protected:
  SegmentFile() {
    const fs::path parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path();
    std::string name = (parent / "sluice-segment-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ / "segment";
  }
  ~SegmentFile() override { fs::remove_all(directory_); }

  // A process that makes the segment, lets `work` write, and dies by SIGKILL.
  void leave_behind(const std::function<void(Segment&)>& work = {}, const std::string& shape = kShape) {
    test::Child maker{[&] {
      Segment segment{"left", kTwo, {path_.string(), shape}};
      if (segment.open()) return 1;
      segment.prefault();
      segment.own_everything();
      if (work) work(segment);
      ::kill(::getpid(), SIGKILL);
      return 2;
    }};
    ASSERT_EQ(maker.ending(), "signal 9");
    ASSERT_TRUE(fs::exists(path_));
  }

  // What the refusal says; the file must be as it was.
  std::string refusal(const fs::path& path, const std::string& shape = kShape) {
    const bool there = fs::is_regular_file(fs::symlink_status(path));
    const Snapshot before = there ? snapshot(path) : Snapshot{};
    std::string text;
    Segment segment{"refused", kTwo, {path.string(), shape}};
    try {
      segment.open();
      segment.prefault();
      ADD_FAILURE() << path << " was not refused";
    } catch (const Error& error) {
      text = error.what();
      EXPECT_THAT(text, HasSubstr(path.string())) << "the error names the file";
    }
    if (there) {
      EXPECT_TRUE(snapshot(path) == before) << path << " was changed";
    }
    return text;
  }

  void overwrite(std::size_t at, const std::string& bytes) {
    std::fstream file{path_, std::ios::binary | std::ios::in | std::ios::out};
    file.seekp(static_cast<std::streamoff>(at));
    file << bytes;
  }

  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator{directory_}, {}));
  }

  fs::path directory_;
  fs::path path_;
};

TEST_F(SegmentFile, HasItsNameOnceItIsWholeAndIsItsOwnersAlone) {
  Segment segment{"new", kTwo, {path_.string(), kShape}};
  EXPECT_TRUE(segment.named());
  EXPECT_EQ(segment.plain(0)[0], std::byte{0}) << "it reads as zeros before it is opened";
  EXPECT_FALSE(segment.open());
  EXPECT_EQ(entries(), 0U);
  segment.prefault();
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  EXPECT_EQ(static_cast<std::size_t>(status.st_size), segment.memory_bytes());
  EXPECT_GE(static_cast<std::size_t>(status.st_blocks) * 512, segment.memory_bytes()) << "all of it is there";
}

TEST_F(SegmentFile, LeavesNothingBehindWhenItsMakerDiesHalfWay) {
  test::Child maker{[&] {
    Segment segment{"half", kTwo, {path_.string(), kShape}};
    segment.open();
    ::kill(::getpid(), SIGKILL);
    return 0;
  }};
  ASSERT_EQ(maker.ending(), "signal 9");
  EXPECT_EQ(entries(), 0U);
}

TEST_F(SegmentFile, IsTakenOverAsItsLastProcessLeftItAtAnotherAddress) {
  leave_behind([](Segment& segment) {
    const std::byte* base = segment.plain(0).data();
    std::memcpy(segment.plain(0).data(), &base, sizeof(base));
    for (const std::size_t region : {0U, 1U}) {
      segment.plain(region).back() = std::byte{0x5a};
      const RingView ring = segment.ring(region, 0);
      std::memcpy(ring.data + ring.capacity_bytes - 4, "abcdefgh", 8);
    }
  });
  // The maker was a fork of this process and mapped where this process would: find that out, then take it.
  const void* base = nullptr;
  {
    Segment segment{"look", kTwo, {path_.string(), kShape}};
    ASSERT_TRUE(segment.open());
    std::memcpy(&base, segment.plain(0).data(), sizeof(base));
  }
  void* taken = ::mmap(const_cast<void*>(base), 4096, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  // Where somebody else was quicker, the address is taken all the same.
  ASSERT_TRUE(taken == base || errno == EEXIST);
  Segment segment{"again", kTwo, {path_.string(), kShape}};
  ASSERT_TRUE(segment.open());
  segment.prefault();
  EXPECT_NE(segment.plain(0).data(), base);
  for (const std::size_t region : {0U, 1U}) {
    EXPECT_EQ(segment.plain(region).back(), std::byte{0x5a});
    const RingView ring = segment.ring(region, 0);
    EXPECT_EQ(std::memcmp(ring.data, "efgh", 4), 0);
    EXPECT_EQ(std::memcmp(ring.data + ring.capacity_bytes - 4, "abcdefgh", 8), 0) << "its rings are rings";
  }
  if (taken == base) ::munmap(taken, 4096);
}

TEST_F(SegmentFile, IsNotTakenOverWhileAnyProcessOfItsLifeIsAlive) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  // The maker dies, and its child, which only inherited the segment, lives on.
  test::Child maker{[&] {
    Segment segment{"shared", kTwo, {path_.string(), kShape}};
    segment.open();
    segment.prefault();
    const pid_t child = ::fork();
    if (child == 0) {
      char byte = 0;
      ::close(ends[1]);
      ::_exit(static_cast<int>(::read(ends[0], &byte, 1)));
    }
    std::ofstream{directory_ / "pid"} << child;
    return child > 0 ? 0 : 1;
  }};
  ASSERT_EQ(maker.ending(), "exit 0");
  std::string pid;
  std::ifstream{directory_ / "pid"} >> pid;
  EXPECT_THAT(refusal(path_), AllOf(HasSubstr("in use by the processes " + pid + " ("),
                                    HasSubstr("end that pipeline first")));
  std::thread later{[&] {
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
    ::close(ends[1]);
  }};
  Segment segment{"after", kTwo, {path_.string(), kShape}};
  EXPECT_TRUE(segment.open()) << "it waits for processes that are about to end";
  later.join();
  ::close(ends[0]);
}

TEST_F(SegmentFile, IsInUseByAnotherSegmentOfTheSameProcess) {
  Segment first{"first", kTwo, {path_.string(), kShape}};
  first.open();
  first.prefault();
  EXPECT_THAT(refusal(path_), HasSubstr("in use by"));
}

TEST_F(SegmentFile, CanBeTakenOverAfterARefusal) {
  leave_behind();
  Segment other{"other", kTwo, {path_.string(), "stage parse: 3 workers\n"}};
  EXPECT_THROW(other.open(), Error);
  Segment right{"right", kTwo, {path_.string(), kShape}};
  EXPECT_TRUE(right.open()) << "whoever was refused keeps no lock";
}

TEST_F(SegmentFile, OfAnotherBootIsRefused) {
  leave_behind();
  std::string id;
  std::ifstream{"/proc/sys/kernel/random/boot_id"} >> id;
  const std::size_t at = snapshot(path_).bytes.find(id);
  ASSERT_NE(at, std::string::npos);
  overwrite(at, id[0] == 'f' ? "0" : "f");
  EXPECT_THAT(refusal(path_),
              AllOf(HasSubstr("in another boot of this machine"), HasSubstr("remove the file")));
}

TEST_F(SegmentFile, OfAnotherVersionIsRefused) {
  leave_behind();
  constexpr std::size_t kVersionAt = 8;  // Behind the magic, in every version.
  overwrite(kVersionAt, std::string{"\x7f\0\0\0", 4});
  EXPECT_THAT(refusal(path_), AllOf(HasSubstr("another version made it"), HasSubstr("127")));
}

TEST_F(SegmentFile, OfAnotherShapeIsRefusedAndTheDifferenceNamed) {
  leave_behind();
  EXPECT_THAT(refusal(path_, "stage parse: 4 workers\nstage book: 1 worker\nlane parse to book: 1MiB\n"),
              HasSubstr("of another shape: stage parse: 2 workers in the file, 4 workers now"));
  EXPECT_THAT(refusal(path_, "stage parse: 2 workers\nstage bars: 1 worker\nlane parse to book: 2MiB\n"),
              HasSubstr("stage bars: not in the file, 1 worker now; and 2 differences more"));
  EXPECT_THAT(refusal(path_, "stage parse: 2 workers\nstage book: 1 worker\n"),
              HasSubstr("lane parse to book: 1MiB in the file, not there now"));
  EXPECT_THAT(refusal(path_, "stage book: 1 worker\nstage parse: 2 workers\nlane parse to book: 1MiB\n"),
              HasSubstr("another order"));
}

TEST_F(SegmentFile, OfAnotherSizeIsRefused) {
  leave_behind();
  const auto size = fs::file_size(path_);
  fs::resize_file(path_, size - 4096);
  EXPECT_THAT(refusal(path_), HasSubstr("it is damaged"));
  fs::resize_file(path_, 100);
  EXPECT_THAT(refusal(path_), HasSubstr("it is damaged"));
}

TEST_F(SegmentFile, ThatSaysItsHeaderIsEnormousIsRefused) {
  leave_behind();
  constexpr std::size_t kShapeBytesAt = 24;
  overwrite(kShapeBytesAt, std::string(8, '\xff'));
  EXPECT_THAT(refusal(path_), HasSubstr("it is damaged"));
}

TEST_F(SegmentFile, ThatIsSomethingElseIsRefused) {
  std::ofstream{path_} << "the only copy of a novel";
  EXPECT_THAT(refusal(path_), HasSubstr("it is no segment"));
  std::ofstream{path_} << std::string(100'000, 'x');
  EXPECT_THAT(refusal(path_), HasSubstr("it is no segment"));
  std::ofstream{path_, std::ios::trunc}.flush();
  EXPECT_THAT(refusal(path_), HasSubstr("it is no segment (0 bytes"));
}

TEST_F(SegmentFile, ThatIsNoRegularFileIsRefused) {
  EXPECT_THAT(refusal(directory_), HasSubstr("it is a directory"));
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(refusal(path_), HasSubstr("it is no regular file"));
  fs::remove(path_);
  leave_behind();
  const Snapshot before = snapshot(path_);
  fs::create_symlink(path_, directory_ / "link");
  EXPECT_THAT(refusal(directory_ / "link"), HasSubstr("it is a symbolic link"));
  EXPECT_TRUE(snapshot(path_) == before);
  EXPECT_THAT(refusal("/dev/null"), HasSubstr("it is no regular file"));
}

TEST_F(SegmentFile, ThatOthersMayWriteIsRefused) {
  leave_behind();
  fs::permissions(path_, fs::perms::others_write, fs::perm_options::add);
  EXPECT_THAT(refusal(path_), HasSubstr("others may write it (mode 0602)"));
  fs::permissions(path_, fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_write);
  EXPECT_THAT(refusal(path_), HasSubstr("others may write it (mode 0620)"));
}

TEST_F(SegmentFile, OfAnotherUserIsRefused) {
  leave_behind();
  if (::chown(path_.c_str(), 12345, static_cast<gid_t>(-1)) != 0) GTEST_SKIP() << "needs the right to chown";
  EXPECT_THAT(refusal(path_), HasSubstr("it belongs to user 12345"));
}

TEST_F(SegmentFile, InADirectoryThatIsNotThereIsAnError) {
  EXPECT_THAT(refusal(directory_ / "nowhere" / "segment"), HasSubstr("No such file or directory"));
  std::ofstream{path_} << "a file";
  EXPECT_THAT(refusal(path_ / "segment"), HasSubstr("Not a directory"));
}

TEST_F(SegmentFile, OnAFullFileSystemIsAnErrorAtTheStartAndLeavesNothingBehind) {
  constexpr int kNotAllowed = 77;
  test::Child starter{[&] {
    // A mount that only this process sees.
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=16k") != 0) {
      return kNotAllowed;
    }
    Segment segment{"full", kTwo, {path_.string(), kShape}};
    try {
      segment.open();
      segment.prefault();
    } catch (const Error& error) {
      const bool told = std::string_view{error.what()}.find("No space left") != std::string_view::npos;
      return told && fs::is_empty(directory_) ? 0 : 1;
    }
    return 2;
  }};
  const test::Ending ending = starter.ending();
  if (ending == "exit " + std::to_string(kNotAllowed)) GTEST_SKIP() << "needs the right to mount";
  EXPECT_EQ(ending, "exit 0");
}

TEST_F(SegmentFile, IsRemovedByTheProcessThatOpenedItAndNoOther) {
  Segment segment{"end", kTwo, {path_.string(), kShape}};
  segment.open();
  segment.prefault();
  test::Child child{[&] {
    segment.remove_file();
    return 0;
  }};
  ASSERT_EQ(child.ending(), "exit 0");
  EXPECT_TRUE(fs::exists(path_));
  segment.remove_file();
  EXPECT_EQ(entries(), 0U);
}

TEST_F(SegmentFile, WhoseNameAnotherFileHasTakenIsLeftAlone) {
  Segment segment{"moved", kTwo, {path_.string(), kShape}};
  segment.open();
  segment.prefault();
  fs::rename(path_, directory_ / "elsewhere");
  std::ofstream{path_} << "somebody else's";
  segment.remove_file();
  EXPECT_TRUE(fs::exists(path_));
  EXPECT_TRUE(fs::exists(directory_ / "elsewhere"));
}

// How often this process has the file open.
std::size_t descriptors_of(const fs::path& path) {
  std::size_t count = 0;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator{"/proc/self/fd"})
    count += fs::read_symlink(entry.path(), gone) == path ? 1 : 0;
  return count;
}

TEST_F(SegmentFile, ThatLosesItsNameWhileTheNextStartWaitsForItIsMadeAnew) {
  leave_behind();
  const int holder = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(holder, LOCK_EX), 0);
  const std::size_t before = descriptors_of(path_);
  bool taken_over = true;
  std::thread next{[&] {
    Segment segment{"next", kTwo, {path_.string(), kShape}};
    taken_over = segment.open();
    if (!taken_over) segment.prefault();
  }};
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{1};
  while (descriptors_of(path_) == before && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  fs::remove(path_);
  ::close(holder);
  next.join();
  EXPECT_FALSE(taken_over) << "no later start would find what it does";
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(SegmentFile, MadeByTwoAtOnceIsMadeByOne) {
  Segment one{"one", kTwo, {path_.string(), kShape}};
  Segment two{"two", kTwo, {path_.string(), kShape}};
  EXPECT_FALSE(one.open());
  EXPECT_FALSE(two.open());
  one.prefault();
  try {
    two.prefault();
    ADD_FAILURE() << "both have it";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("another process has made it at the same time"));
  }
}

}  // namespace
}  // namespace sluice::ipc
