// SPDX-License-Identifier: Apache-2.0
// FileSource that follows a log which is rotated: every line once and in order, whatever the rotation does between two of its
// looks; and what cannot be known is said.
#include <functional>
#include <iostream>

#include "file_source_world.hpp"
#include "kill_count.hpp"
#include "rotated_files.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FileRotation : public FileSources {
 protected:
  // Keeps the time of the file's last write, as gzip does.
  void compress(const std::string& name) const {
    const auto time = std::filesystem::last_write_time(path(name));
    directory_.write(name + ".gz", gzip(slurp(path(name))));
    std::filesystem::last_write_time(path(name + ".gz"), time);
    std::filesystem::remove(path(name));
  }
  // log.1 becomes log.2 and so on, and log becomes log.1.
  void rotate(int files) const {
    for (int number = files; number > 0; --number) {
      for (const char* end : {"", ".gz"}) {
        const std::string from = "log." + std::to_string(number) + end;
        if (std::filesystem::exists(path(from))) rename(from, "log." + std::to_string(number + 1) + end);
      }
    }
    rename("log", "log.1");
    append("log", "");
    if (std::filesystem::exists(path("log.2"))) compress("log.2");
  }

  struct Rotation {
    int per_file;
    std::function<void(int number)> rotate;  // The file that is full by now, from 1.
    std::size_t most_behind;                 // Lines that the source may have yet to read.
    std::size_t lines_a_kill;
  };
  // So many lines, numbered, into a log that is rotated and followed, while its worker is killed: each once and in order. How
  // often it was killed.
  int expect_all_lines(int lines, const Rotation& rotation) {
    append("log", numbered(0, 100, "line"));
    Following log{path("log"), settings()};
    EXPECT_TRUE(log.has(100)) << "what was rotated before its first look would be none of it";
    Killer killer{log.engine(), log.out(), rotation.lines_a_kill};
    for (int line = 100; line < lines && !HasFailure(); line += 100) {
      if (line % rotation.per_file == 0) rotation.rotate(line / rotation.per_file);
      append("log", numbered(line, line + 100, "line"));
      EXPECT_TRUE(eventually(
          [&] { return log.out().count() + rotation.most_behind > static_cast<std::size_t>(line); }));
    }
    EXPECT_TRUE(log.has(static_cast<std::size_t>(lines)))
        << log.out().count() << " " << ::testing::PrintToString(log.problems());
    const int kills = killer.stop();
    std::cout << kills << " kills, " << lines << " lines\n";
    const std::vector<std::string> all = texts(log.drain());
    for (std::size_t line = 0; line < all.size() && !HasFailure(); ++line)
      EXPECT_EQ(all[line], "line " + std::to_string(line)) << "of " << all.size();
    EXPECT_EQ(all.size(), static_cast<std::size_t>(lines));
    EXPECT_THAT(log.problems(), IsEmpty());
    return kills;
  }

  // A pipeline that has read "one" from the log, and is parked: how it is gone on with.
  Settings parked_behind_one() const {
    Settings kept = settings();
    kept.set("segment.path", path("segment"));
    append("log", "one\n");
    Following log{path("log"), kept};
    EXPECT_TRUE(log.has(1));
    log.engine().park();
    return kept;
  }

  // Follows what can be read once, of which it has said why; the log is rotated then, and goes on.
  void expect_read_once(const std::string& once, const std::string& more, const std::string& problem) const {
    append("log", once);
    Following log{path("log"), settings()};
    ASSERT_TRUE(log.has(2));
    append("log", more);
    ASSERT_TRUE(eventually([&] { return log.problems().size() == 1; }));
    rename("log", "log.1");
    append("log", "four\n");
    ASSERT_TRUE(log.has(3));
    EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two", "four"));
    EXPECT_THAT(log.problems(), ElementsAre(HasSubstr(problem)));
  }
};

TEST_F(FileRotation, ReadsARenamedFileToItsEndBeforeTheNewOne) {
  append("log", "one\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  std::filesystem::rename(path("log"), path("log.1"));
  append("log.1", "two\nno newline");  // Whoever writes has the old file open.
  append("log", "three\n");
  ASSERT_TRUE(log.has(4));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two", "no newline", "three"));
}

TEST_F(FileRotation, FollowsALogThatIsRotatedWhileItsWorkerIsKilledAgainAndAgain) {
  constexpr int kLinesAKill = 900;
  const auto rename_it = [this](int number) { rename("log", "log-20260" + std::to_string(100 + number)); };
  // It may be three files behind.
  const int kills = expect_all_lines(
      static_cast<int>(kills_asked(45)) * kLinesAKill / 100 * 100,
      {.per_file = 2'500, .rotate = rename_it, .most_behind = 7'500, .lines_a_kill = kLinesAKill});
  EXPECT_GT(kills, 3);
}

// As logrotate does with `delaycompress`; what is compressed may be what is read.
TEST_F(FileRotation, FollowsALogWhoseRotatedFilesAreCompressedWhileItsWorkerIsKilled) {
  constexpr int kLinesAKill = 700;
  expect_all_lines(static_cast<int>(kills_asked(20)) * kLinesAKill,
                   {.per_file = 1'000,
                    .rotate = [this](int number) { rotate(number); },
                    .most_behind = 2'500,
                    .lines_a_kill = kLinesAKill});
}

// As bgzip and pzstd do: what the end of such a file says of its length, or its beginning, is that of a piece.
TEST_F(FileRotation, KnowsWhatItHasReadInAFileThatIsCompressedInPieces) {
  const std::string skipped{"\x50\x2a\x4d\x18\x04\0\0\0size", 12};
  for (const bool by_zstd : {false, true}) {
    const std::string log = by_zstd ? "b" : "a";
    append(log, "one\ntwo\n");
    Following following{path(log), settings()};
    ASSERT_TRUE(following.has(2));
    rename(log, log + ".1");
    append(log, "three\n");
    ASSERT_TRUE(following.has(3));
    const auto time = std::filesystem::last_write_time(path(log + ".1"));
    const std::string end = by_zstd ? ".1.zst" : ".1.gz";
    std::string text = by_zstd ? skipped + zstd("one\n") : gzip("one\n");
    text += by_zstd ? zstd("two\n") : gzip("two\n");
    directory_.write(log + end, text);
    std::filesystem::last_write_time(path(log + end), time);
    std::filesystem::remove(path(log + ".1"));
    rename(log, log + ".2");
    append(log, "four\n");
    ASSERT_TRUE(following.has(4));
    append(log, "five\n");
    ASSERT_TRUE(following.has(5));
    EXPECT_THAT(texts(following.drain()), ElementsAre("one", "two", "three", "four", "five"));
    EXPECT_THAT(following.problems(), IsEmpty());
  }
}

TEST_F(FileRotation, FindsAFileThatWasRenamedWhileThePipelineWasParked) {
  const Settings kept = parked_behind_one();
  append("log", "two\n");
  std::filesystem::rename(path("log"), path("log.1"));
  append("log", "three\n");
  Following log{path("log"), kept};
  ASSERT_TRUE(log.has(2));
  EXPECT_THAT(texts(log.drain()), ElementsAre("two", "three"));
}

TEST_F(FileRotation, GoesOnInARenamedFileWhenItsWorkerIsReplacedBeforeThereIsANewOne) {
  append("log", "one\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  const std::uint32_t incarnation = worker_of(log.engine(), "read/0").incarnation;
  std::filesystem::rename(path("log"), path("log.1"));
  append("log.1", "two\n");
  ASSERT_TRUE(log.has(2));
  ASSERT_TRUE(log.engine().signal_worker("read/0", SIGKILL));
  append("log.1", "three\n");
  ASSERT_TRUE(eventually([&] { return worker_of(log.engine(), "read/0").incarnation != incarnation; }));
  ASSERT_TRUE(log.has(3));
  append("log", "four\n");
  ASSERT_TRUE(log.has(4));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two", "three", "four"));
  EXPECT_THAT(log.problems(), IsEmpty());
}

// It has an end although it has its name still: nothing is appended to it as to a log.
TEST_F(FileRotation, ReadsACompressedFileOnceThatItFollows) {
  expect_read_once(zstd("one\ntwo\n"), zstd("three\n"), "has grown by ");
}

TEST_F(FileRotation, ReadsADamagedFileOnceThatItFollows) {
  expect_read_once(gzip("one\ntwo\n") + gzip("three\n").substr(0, 9), "", "behind line 2");
}

TEST_F(FileRotation, BeginsATruncatedFileAgainAndSaysSo) {
  append("log", "one is long\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  std::filesystem::resize_file(path("log"), 0);
  append("log", "two\n");
  ASSERT_TRUE(log.has(2));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one is long", "two"));
  EXPECT_THAT(log.problems(), ElementsAre(HasSubstr("truncated")));
}

TEST(RotatedNames, AreTheLogsWithANumberOrADate) {
  using detail::is_rotated_name;
  for (const char* name :
       {"x.log.1", "x.log.12.gz", "x.log-20260101", "x.log-20260101-1767225600.zst", "x.log.2026-01-01T00:00",
        "x.log.old", "x.log.1.xz", "x.1.log", "x-20260101.log", "x.2026-01-01.log.gz"})
    EXPECT_TRUE(is_rotated_name(name, "x.log")) << name;
  for (const char* name : {"x.log", "x.log.gz", "x.log.tmp", "x.log-errors", "x.log.", "x-8080.log",
                           "x.8080.log", "x.errors.log", "y.log.1", "x.log1", "xx.log.1"})
    EXPECT_FALSE(is_rotated_name(name, "x.log")) << name;
  EXPECT_TRUE(is_rotated_name("log.1", "log"));
  EXPECT_FALSE(is_rotated_name("log.1", ".log"));
}

TEST_F(FileRotation, ReadsTheFilesThatCameAndWentBetweenTwoLooks) {
  append("log.1", "of before\n");
  append("log", "one\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  log.pause();
  append("log", "two\n");
  for (const char* text : {"three\n", "four\n", "five\n"}) {
    for (int number = 4; number > 0; --number) {
      const std::string from = "log." + std::to_string(number);
      if (std::filesystem::exists(path(from))) rename(from, "log." + std::to_string(number + 1));
    }
    rename("log", "log.1");
    append("log", text);
  }
  log.go_on();
  ASSERT_TRUE(log.has(5));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two", "three", "four", "five"));
  EXPECT_THAT(log.problems(), IsEmpty());
}

TEST_F(FileRotation, ReadsAFileBetweenThatIsCompressedByNowAndNoneThatItHasRead) {
  append("log-20260101", "of before\n");
  append("log-errors", "no rotated one\n");
  append("log", "one\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  rename("log", "log-20260102");
  append("log", "two\n");
  ASSERT_TRUE(log.has(2));
  log.pause();
  rename("log", "log-20260103");
  append("log", "three\n");
  rename("log", "log-20260104");
  for (const char* day : {"1", "2", "4"})
    compress("log-2026010" + std::string{day});
  append("log", "four\n");
  log.go_on();
  ASSERT_TRUE(log.has(4));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two", "three", "four"));
  EXPECT_THAT(log.problems(), IsEmpty());
}

TEST_F(FileRotation, SaysWhichFileBetweenItCannotRead) {
  append("log", "one\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  log.pause();
  rename("log", "log.2");
  append("log.1.xz", "two\n");
  append("log", "three\n");
  log.go_on();
  ASSERT_TRUE(log.has(2));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "three"));
  EXPECT_THAT(log.problems(), ElementsAre(HasSubstr("log.1.xz")));
}

TEST_F(FileRotation, SaysThatAFileBetweenMayHaveBeenRemoved) {
  append("log", "one\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  log.pause();
  std::filesystem::remove(path("log"));
  append("log", "two\n");
  std::filesystem::remove(path("log"));
  append("log", "three\n");
  log.go_on();
  ASSERT_TRUE(log.has(2));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "three"));
  EXPECT_THAT(log.problems(), ElementsAre(HasSubstr("was removed before it was done with")));
}

TEST_F(FileRotation, GoesOnBehindSeveralFilesThatCameWhileThePipelineWasParked) {
  const Settings kept = parked_behind_one();
  append("log", "two\n");
  rename("log", "log.2");
  append("log", "three\n");
  rename("log", "log.1");
  append("log", "four\n");
  Following log{path("log"), kept};
  ASSERT_TRUE(log.has(3));
  EXPECT_THAT(texts(log.drain()), ElementsAre("two", "three", "four"));
  EXPECT_THAT(log.problems(), IsEmpty());
}

TEST_F(FileRotation, GoesOnInAFileThatWasCompressedWhileThePipelineWasParked) {
  const Settings kept = parked_behind_one();
  directory_.write("log.1.gz", gzip("one\ntwo\n"));
  std::filesystem::remove(path("log"));
  append("log", "three\n");
  Following log{path("log"), kept};
  ASSERT_TRUE(log.has(2));
  EXPECT_THAT(texts(log.drain()), ElementsAre("two", "three"));
  EXPECT_THAT(log.problems(), IsEmpty());
}

// As logrotate and nginx do: the process writes into the renamed file until it is told to open the new one.
TEST_F(FileRotation, ReadsWhatIsWrittenLateIntoTheRenamedFile) {
  append("log", "one\n");
  Following log{{.paths = {path("log")}, .follow = true, .rotation_grace = 1h}, settings()};
  ASSERT_TRUE(log.has(1));
  rename("log", "log.1");
  append("log", "new\n");  // Another of its processes was quicker.
  for (std::size_t late = 0; late < 5; ++late) {
    append("log.1", "late " + std::to_string(late) + "\n");
    ASSERT_TRUE(log.has(late + 2));
  }
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "late 0", "late 1", "late 2", "late 3", "late 4"));
}

TEST_F(FileRotation, SaysWhatWasWrittenIntoAFileThatItHasLeft) {
  append("log", "one\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  rename("log", "log.1");
  append("log", "two\n");
  ASSERT_TRUE(log.has(2));
  append("log.1", "too late\n");
  rename("log", "log.2");
  append("log", "three\n");
  ASSERT_TRUE(log.has(3));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two", "three"));
  EXPECT_THAT(log.problems(), ElementsAre(HasSubstr("log.1 has grown by 9 bytes")));
}

TEST_F(FileRotation, SeesThatAFileWasCutAndFilledBeyondWhatItHadRead) {
  append("log", "one\nsome\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(2));
  log.pause();
  std::filesystem::resize_file(path("log"), 0);
  append("log", numbered(0, 100, "anew"));
  log.go_on();
  ASSERT_TRUE(log.has(102));
  const std::vector<std::string> all = texts(log.drain());
  ASSERT_THAT(all, SizeIs(102));
  EXPECT_EQ(all[2], "anew 0");
  EXPECT_THAT(log.problems(), ElementsAre(HasSubstr("was cut and filled again")));
}

TEST_F(FileRotation, SeesThatAFileWasCutAndFilledUnderAReplacementAndUnderAHalfLine) {
  append("log", "one\nhalf");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  log.pause();
  std::filesystem::resize_file(path("log"), 0);
  append("log", "two\nis a longer line than that\n");
  log.go_on();
  ASSERT_TRUE(log.has(3));
  log.pause();
  std::filesystem::resize_file(path("log"), 0);
  append("log", numbered(0, 100, "anew"));
  ASSERT_TRUE(log.engine().signal_worker("read/0", SIGKILL));
  ASSERT_TRUE(log.has(103));
  const std::vector<std::string> all = texts(log.drain());
  ASSERT_THAT(all, SizeIs(103));
  EXPECT_EQ(all[1], "two");
  EXPECT_EQ(all[3], "anew 0");
  EXPECT_EQ(log.problems().size(), 2U);
}

// logrotate's copytruncate: what was copied and not read before the cut is in the copy.
TEST_F(FileRotation, ReadsOnInTheCopyOfAFileThatWasCut) {
  append("log", "one\n");
  Following log{path("log"), settings()};
  ASSERT_TRUE(log.has(1));
  for (const std::string name : {"log.1", "log.2"}) {
    log.pause();
    append("log", "unread by " + name + "\n");
    std::filesystem::copy_file(path("log"), path(name));
    std::filesystem::resize_file(path("log"), 0);
    append("log", "of the one behind " + name + ", which is longer\n");
    log.go_on();
    ASSERT_TRUE(log.has(name == "log.1" ? 3 : 5));
  }
  EXPECT_THAT(texts(log.drain()),
              ElementsAre("one", "unread by log.1", "of the one behind log.1, which is longer",
                          "unread by log.2", "of the one behind log.2, which is longer"));
  EXPECT_THAT(log.problems(), SizeIs(2));
}

}  // namespace
}  // namespace sluice::test
