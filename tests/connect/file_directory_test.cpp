// SPDX-License-Identifier: Apache-2.0
// FileSource of directories: a file is read once whatever it is called, and every file that is another is read.
#include <algorithm>
#include <iostream>

#include "file_source_world.hpp"
#include "kill_count.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FileDirectory : public FileSources {
 protected:
  FileDirectory() { std::filesystem::create_directory(path("in")); }
  // As a shipper does: whole, by a rename.
  void put(const std::string& name, const std::string& text) const {
    directory_.write("part", text);
    rename("part", "in/" + name);
  }
  FileSourceOptions in(std::uint64_t max_files = 4096) const {
    return {.paths = {path("in")}, .follow = true, .max_files = max_files};
  }
};

TEST_F(FileDirectory, ReadsFilesThatAreRenamedIntoADirectoryItFollows) {
  Following in{path("in"), settings()};
  for (int file = 0; file < 5; ++file) {
    put(std::to_string(9 - file),
        numbered(0, 10, "f" + std::to_string(file)));  // Also before those that were read.
    ASSERT_TRUE(in.has(10 * static_cast<std::size_t>(file + 1)));
  }
  EXPECT_THAT(in.drain(), SizeIs(50));
}

// "current" beside the log that it leads to; and a file that is named although its directory is.
TEST_F(FileDirectory, ReadsAFileOfSeveralNamesOnce) {
  std::filesystem::create_directory(path("archive"));
  directory_.write("in/app-28.log", "one\n");
  directory_.write("in/another", "two\n");
  std::filesystem::create_symlink("app-28.log", path("in/a-link"));
  std::filesystem::create_symlink("app-28.log", path("in/current"));
  std::filesystem::create_symlink(path("in/another"), path("archive/link"));
  std::filesystem::create_hard_link(path("in/another"), path("archive/other-name"));
  std::filesystem::create_symlink(path("archive"), path("elsewhere"));
  for (const unsigned workers : {1U, 3U}) {
    Engine engine{reading({.paths = {path("in/current"), path("in"), path("in/another"), path("archive"),
                                     path("elsewhere")}},
                          workers),
                  settings()};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    engine.wait();
    EXPECT_THAT(out.all(), SizeIs(2));
    EXPECT_THAT(engine.stats().problems, IsEmpty());
    Engine named{reading({.paths = {path("in/current"), path("in/a-link"), path("in/current")}}, workers),
                 settings()};
    named.start();
    Collector<Bytes> of_named{named, "out"};
    named.wait();
    EXPECT_THAT(of_named.all(), SizeIs(1));
  }
  Following directory{in(), settings()};
  ASSERT_TRUE(directory.has(2));
  put("three", "three\n");
  EXPECT_TRUE(directory.has(3));
  EXPECT_THAT(directory.drain(), SizeIs(3));
  EXPECT_THAT(error_of([&] {
                Engine engine{
                    reading({.paths = {path("in/current"), path("in/app-28.log")}, .follow = true}, 2),
                    settings()};
                engine.start();
                engine.wait();
              }),
              HasSubstr("it is the same as"));
}

// A disk that is not mounted, a file that somebody has taken away: what was to be read is missing.
TEST_F(FileDirectory, SaysWhichLinksLeadNowhere) {
  directory_.write("in/one", "1\n");
  std::filesystem::create_symlink(path("nowhere"), path("in/two"));
  std::filesystem::create_symlink("three", path("in/three"));
  std::filesystem::create_symlink(path("nowhere"), path("in/.hidden"));
  for (const unsigned workers : {1U, 3U}) {
    Engine engine{reading({.paths = {path("in"), path("in")}}, workers), settings()};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    engine.wait();
    EXPECT_THAT(out.all(), SizeIs(1));
    EXPECT_THAT(engine.stats().problems,
                ElementsAre(AllOf(HasSubstr(path("in/three") + ": "), HasSubstr("not read")),
                            AllOf(HasSubstr(path("in/two") + ": No such file"), HasSubstr("not read"))));
  }
}

TEST_F(FileDirectory, IsTheSameForALaterStartThatWritesASlashBehindIt) {
  Settings kept = settings();
  kept.set("segment.path", path("segment"));
  int life = 0;
  for (const std::string& name : {path("in"), path("in") + "/", path(".") + "//in/./"}) {
    // Behind all that are there: what is read once more comes before it.
    put(std::to_string(life), "in life " + std::to_string(life) + "\n");
    Following in{FileSourceOptions{.paths = {name}, .follow = true}, kept};
    ASSERT_TRUE(in.has(1));
    in.engine().park();
    EXPECT_THAT(texts(in.out().all()), ElementsAre("in life " + std::to_string(life)));
    ++life;
  }
}

// A look at a directory is shared by the files that it has found: none for each of them.
TEST_F(FileDirectory, ReadsAsManyFilesAsItMayRememberInTheOrderOfTheirNames) {
  constexpr int kFiles = 4'096;
  std::vector<std::string> expected;
  std::vector<std::string> named;
  for (int file = 0; file < kFiles; ++file) {
    const std::string text = std::to_string(1'000'000 + file);
    expected.push_back(text);
    named.push_back(directory_.write("in/" + text, text + "\n"));
  }
  for (const auto& paths : {std::vector{path("in")}, named}) {
    Engine engine{reading({.paths = paths}), settings()};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    engine.wait();
    EXPECT_TRUE(texts(out.all()) == expected) << out.count();
    EXPECT_THAT(engine.stats().problems, IsEmpty());
  }
}

// What is taken away, or renamed, between a look and its turn.
TEST_F(FileDirectory, ReadsWhatIsThereAndNoFileTwiceWhileOthersComeAndGo) {
  constexpr int kFiles = 300;
  for (int file = 0; file < kFiles; ++file)
    put(std::to_string(1'000 + file), "line " + std::to_string(file) + "\n");
  Following directory{in(), settings()};
  // From behind, so that most have not had their turn: every third is taken away, every third has another name.
  std::size_t gone = 0;
  for (int file = kFiles - 1; file > 0; file -= 3) {
    std::error_code late;
    std::filesystem::remove(path("in/" + std::to_string(1'000 + file)), late);
    ++gone;
    rename("in/" + std::to_string(999 + file), "in/" + std::to_string(5'000 + file));
  }
  // Behind all others by its name, and more than they are.
  put("last", numbered(0, 1'000, "last"));
  ASSERT_TRUE(directory.has(kFiles - gone + 1'000));
  std::vector<std::string> all = texts(directory.drain());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  for (int file = 0; file < kFiles; ++file) {
    if (file % 3 != 2) {
      EXPECT_TRUE(std::binary_search(all.begin(), all.end(), "line " + std::to_string(file))) << file;
    }
  }
}

TEST_F(FileDirectory, ReadsAFileThatIsRenamedWithinItOnceAndTheNextOneOfItsNameToo) {
  for (unsigned workers : {1U, 3U}) {
    for (const auto& entry : std::filesystem::directory_iterator{path("in")})
      std::filesystem::remove(entry);
    Following directory{in(), settings(), workers};
    std::vector<std::string> expected;
    for (int file = 0; file < 8; ++file) {
      const std::string text = "file " + std::to_string(file);
      put("current", text + "\n");
      expected.push_back(text);
      ASSERT_TRUE(directory.has(expected.size()));
      rename("in/current", "in/old" + std::to_string(file));
    }
    put("last", "last\n");
    expected.emplace_back("last");
    ASSERT_TRUE(directory.has(expected.size()));
    std::vector<std::string> all = texts(directory.drain());
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, expected);
    EXPECT_THAT(directory.problems(), IsEmpty());
  }
}

TEST_F(FileDirectory, ReadsARenamedFileOnceWhileItsWorkersAreKilled) {
  constexpr int kLines = 300;
  constexpr std::size_t kLinesAKill = 900;
  const int files = static_cast<int>(kills_asked(20)) * 3;
  std::size_t lines = 0;
  Following directory{in(), settings(), 2};
  Killer killer{directory.engine(), directory.out(), kLinesAKill};
  for (int file = 0; file < files; ++file) {
    put("current", numbered(0, kLines, "file " + std::to_string(file)));
    // Sometimes before it is read, in its midst, or when it is done.
    ASSERT_TRUE(eventually([&] { return directory.out().count() + 700 >= lines; }))
        << directory.out().count() << " " << ::testing::PrintToString(directory.problems());
    rename("in/current", "in/old" + std::to_string(file));
    lines += kLines;
  }
  ASSERT_TRUE(directory.has(lines)) << directory.out().count();
  EXPECT_GT(killer.stop(), 3);
  std::cout << killer.stop() << " kills, " << lines << " lines\n";
  std::vector<std::string> all = texts(directory.drain());
  std::vector<std::string> expected;
  for (int file = 0; file < files; ++file) {
    for (int line = 0; line < kLines; ++line)
      expected.push_back("file " + std::to_string(file) + " " + std::to_string(line));
  }
  std::sort(all.begin(), all.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_TRUE(all == expected);
  EXPECT_THAT(directory.problems(), IsEmpty());
}

// The kernel gives the number of a file that is gone to the next one.
TEST_F(FileDirectory, ReadsAFileThatHasTheNumberAndTheBeginningOfOneThatIsGone) {
  const std::string header(400, 'h');
  put("a", header + "\none\n");
  Following directory{in(), settings()};
  ASSERT_TRUE(directory.has(2));
  for (std::size_t file = 1; file <= 3; ++file) {
    std::filesystem::remove(path("in/a"));
    put("a", header + "\ntwo\n");
    ASSERT_TRUE(directory.has(2 * file + 2));
  }
  EXPECT_THAT(directory.drain(), SizeIs(8));
  EXPECT_THAT(directory.problems(), IsEmpty());
}

TEST_F(FileDirectory, ReadsAFileThatIsWrittenAnewUnderItsNameAndSaysWhatIsAppendedToOneThatItHasRead) {
  put("a", "one\n");
  put("b", "two\n");
  put("c", "read once b is done with\n");
  Following directory{in(), settings()};
  ASSERT_TRUE(directory.has(3));
  directory.pause();
  directory_.write("in/a", "three is longer\n");  // The same file by its number.
  append("in/b", "four\n");
  directory.go_on();
  ASSERT_TRUE(directory.has(4));
  ASSERT_TRUE(eventually([&] { return !directory.problems().empty(); }));
  EXPECT_THAT(texts(directory.drain()),
              ElementsAre("one", "two", "read once b is done with", "three is longer"));
  EXPECT_THAT(directory.problems(), ElementsAre(HasSubstr("b has grown by 5 bytes")));
}

TEST_F(FileDirectory, ForgetsFilesThatAreGoneWhenItHasRoomForNoMore) {
  Following directory{in(4), settings()};
  for (int file = 0; file < 12; ++file) {
    put(std::to_string(file), "line " + std::to_string(file) + "\n");
    ASSERT_TRUE(directory.has(static_cast<std::size_t>(file) + 1));
    if (file >= 2) std::filesystem::remove(path("in/" + std::to_string(file - 2)));
  }
  EXPECT_THAT(directory.drain(), SizeIs(12));
  EXPECT_THAT(directory.problems(), IsEmpty());
}

}  // namespace
}  // namespace sluice::test
