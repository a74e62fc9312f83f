// SPDX-License-Identifier: Apache-2.0
// What is delivered of truncated and corrupt captures, and how the damage is reported.

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/connect/line_reader.hpp>

#include "line_reader_test_support.hpp"

namespace sluice {
namespace {

using test::gzip;
using test::kSmall;
using test::read_all;
using test::Reading;
using test::some_text;
using test::split;
using test::TemporaryDirectory;
using test::with_wrong_checksum;
using test::zstd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Reads to the damage, and again from the last line, which must find the same.
Reading read_damaged(const std::string& path, const std::string& reason) {
  LineReader file{path, kSmall};
  Reading reading = read_all(file);
  EXPECT_EQ(reading.last.status, LineStatus::broken);
  EXPECT_EQ(file.next().status, LineStatus::broken);
  EXPECT_THAT(file.failure(), HasSubstr(path));
  EXPECT_THAT(file.failure(), HasSubstr(reason));
  LineReader again{path, kSmall};
  again.resume(file.position());
  EXPECT_EQ(again.next().status, LineStatus::broken);
  EXPECT_EQ(again.position(), file.position());
  EXPECT_THAT(again.failure(), HasSubstr(reason));
  return reading;
}

void expect_whole_lines_before(const std::vector<std::string>& lines, const std::string& text) {
  const std::vector<std::string> whole = split(text);
  ASSERT_LT(lines.size(), whole.size());
  EXPECT_GT(lines.size(), whole.size() / 4);
  EXPECT_TRUE(std::equal(lines.begin(), lines.end(), whole.begin()));
}

TEST(DamagedFile, GivesTheLinesBeforeATruncation) {
  const TemporaryDirectory directory;
  const std::string text = some_text(20'000);
  const std::string zipped = gzip(text);
  const std::string frames = zstd(text.substr(0, text.size() / 2)) + zstd(text.substr(text.size() / 2));
  expect_whole_lines_before(
      read_damaged(directory.write("a.gz", zipped.substr(0, zipped.size() / 2)), "truncated").lines, text);
  expect_whole_lines_before(
      read_damaged(directory.write("a.zst", frames.substr(0, frames.size() * 3 / 4)), "truncated").lines,
      text);
}

TEST(DamagedFile, IsNoticedWhereverItIsCutOff) {
  const TemporaryDirectory directory;
  const std::string text = some_text(30);
  const std::vector<std::string> whole = split(text);
  const std::vector<std::string> archives{gzip(text, "name"), gzip("") + gzip(text), zstd(text)};
  for (const std::string& archive : archives) {
    const std::size_t first_end = &archive == &archives[1] ? gzip("").size() : 0;
    for (std::size_t cut = 4; cut < archive.size(); ++cut) {
      if (cut == first_end) continue;  // Between two members a shorter file is a whole one.
      SCOPED_TRACE(cut);
      LineReader file{directory.write("a", std::string_view{archive}.substr(0, cut)), kSmall};
      const Reading reading = read_all(file);
      ASSERT_EQ(reading.last.status, LineStatus::broken);
      ASSERT_LE(reading.lines.size(), whole.size());
      ASSERT_TRUE(std::equal(reading.lines.begin(), reading.lines.end(), whole.begin()));
    }
  }
}

TEST(DamagedFile, GivesTheLinesBeforeACorruption) {
  const TemporaryDirectory directory;
  const std::string text = some_text(20'000);
  std::string zipped = gzip(text);
  for (std::size_t byte = zipped.size() / 2; byte < zipped.size() / 2 + 64; ++byte)
    zipped[byte] = '\xff';
  const Reading reading = read_damaged(directory.write("a.gz", zipped), "damaged");
  EXPECT_GT(reading.lines.size(), 5'000U);
  std::string frames = zstd(text.substr(0, text.size() / 2)) + zstd(text.substr(text.size() / 2));
  for (std::size_t byte = frames.size() * 3 / 4; byte < frames.size() * 3 / 4 + 64; ++byte)
    frames[byte] = '\xff';
  EXPECT_GT(read_damaged(directory.write("a.zst", frames), "damaged").lines.size(), 5'000U);
}

TEST(DamagedFile, IsNoticedByItsChecksum) {
  const TemporaryDirectory directory;
  const std::string archive = with_wrong_checksum(gzip("one\ntwo\n"));
  EXPECT_THAT(read_damaged(directory.write("a", archive), "checksum").lines, ElementsAre("one", "two"));
}

TEST(DamagedFile, IsOneWithSomethingElseBehindTheArchiveHoweverShort) {
  const TemporaryDirectory directory;
  for (const std::string rest :
       {"x", "xy", "garbage", "something else", "something that is longer than a head"}) {
    SCOPED_TRACE(rest);
    EXPECT_THAT(read_damaged(directory.write("a", gzip("one\n") + rest), "no gzip member").lines,
                ElementsAre("one"));
    EXPECT_THAT(
        read_damaged(directory.write("b", gzip("one\n") + std::string(20, '\0') + rest), "no gzip member")
            .lines,
        ElementsAre("one"));
    EXPECT_THAT(read_damaged(directory.write("c", zstd("one\n") + rest), "no zstd frame").lines,
                ElementsAre("one"));
  }
}

TEST(DamagedFile, DoesNotGiveALongLineThatItCutOff) {
  const TemporaryDirectory directory;
  std::string noise = "one\n";
  std::mt19937 random{5};
  for (int count = 0; count < 100'000; ++count)
    noise += static_cast<char>('a' + random() % 26);
  const std::string archive = gzip(noise);
  EXPECT_THAT(read_damaged(directory.write("a", archive.substr(0, archive.size() / 2)), "truncated").lines,
              ElementsAre("one"));
}

// Taken for text they would be lines of noise.
TEST(DamagedFile, OfAnotherCompressionIsReportedAndGivesNoLines) {
  using namespace std::string_literals;
  const TemporaryDirectory directory;
  const std::vector<std::pair<std::string, std::string>> kinds{{"BZh91AY&SY\x12\n\x34", "bzip2"},
                                                               {"\xfd"
                                                                "7zXZ\0\0\x04\n"s,
                                                                "xz"},
                                                               {"\x04\"M\x18@\n", "lz4"},
                                                               {"PK\x03\x04\n", "zip"}};
  for (const auto& [bytes, kind] : kinds) {
    EXPECT_THAT(read_damaged(directory.write("a", bytes), "compressed by " + kind).lines, testing::IsEmpty());
  }
  for (const char* text : {"BZh9 is no text of bzip2\n", "BZ\n", "PK\n", "x1AY&SY\n"}) {
    LineReader file{directory.write("c", text), kSmall};
    EXPECT_THAT(read_all(file).lines, testing::SizeIs(1)) << text;
  }
}

TEST(DamagedFile, NeverCrashesTheReader) {
  const TemporaryDirectory directory;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  const std::string text = some_text(500);
  const std::vector<std::string> archives{gzip(text, "name"), zstd(text), gzip(text, {}, 0)};
  for (int round = 0; round < 300; ++round) {
    std::string archive = archives[random() % archives.size()];
    for (int change = 0; change < 3; ++change)
      archive[random() % archive.size()] = static_cast<char>(random());
    LineReader file{directory.write("a", archive), kSmall};
    read_all(file);
    SUCCEED();
  }
}

}  // namespace
}  // namespace sluice
