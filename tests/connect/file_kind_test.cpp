// SPDX-License-Identifier: Apache-2.0
// Of which kind a file is that is followed: its first bytes decide, and they may come late, or be others than those before.
#include "file_source_world.hpp"
#include "line_reader_test_support.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr LineReaderOptions kGrowing{
    .max_line_bytes = 4096, .access_point_every_bytes = 16384, .growing = true};

// A file of whatever kind, which a reader has open from its first byte on.
class KindOfAFile : public ::testing::Test {
 protected:
  void append(const std::string& text) const {
    std::ofstream{path_, std::ios::app | std::ios::binary} << text;
  }
  // Byte by byte until it is whole: what has come by then.
  Reading read_bytewise(LineReader& file, const std::string& content) const {
    Reading all;
    for (const char byte : content.substr(0, content.size() - 1)) {
      append({byte});
      Reading some = read_all(file);
      all.lines.insert(all.lines.end(), some.lines.begin(), some.lines.end());
      // As one who follows it does where an archive has more to come.
      if (some.last.status == LineStatus::broken && file.ends_early()) file.resume(file.position());
      if (file.compressed()) break;
    }
    append(content.substr(std::filesystem::file_size(path_)));
    Reading rest = read_all(file);
    all.lines.insert(all.lines.end(), rest.lines.begin(), rest.lines.end());
    all.last = rest.last;
    return all;
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.write("a", "");
};

TEST_F(KindOfAFile, ThatIsEmptyAtFirstIsKnownByWhatComes) {
  for (const std::string& content : {gzip("one\ntwo\n"), zstd("one\ntwo\n")}) {
    directory_.write("a", "");
    LineReader file{path_, kGrowing};
    EXPECT_THAT(read_all(file).lines, IsEmpty());
    const Reading reading = read_bytewise(file, content);
    EXPECT_THAT(reading.lines, ElementsAre("one", "two"));
    EXPECT_EQ(reading.last.status, LineStatus::end);
    EXPECT_TRUE(file.compressed());
  }
}

TEST_F(KindOfAFile, ThatIsTextIsKnownBeforeItsFirstLineHasEnded) {
  const std::string almost_xz = std::string{"\xfd"} + "7zXZ\n\n";
  for (const std::string& text :
       {std::string{"Plain\nB\n"}, std::string{"BZh9\nPK\n"}, std::string{"\n\x1f\n"},
        std::string{"PK\x03\n(\xb5\n"}, std::string{"P*\n\n"}, almost_xz}) {
    directory_.write("a", "");
    LineReader file{path_, kGrowing};
    EXPECT_EQ(read_bytewise(file, text).lines, split(text));
    EXPECT_FALSE(file.compressed());
  }
}

TEST_F(KindOfAFile, ThatBeganWithBytesOfAnotherKindIsTextIfNothingFollows) {
  append("P");
  LineReader file{path_, kGrowing};
  EXPECT_THAT(read_all(file).lines, IsEmpty());
  file.stop_growing();
  EXPECT_THAT(read_all(file).lines, ElementsAre("P"));
}

TEST_F(KindOfAFile, ThatIsOfOneWhichCannotBeReadIsReportedWheneverItComes) {
  LineReader file{path_, kGrowing};
  EXPECT_THAT(read_all(file).lines, IsEmpty());
  append("PK\x03\x04 and more\n");
  const Reading reading = read_all(file);
  EXPECT_THAT(reading.lines, IsEmpty());
  EXPECT_EQ(reading.last.status, LineStatus::broken);
  EXPECT_FALSE(file.ends_early());
  EXPECT_THAT(file.failure(), HasSubstr("compressed by zip"));
}

class FollowedKinds : public FileSources {
 protected:
  // That it has looked at the log, and waits for what comes.
  bool has_open(Following& log) const {
    return eventually([&] {
      std::error_code gone;
      const pid_t pid = worker_of(log.engine(), "read/0").pid;
      for (const auto& entry :
           std::filesystem::directory_iterator{"/proc/" + std::to_string(pid) + "/fd", gone}) {
        if (std::filesystem::read_symlink(entry.path(), gone) == path("log")) return true;
      }
      return false;
    });
  }
  // Whoever compresses into the log has written half of it when the source has read all that there is, and is done later.
  void expect_all_of_halves(const std::string& content, std::size_t lines) {
    append("log", content.substr(0, content.size() / 2));
    LineReader half{path("log"), {}};
    const std::size_t lines_of_half = read_all(half).lines.size();
    ASSERT_GT(lines_of_half, 0U);
    Following log{FileSourceOptions{.paths = {path("log")}, .follow = true, .rotation_grace = 1h},
                  settings()};
    ASSERT_TRUE(log.has(lines_of_half));
    append("log", content.substr(content.size() / 2));
    ASSERT_TRUE(log.has(lines)) << ::testing::PrintToString(log.problems());
    EXPECT_EQ(texts(log.drain()), split(numbered(0, static_cast<int>(lines), "line")));
    EXPECT_THAT(log.problems(), IsEmpty());
  }
};

TEST_F(FollowedKinds, OfAFileThatIsEmptyAtFirstAreThoseOfWhatComes) {
  for (const std::string& content : {gzip("one\ntwo\n"), zstd("one\ntwo\n"), std::string{"one\ntwo\n"}}) {
    directory_.write("log", "");
    Following log{path("log"), settings()};
    ASSERT_TRUE(has_open(log));
    append("log", content);
    ASSERT_TRUE(log.has(2));
    EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two"));
    EXPECT_THAT(log.problems(), IsEmpty());
  }
}

TEST_F(FollowedKinds, OfAFileThatIsCutAreThoseOfWhatItIsFilledWith) {
  append("log", "half a line");
  Following log{path("log"), settings()};
  ASSERT_TRUE(has_open(log));
  for (const auto& [content, lines] : {std::pair{gzip("one\ntwo\n"), 2U},
                                       {zstd("three\nfour\n"), 4U},
                                       {std::string{"five\nhalf a line"}, 5U}}) {
    log.pause();
    std::ofstream{path("log"), std::ios::trunc | std::ios::binary} << content;
    log.go_on();
    ASSERT_TRUE(log.has(lines)) << ::testing::PrintToString(log.problems());
  }
  EXPECT_THAT(texts(log.drain()), ElementsAre("one", "two", "three", "four", "five"));
}

TEST_F(FollowedKinds, ThatAreCompressedAreReadOnWhileTheyAreBeingWritten) {
  constexpr int kLines = 100'000;
  expect_all_of_halves(gzip(numbered(0, kLines, "line")), kLines);
}

TEST_F(FollowedKinds, ThatAreFramesAreReadOnWhileTheyAreBeingWritten) {
  constexpr int kLines = 100'000;
  expect_all_of_halves(zstd(numbered(0, kLines, "line")), kLines);
}

TEST_F(FollowedKinds, AreReadOnWhileTheirWorkerIsKilled) {
  constexpr int kLines = 60'000;
  const std::string content = gzip(numbered(0, kLines, "line"));
  append("log", "");
  Following log{FileSourceOptions{.paths = {path("log")}, .follow = true, .rotation_grace = 1h}, settings()};
  Killer killer{log.engine(), log.out(), 3'000};
  constexpr std::size_t kPieces = 20;
  for (std::size_t piece = 0; piece < kPieces; ++piece) {
    const std::size_t begin = content.size() * piece / kPieces;
    append("log", content.substr(begin, content.size() * (piece + 1) / kPieces - begin));
  }
  ASSERT_TRUE(log.has(kLines));
  killer.stop();
  EXPECT_EQ(texts(log.drain()), split(numbered(0, kLines, "line")));
  EXPECT_THAT(log.problems(), IsEmpty());
}

// Its header comes later than the file, in two pieces.
TEST_F(FollowedKinds, HaveTheirHeaderWhenItComes) {
  append("log", "");
  Following log{FileSourceOptions{.paths = {path("log")}, .follow = true, .header = true}, settings()};
  ASSERT_TRUE(has_open(log));
  append("log", "na");
  append("log", "me\none\n");
  ASSERT_TRUE(log.has(1));
  EXPECT_THAT(texts(log.drain()), ElementsAre("one"));
}

}  // namespace
}  // namespace sluice::test
