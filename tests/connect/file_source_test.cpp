// SPDX-License-Identifier: Apache-2.0
// FileSource: every line once and in order, whatever is killed, renamed, truncated or damaged meanwhile.
#include <iostream>
#include <map>
#include <sys/stat.h>

#include "file_source_world.hpp"
#include "kill_count.hpp"
#include "line_reader_test_support.hpp"

namespace sluice::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FileSourceTest : public FileSources {
 protected:
  void expect_each_once_through_kills(Framing framing, unsigned kills);
};

// "KEY NUMBER word i" for lines of a file that begins with the word's line 0.
std::vector<std::string> told(const std::string& file, int count, const std::string& word) {
  std::vector<std::string> lines;
  lines.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    lines.push_back(std::to_string(file_key(file)) + " " + std::to_string(i + 1) + " " + word + " " +
                    std::to_string(i));
  return lines;
}

// In files of three kinds, read by two workers.
void FileSourceTest::expect_each_once_through_kills(Framing framing, unsigned kills) {
  constexpr int kFiles = 6;
  constexpr int kLinesAKill = 2'500;
  const int lines = static_cast<int>(kills) * kLinesAKill / kFiles;
  std::filesystem::create_directory(path("day"));
  std::map<std::string, std::string> words;
  for (int i = 0; i < kFiles; ++i) {
    const std::string word = "w" + std::to_string(i);
    std::string text = numbered(0, lines, word);
    if (framing == Framing::length_prefixed) text = all_prefixed(split(text));
    const std::string name = "day/" + word + (i % 3 == 0 ? "" : i % 3 == 1 ? ".gz" : ".zst");
    words[word] = directory_.write(name, i % 3 == 0 ? text : i % 3 == 1 ? gzip(text) : zstd(text));
  }
  directory_.write("day/.hidden", "not this\n");
  const Pipeline pipeline = reading({.paths = {path("day")}, .framing = framing}, 2);
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  Killer killer{engine, out, kLinesAKill};
  engine.wait();
  const std::vector<std::string> all = out.all();
  EXPECT_GT(killer.stop(), 3);
  std::cout << killer.stop() << " kills, " << all.size() << " lines\n";
  std::map<std::string, std::vector<std::string>> of;
  for (const std::string& line : all)
    of[line.substr(0, line.find(' '))].push_back(line);
  EXPECT_THAT(of, SizeIs(kFiles));
  for (const auto& [word, file] : words)
    EXPECT_TRUE(of[std::to_string(file_key(file))] == told(file, lines, word)) << file;
}

TEST_F(FileSourceTest, ReadsEachLineOfADirectoryOnceWhileItsWorkersAreKilled) {
  expect_each_once_through_kills(Framing::lines, kills_asked(48));
}

TEST_F(FileSourceTest, ReadsEachPrefixedRecordOfADirectoryOnceWhileItsWorkersAreKilled) {
  expect_each_once_through_kills(Framing::length_prefixed, kills_asked(48));
}

// What a source passes without a line, for however long, is no stall: text of gigabytes may come of a small archive.
TEST_F(FileSourceTest, IsNotTakenForStalledInALineOfAGibibyte) {
  std::filesystem::create_directory(path("day"));
  std::string archive;
  const std::string member = gzip(std::string(std::size_t{64} << 20U, '0'), {}, 1);
  for (int i = 0; i < 16; ++i)
    archive += member;
  directory_.write("day/a.gz", archive + gzip("\n"));
  directory_.write("day/b", "one\n");
  Settings quick = settings();
  quick.set("stage.read.watchdog.deadline", "100ms");
  const Pipeline pipeline = reading({.paths = {path("day")}});
  Engine engine{pipeline, quick};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  engine.wait();
  EXPECT_THAT(texts(out.all()), ElementsAre("one"));
  EXPECT_EQ(engine.stats().stages[0].restarts(), 0U);
  EXPECT_THAT(engine.stats().problems, ElementsAre(HasSubstr("line 1: 1073741824 bytes")));
}

TEST_F(FileSourceTest, CanBeDrainedInTheMidstOfALineWithoutAnEnd) {
  directory_.write("endless", "one\n");
  std::filesystem::resize_file(path("endless"), std::uintmax_t{1} << 40U);  // Takes no room on the disk.
  const Pipeline pipeline = reading({.paths = {path("endless")}});
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  ASSERT_TRUE(eventually([&] { return out.count() == 1; }));
  engine.drain();
  EXPECT_THAT(texts(out.all()), ElementsAre("one"));
}

// Whoever opens a pipe waits for its other side.
TEST_F(FileSourceTest, EndsWithAnErrorWhereAPipeTakesTheNameThatItFollows) {
  Following log{path("log"), settings()};
  ASSERT_EQ(::mkfifo(path("log").c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { log.engine().wait(); }), HasSubstr("log: it is no file"));
}

TEST_F(FileSourceTest, ReadsLinesOfEveryLengthThroughALaneThatHoldsFew) {
  std::string text;
  std::vector<std::string> expected;
  constexpr std::size_t kLengths[] = {0, 3, 40, 5, 200, 1, 1'500, 0, 7, 600};
  for (std::size_t i = 0; i < 5'000; ++i) {
    const std::string line(kLengths[i % std::size(kLengths)], static_cast<char>('a' + i % 26));
    text += line + "\n";
    expected.push_back(std::to_string(i + 1) + " " + line);
  }
  const std::string file = directory_.write("mixed", text);
  const Pipeline pipeline = reading({.paths = {file}});
  Settings small = settings();
  small.set("lane.bytes", "4KiB");
  Engine engine{pipeline, small};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  engine.wait();
  std::vector<std::string> lines = out.all();
  for (std::string& line : lines)
    line.erase(0, line.find(' ') + 1);
  EXPECT_TRUE(lines == expected);
}

TEST_F(FileSourceTest, LeavesOutHeadersAndReportsLinesThatAreTooLongAndFilesThatAreBroken) {
  const std::string first = directory_.write("a.csv", "name,value\nx,1\n" + std::string(5000, 'y') + "\nz,2");
  std::string damaged = gzip(numbered(0, 20'000, "g"));
  damaged.resize(damaged.size() / 2);
  const std::string second = directory_.write("b.gz", damaged);
  const std::string third = directory_.write("c", "name\nlast\n");
  const Pipeline pipeline =
      reading({.paths = {first, second, third}, .header = true, .max_line_bytes = 4096});
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  engine.wait();
  const std::vector<std::string> all = out.all();
  ASSERT_GT(all.size(), 3U);
  EXPECT_EQ(all[0], std::to_string(file_key(first)) + " 2 x,1");
  EXPECT_EQ(all[1], std::to_string(file_key(first)) + " 4 z,2");
  EXPECT_EQ(all[2], std::to_string(file_key(second)) + " 2 g 1");
  EXPECT_EQ(all.back(), std::to_string(file_key(third)) + " 2 last");
  const std::vector<std::string> problems = engine.stats().problems;
  ASSERT_THAT(problems, SizeIs(2));
  EXPECT_THAT(problems[0], HasSubstr("a.csv, line 3: 5000 bytes"));
  EXPECT_THAT(problems[1], HasSubstr("b.gz"));
}

TEST_F(FileSourceTest, FollowsWhatIsAppendedLineByLine) {
  Following log{path("log"), settings()};  // It is not there yet.
  append("log", "one\ntw");
  ASSERT_TRUE(log.has(1));
  append("log", "o\nthree\nhalf");
  ASSERT_TRUE(log.has(3));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two", "three")) << "a line that has not ended is none";
}

// A name that was mistyped would be waited for in silence, for ever.
TEST_F(FileSourceTest, SaysThatItWaitsForAFileThatIsNotThere) {
  Following log{path("log"), settings()};
  ASSERT_TRUE(eventually([&] {
    const std::string waits_for = worker_of(log.engine(), "read/0").outside;
    return waits_for.find(path("log") + " is not there") != std::string::npos;
  }));
  append("log", "one\ntwo\n");
  ASSERT_TRUE(log.has(2));
  ASSERT_TRUE(eventually([&] { return worker_of(log.engine(), "read/0").outside.empty(); }));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two"));
  EXPECT_THAT(log.problems(), IsEmpty());
}

TEST_F(FileSourceTest, IsDrainedWhileItWaitsForAFileThatIsNotThere) {
  Following log{path("log"), settings()};
  ASSERT_TRUE(eventually([&] { return !worker_of(log.engine(), "read/0").outside.empty(); }));
  EXPECT_THAT(log.drain(), IsEmpty());
  EXPECT_FALSE(log.engine().interrupted());
}

TEST_F(FileSourceTest, SaysThatAFileWasTruncatedWhileItWasRead) {
  std::string lines;
  for (int i = 0; i < 100'000; ++i)
    lines += std::to_string(i) + "\n";
  append("day", lines);
  const Pipeline pipeline = reading({.paths = {path("day")}});
  Engine engine{pipeline, settings()};
  engine.start();
  // The lanes are full: nobody takes what comes out.
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "read/0").verdict == "back-pressured"; }));
  std::filesystem::resize_file(path("day"), 10);
  const Collector<Bytes> out{engine, "out"};
  engine.wait();
  EXPECT_THAT(engine.stats().problems, ElementsAre(HasSubstr("was truncated to 10 bytes while it was read")));
}

TEST_F(FileSourceTest, LeavesOutALineThatIsLongerThanALaneTakesAndSaysSo) {
  append("log", "1\n" + std::string(20'000, 'x') + "\n2\n");
  const Pipeline pipeline = reading({.paths = {path("log")}});
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  engine.wait();
  const std::string file = std::to_string(file_key(path("log")));
  EXPECT_THAT(out.all(), ElementsAre(file + " 1 1", file + " 3 2"));
  EXPECT_THAT(engine.stats().problems, ElementsAre(HasSubstr("line 2: 20000 bytes, more than")));
}

TEST_F(FileSourceTest, RefusesWhatCannotBeRead) {
  const auto error_with = [&](const FileSourceOptions& options, unsigned workers = 1) {
    const Pipeline pipeline = reading(options, workers);
    return error_of([&] {
      Engine engine{pipeline, settings()};
      engine.start();
      engine.wait();
    });
  };
  EXPECT_THAT(error_with({}), HasSubstr("none are named"));
  EXPECT_THAT(error_with({.paths = {""}}), HasSubstr("a path is empty"));
  EXPECT_THAT(error_with({.paths = {""}, .follow = true}), HasSubstr("a path is empty"));
  EXPECT_THAT(error_with({.paths = {path("nothing")}}), HasSubstr("No such file"));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(error_with({.paths = {path("pipe")}}), HasSubstr("neither a file nor a directory"));
  append("a", "");
  append("b", "");
  EXPECT_THAT(error_with({.paths = {path("a"), path("b")}, .follow = true}), HasSubstr("as many workers"));
  std::filesystem::create_directory(path("d"));
  EXPECT_THAT(error_with({.paths = {path("a"), path("d")}, .follow = true}, 2),
              HasSubstr("a stage of their own"));
}

}  // namespace
}  // namespace sluice::test
