// SPDX-License-Identifier: Apache-2.0
// That a reader resumes exactly where another one stopped.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/connect/line_reader.hpp>

#include "line_reader_test_support.hpp"

namespace sluice {
namespace {

using test::all_prefixed;
using test::gzip;
using test::kSmall;
using test::kSmallPrefixed;
using test::read_all;
using test::Reading;
using test::some_text;
using test::split;
using test::TemporaryDirectory;
using test::with_wrong_checksum;
using test::zstd;
using ::testing::HasSubstr;

// Reads the file once, taking access points as a source would, and then resumes at random lines with the
// newest point that such a source held there. Returns how many points there were.
std::size_t expect_exact_resumption(const std::string& path, const LineReaderOptions& options,
                                    int resumptions) {
  std::vector<LinePosition> positions{{}};
  std::vector<std::string> lines;
  std::vector<std::unique_ptr<AccessPoint>> points;
  LineReader file{path, options};
  for (FileLine line = file.next(); line.status == LineStatus::line; line = file.next()) {
    lines.emplace_back(line.text);
    positions.push_back(file.position());
    auto point = std::make_unique<AccessPoint>();
    if (!file.take_access_point(*point)) continue;
    EXPECT_LE(point->uncompressed_bytes, file.position().offset_bytes);
    points.push_back(std::move(point));
  }
  EXPECT_EQ(file.failure(), "");
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  for (int round = 0; round < resumptions && !::testing::Test::HasFailure(); ++round) {
    const std::size_t line = round == 0 ? lines.size() : random() % lines.size();
    const AccessPoint* point = nullptr;
    for (const auto& candidate : points) {
      if (candidate->uncompressed_bytes <= positions[line].offset_bytes) point = candidate.get();
    }
    LineReader resumed{path, options};
    resumed.resume(positions[line], point);
    EXPECT_EQ(resumed.position(), positions[line]);
    for (std::size_t next = line; next < std::min(line + 3, lines.size()); ++next) {
      const FileLine read = resumed.next();
      EXPECT_EQ(read.status, LineStatus::line) << resumed.failure();
      EXPECT_EQ(read.text, lines[next]);
      EXPECT_EQ(read.number, next + 1);
      EXPECT_EQ(resumed.position(), positions[next + 1]);
    }
    if (round < 5) {
      EXPECT_EQ(read_all(resumed).last.status, LineStatus::end) << resumed.failure();
    }
  }
  return points.size();
}

TEST(Resumption, IsExactForEveryKindOfFile) {
  const TemporaryDirectory directory;
  const std::string text = some_text(20'000) + "no newline";
  EXPECT_EQ(expect_exact_resumption(directory.write("plain", text), kSmall, 300), 0U);
  EXPECT_GT(expect_exact_resumption(directory.write("gzip", gzip(text)), kSmall, 300), 5U);
  EXPECT_GT(expect_exact_resumption(directory.write("stored", gzip(text, {}, 0)), kSmall, 300), 5U);
  EXPECT_EQ(expect_exact_resumption(directory.write("frame", zstd(text)), kSmall, 30), 0U);
}

TEST(Resumption, IsExactBetweenRecordsWithTheirLengthsInFront) {
  const TemporaryDirectory directory;
  const std::string text = all_prefixed(split(some_text(20'000)));
  EXPECT_EQ(expect_exact_resumption(directory.write("plain", text), kSmallPrefixed, 100), 0U);
  EXPECT_GT(expect_exact_resumption(directory.write("gzip", gzip(text)), kSmallPrefixed, 100), 5U);
  EXPECT_EQ(expect_exact_resumption(directory.write("frame", zstd(text)), kSmallPrefixed, 10), 0U);
}

TEST(Resumption, UsesTheStartsOfMembersAndFrames) {
  const TemporaryDirectory directory;
  const std::string text = some_text(20'000);
  std::string members;
  std::string frames;
  for (std::size_t at = 0; at < text.size(); at += 10'000) {
    members += gzip(text.substr(at, 10'000), at % 20'000 == 0 ? "name" : "");
    frames += zstd(text.substr(at, 10'000));
  }
  EXPECT_GT(expect_exact_resumption(directory.write("members", members), kSmall, 300), 5U);
  EXPECT_GT(expect_exact_resumption(directory.write("frames", frames), kSmall, 300), 5U);
}

TEST(Resumption, ChecksTheChecksumOfAMemberThatItEntersHalfWay) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a", with_wrong_checksum(gzip(some_text(5'000))));
  LineReader file{path, kSmall};
  const auto point = std::make_unique<AccessPoint>();
  while (!file.take_access_point(*point))
    ASSERT_EQ(file.next().status, LineStatus::line);
  LineReader resumed{path, kSmall};
  resumed.resume(file.position(), point.get());
  const Reading reading = read_all(resumed);
  EXPECT_EQ(reading.last.status, LineStatus::broken);
  EXPECT_THAT(resumed.failure(), HasSubstr("checksum"));
}

TEST(Resumption, GoesWithoutAPointThatLiesBehindThePositionOrIsNone) {
  const TemporaryDirectory directory;
  const std::string text = some_text(5'000);
  const std::string path = directory.write("a", gzip(text));
  LineReader file{path, kSmall};
  const auto point = std::make_unique<AccessPoint>();
  LineReader first{path, kSmall};
  first.resume({}, point.get());
  EXPECT_EQ(first.next().text, split(text)[0]);
  const LinePosition early = first.position();
  while (!file.take_access_point(*point))
    ASSERT_EQ(file.next().status, LineStatus::line);
  first.resume(early, point.get());
  EXPECT_EQ(first.next().text, split(text)[1]);
}

TEST(Resumption, SaysSoWhenTheFileBecameShorter) {
  const TemporaryDirectory directory;
  for (const std::string& content : {std::string{"one\n"}, gzip("one\n"), zstd("one\n")}) {
    LineReader file{directory.write("a", content), kSmall};
    file.resume({1000, 50});
    EXPECT_EQ(file.next().status, LineStatus::broken);
    EXPECT_THAT(file.failure(), HasSubstr("it was changed"));
  }
}

class RecordedCapture : public test::RecordedData {};

TEST_F(RecordedCapture, ResumesExactlyAtRandomLinesOfEveryFile) {
  constexpr int kResumptions = 60;
  std::size_t points = 0;
  for (const auto& entry : std::filesystem::directory_iterator{data_}) {
    const std::filesystem::path extension = entry.path().extension();
    if (extension != ".gz" && extension != ".zst") continue;
    SCOPED_TRACE(entry.path().string());
    points += expect_exact_resumption(entry.path().string(), {}, extension == ".gz" ? kResumptions : 10);
  }
  EXPECT_GT(points, 100U);
}

// What passes without a line is told from the end, piece by piece: whoever watches the reader sees that it is alive.
TEST(LineReader, SaysWhatIsPendingWhileItReadsOnForLong) {
  const TemporaryDirectory directory;
  const std::string text = "one\n" + std::string(3 << 20, 'x') + "\n" + some_text(30'000);
  LineReaderOptions options = kSmall;
  options.at_once = std::chrono::nanoseconds{1};
  LineReaderOptions framed = options;
  framed.framing = Framing::length_prefixed;
  const std::string records = all_prefixed({"one", std::string(3 << 20, 'x'), "two"});
  const std::vector<std::pair<std::string, LineReaderOptions>> files{
      {directory.write("plain", text), options},
      {directory.write("gzip", gzip(text)), options},
      {directory.write("zstd", zstd(text)), options},
      {directory.write("records", records), framed}};
  for (const auto& [path, asked] : files) {
    LineReaderOptions patient = asked;
    patient.at_once = {};
    LineReader whole{path, patient};
    const Reading expected = read_all(whole);
    EXPECT_EQ(whole.failure(), "");
    LineReader file{path, asked};
    std::size_t pending = 0;
    for (std::size_t line = 0; line <= expected.lines.size();) {
      const LinePosition before = file.position();
      const FileLine next = file.next();
      if (next.status == LineStatus::pending) {
        ++pending;
        ASSERT_EQ(file.position(), before);
        ASSERT_EQ(file.next_at_hand(1 << 20).status, LineStatus::end);
        continue;
      }
      ASSERT_EQ(next.status == LineStatus::end, line == expected.lines.size()) << path << ": " << line;
      if (next.status == LineStatus::line) {
        ASSERT_EQ(next.text, expected.lines[line]);
      }
      ++line;
    }
    EXPECT_GT(pending, 10U) << path;
    // The text before a position is passed again so, too.
    LineReader resumed{path, asked};
    resumed.resume(file.position());
    FileLine last = resumed.next();
    for (pending = 0; last.status == LineStatus::pending; last = resumed.next())
      ++pending;
    EXPECT_EQ(last.status, LineStatus::end) << resumed.failure();
    EXPECT_EQ(pending != 0, path.ends_with("zip") || path.ends_with("zstd")) << path;
  }
}

}  // namespace
}  // namespace sluice
