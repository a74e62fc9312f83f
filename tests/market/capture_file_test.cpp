// How captures are read line by line, resumed, and what becomes of long lines and damaged files.

#include "market/capture_file.hpp"

#include <algorithm>
#include <fcntl.h>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "market_test_support.hpp"

namespace market {
namespace {

using test::gzip;
using test::TemporaryDirectory;
using test::zstd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Small enough to make points in small files.
constexpr CaptureOptions kSmall{.max_line_bytes = 4096, .access_point_every_bytes = 16 * 1024};

struct Reading {
  std::vector<std::string> lines;
  Line last;
};

Reading read_all(CaptureFile& file) {
  Reading reading;
  for (;;) {
    reading.last = file.next();
    if (reading.last.status == LineStatus::line) {
      reading.lines.emplace_back(reading.last.text);
    } else if (reading.last.status == LineStatus::too_long) {
      reading.lines.push_back("too long: " + std::to_string(reading.last.length_bytes));
    } else {
      return reading;
    }
  }
}

std::vector<std::string> lines_of(const std::string& path, const CaptureOptions& options = kSmall) {
  CaptureFile file{path, options};
  Reading reading = read_all(file);
  EXPECT_EQ(reading.last.status, LineStatus::end) << file.failure();
  return reading.lines;
}

// Text that compresses about as captures do, so that an archive has many blocks.
std::string some_text(std::size_t lines) {
  std::mt19937 random{7};
  std::string text;
  for (std::size_t line = 0; line < lines; ++line) {
    text += std::to_string(line) + R"( {"stream":"btcusdt@trade","data":{"p":")" +
            std::to_string(random() % 99999) + R"(","q":")" + std::to_string(random()) + "\"}}\n";
  }
  return text;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

TEST(CaptureFile, GivesTheLinesOfAPlainFile) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", "one\ntwo\n\nfour\n")), ElementsAre("one", "two", "", "four"));
}

TEST(CaptureFile, TellsArchivesByTheirFirstBytesAndNotByName) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a.zst", gzip("one\ntwo\n"))), ElementsAre("one", "two"));
  EXPECT_THAT(lines_of(directory.write("b.gz", zstd("one\ntwo\n"))), ElementsAre("one", "two"));
  EXPECT_THAT(lines_of(directory.write("c.gz", "one\ntwo\n")), ElementsAre("one", "two"));
}

TEST(CaptureFile, ReadsMembersAndFramesOneAfterAnother) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", gzip("on", "named") + gzip("") + gzip("e\ntwo\n"))),
              ElementsAre("one", "two"));
  const std::string skippable{"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11};
  EXPECT_THAT(
      lines_of(directory.write("b", skippable + zstd("on") + zstd("") + skippable + zstd("e\ntwo\n"))),
      ElementsAre("one", "two"));
}

TEST(CaptureFile, IgnoresZerosBehindAGzipArchive) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", gzip("one\n") + std::string(1000, '\0'))), ElementsAre("one"));
}

TEST(CaptureFile, GivesTheLastLineWithoutNewlineToo) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", "one\ntwo")), ElementsAre("one", "two"));
  EXPECT_THAT(lines_of(directory.write("b", gzip("one\ntwo"))), ElementsAre("one", "two"));
  EXPECT_THAT(lines_of(directory.write("c", zstd("two"))), ElementsAre("two"));
}

TEST(CaptureFile, WithoutContentHasNoLines) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", "")), ElementsAre());
  EXPECT_THAT(lines_of(directory.write("b", gzip(""))), ElementsAre());
  EXPECT_THAT(lines_of(directory.write("c", zstd(""))), ElementsAre());
  EXPECT_THAT(lines_of(directory.write("d", "\n")), ElementsAre(""));
  EXPECT_THAT(lines_of(directory.write("e", "\x1f")), ElementsAre("\x1f"));
}

TEST(CaptureFile, CountsLinesAndBytes) {
  const TemporaryDirectory directory;
  CaptureFile file{directory.write("a", gzip("one\nfour4\nx"))};
  EXPECT_EQ(file.position(), (CapturePosition{0, 0}));
  EXPECT_EQ(file.next().number, 1U);
  EXPECT_EQ(file.position(), (CapturePosition{4, 1}));
  EXPECT_EQ(file.next().length_bytes, 5U);
  EXPECT_EQ(file.position(), (CapturePosition{10, 2}));
  EXPECT_EQ(file.next().text, "x");
  EXPECT_EQ(file.position(), (CapturePosition{11, 3}));
  EXPECT_EQ(file.next().status, LineStatus::end);
  EXPECT_EQ(file.next().status, LineStatus::end);
  EXPECT_EQ(file.position(), (CapturePosition{11, 3}));
}

TEST(CaptureFile, PassesEveryByteThrough) {
  std::string bytes;
  std::mt19937 random{3};
  for (int count = 0; count < 300'000; ++count)
    bytes += static_cast<char>(random());
  bytes[0] = 'x';
  const TemporaryDirectory directory;
  EXPECT_EQ(lines_of(directory.write("a", bytes)), split(bytes));
  EXPECT_EQ(lines_of(directory.write("b", gzip(bytes))), split(bytes));
  EXPECT_EQ(lines_of(directory.write("c", zstd(bytes))), split(bytes));
}

TEST(CaptureFile, LeavesReadableBytesBehindEveryLine) {
  const TemporaryDirectory directory;
  CaptureFile file{directory.write("a", std::string(4096, 'x')), kSmall};
  const Line line = file.next();
  unsigned sum = 0;
  for (std::size_t byte = 0; byte < CaptureFile::kReadableBehind; ++byte) {
    sum += static_cast<unsigned char>(*(line.text.data() + line.text.size() + byte));
  }
  EXPECT_GE(sum, 0U);  // Reading is the test, under the address sanitizer.
}

TEST(LongLine, IsReportedWithItsLengthAndSkipped) {
  const TemporaryDirectory directory;
  const std::string text = "one\n" + std::string(4096, 'x') + "\n" + std::string(4097, 'y') + "\nfour\n" +
                           std::string(1'000'000, 'z') + "\n" + std::string(5000, 'w');
  const auto expected = ElementsAre("one", std::string(4096, 'x'), "too long: 4097", "four",
                                    "too long: 1000000", "too long: 5000");
  EXPECT_THAT(lines_of(directory.write("a", text)), expected);
  EXPECT_THAT(lines_of(directory.write("b", gzip(text))), expected);
  EXPECT_THAT(lines_of(directory.write("c", zstd(text))), expected);
}

TEST(LongLine, CountsInThePosition) {
  const TemporaryDirectory directory;
  CaptureFile file{directory.write("a", std::string(1'000'000, 'z') + "\nnext\n"), kSmall};
  EXPECT_EQ(file.next().number, 1U);
  EXPECT_EQ(file.position(), (CapturePosition{1'000'001, 1}));
  EXPECT_EQ(file.next().text, "next");
}

TEST(Opening, SaysWhichFileCannotBeOpenedAndWhy) {
  try {
    CaptureFile file{"/no/such/file.gz"};
    FAIL() << "it was opened";
  } catch (const sluice::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("/no/such/file.gz: No such file or directory"));
  }
}

TEST(Opening, RefusesADirectory) {
  const TemporaryDirectory directory;
  try {
    CaptureFile file{directory.path().string()};
    FAIL() << "it was opened";
  } catch (const sluice::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(directory.path().string() + ": Is a directory"));
  }
}

// Reads to the damage, and again from the last line, which must find the same.
Reading read_damaged(const std::string& path, const std::string& reason) {
  CaptureFile file{path, kSmall};
  Reading reading = read_all(file);
  EXPECT_EQ(reading.last.status, LineStatus::broken);
  EXPECT_EQ(file.next().status, LineStatus::broken);
  EXPECT_THAT(file.failure(), HasSubstr(path));
  EXPECT_THAT(file.failure(), HasSubstr(reason));
  CaptureFile again{path, kSmall};
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
      CaptureFile file{directory.write("a", std::string_view{archive}.substr(0, cut)), kSmall};
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
  std::string archive = gzip("one\ntwo\n");
  archive[archive.size() - 5] = static_cast<char>(archive[archive.size() - 5] ^ 1);
  EXPECT_THAT(read_damaged(directory.write("a", archive), "checksum").lines, ElementsAre("one", "two"));
}

TEST(DamagedFile, IsOneWithSomethingElseBehindTheArchive) {
  const TemporaryDirectory directory;
  EXPECT_THAT(read_damaged(directory.write("a", gzip("one\n") + "something else"), "no gzip member").lines,
              ElementsAre("one"));
  EXPECT_THAT(read_damaged(directory.write("b", zstd("one\n") + "something else"), "damaged").lines,
              ElementsAre("one"));
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
    CaptureFile file{directory.write("a", archive), kSmall};
    read_all(file);
    SUCCEED();
  }
}

TEST(Pipe, IsReadLikeAFile) {
  const std::string text = some_text(2'000);
  for (const std::string& content : {text, gzip(text), zstd(text)}) {
    int ends[2] = {};
    ASSERT_EQ(::pipe(ends), 0);
    std::thread writer{[&] {
      for (std::size_t at = 0; at < content.size(); at += 777) {
        const std::size_t bytes = std::min<std::size_t>(777, content.size() - at);
        EXPECT_EQ(::write(ends[1], content.data() + at, bytes), static_cast<ssize_t>(bytes));
      }
      ::close(ends[1]);
    }};
    CaptureFile file{FileDescriptor::owned(ends[0]), "standard input", kSmall};
    EXPECT_EQ(read_all(file).lines, split(text));
    writer.join();
  }
}

TEST(Pipe, HandsOnALineBeforeTheNextIsWritten) {
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "first\n", 6), 6);
  CaptureFile file{FileDescriptor::owned(ends[0]), "standard input", kSmall};
  EXPECT_EQ(file.next().text, "first");
  ASSERT_EQ(::write(ends[1], "second\n", 7), 7);
  EXPECT_EQ(file.next().text, "second");
  ::close(ends[1]);
  EXPECT_EQ(file.next().status, LineStatus::end);
}

TEST(Pipe, CannotBeResumed) {
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "one\ntwo\n", 8), 8);
  ::close(ends[1]);
  CaptureFile file{FileDescriptor::owned(ends[0]), "standard input", kSmall};
  file.resume({});  // Nothing was read yet.
  EXPECT_EQ(file.next().text, "one");
  EXPECT_THROW(file.resume({4, 1}), sluice::Error);
}

TEST(Descriptor, IsReadFromWhereItStandsAndNotMoved) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a", "skipped\none\ntwo\n");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::lseek(fd, 8, SEEK_SET), 8);
  for (int round = 0; round < 2; ++round) {
    CaptureFile file{FileDescriptor::borrowed(fd), "standard input", kSmall};
    EXPECT_THAT(read_all(file).lines, ElementsAre("one", "two"));
    file.resume({4, 1});
    EXPECT_EQ(file.next().text, "two");
  }
  ::close(fd);
}

// Reads the file once, taking access points as a source would, and then resumes at random lines with the
// newest point that such a source held there. Returns how many points there were.
std::size_t expect_exact_resumption(const std::string& path, const CaptureOptions& options, int resumptions) {
  std::vector<CapturePosition> positions{{}};
  std::vector<std::string> lines;
  std::vector<std::unique_ptr<AccessPoint>> points;
  CaptureFile file{path, options};
  for (Line line = file.next(); line.status == LineStatus::line; line = file.next()) {
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
    CaptureFile resumed{path, options};
    resumed.resume(positions[line], point);
    EXPECT_EQ(resumed.position(), positions[line]);
    for (std::size_t next = line; next < std::min(line + 3, lines.size()); ++next) {
      const Line read = resumed.next();
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
  std::string archive = gzip(some_text(5'000));
  archive[archive.size() - 5] = static_cast<char>(archive[archive.size() - 5] ^ 1);
  const std::string path = directory.write("a", archive);
  CaptureFile file{path, kSmall};
  const auto point = std::make_unique<AccessPoint>();
  while (!file.take_access_point(*point))
    ASSERT_EQ(file.next().status, LineStatus::line);
  CaptureFile resumed{path, kSmall};
  resumed.resume(file.position(), point.get());
  const Reading reading = read_all(resumed);
  EXPECT_EQ(reading.last.status, LineStatus::broken);
  EXPECT_THAT(resumed.failure(), HasSubstr("checksum"));
}

TEST(Resumption, GoesWithoutAPointThatLiesBehindThePositionOrIsNone) {
  const TemporaryDirectory directory;
  const std::string text = some_text(5'000);
  const std::string path = directory.write("a", gzip(text));
  CaptureFile file{path, kSmall};
  const auto point = std::make_unique<AccessPoint>();
  CaptureFile first{path, kSmall};
  first.resume({}, point.get());
  EXPECT_EQ(first.next().text, split(text)[0]);
  const CapturePosition early = first.position();
  while (!file.take_access_point(*point))
    ASSERT_EQ(file.next().status, LineStatus::line);
  first.resume(early, point.get());
  EXPECT_EQ(first.next().text, split(text)[1]);
}

TEST(Resumption, SaysSoWhenTheFileBecameShorter) {
  const TemporaryDirectory directory;
  for (const std::string& content : {std::string{"one\n"}, gzip("one\n"), zstd("one\n")}) {
    CaptureFile file{directory.write("a", content), kSmall};
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

}  // namespace
}  // namespace market
