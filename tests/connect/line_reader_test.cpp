// SPDX-License-Identifier: Apache-2.0
// How captures are read line by line, from files and pipes, and what becomes of long lines.

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/connect/line_reader.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

#include "line_reader_test_support.hpp"

namespace sluice {
namespace {

using test::all_prefixed;
using test::gzip;
using test::kSmall;
using test::kSmallPrefixed;
using test::lines_of;
using test::read_all;
using test::Reading;
using test::some_text;
using test::split;
using test::TemporaryDirectory;
using test::zstd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(LineReader, GivesTheLinesOfAPlainFile) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", "one\ntwo\n\nfour\n")), ElementsAre("one", "two", "", "four"));
}

TEST(LineReader, TellsArchivesByTheirFirstBytesAndNotByName) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a.zst", gzip("one\ntwo\n"))), ElementsAre("one", "two"));
  EXPECT_THAT(lines_of(directory.write("b.gz", zstd("one\ntwo\n"))), ElementsAre("one", "two"));
  EXPECT_THAT(lines_of(directory.write("c.gz", "one\ntwo\n")), ElementsAre("one", "two"));
}

TEST(LineReader, ReadsMembersAndFramesOneAfterAnother) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", gzip("on", "named") + gzip("") + gzip("e\ntwo\n"))),
              ElementsAre("one", "two"));
  const std::string skippable{"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11};
  EXPECT_THAT(
      lines_of(directory.write("b", skippable + zstd("on") + zstd("") + skippable + zstd("e\ntwo\n"))),
      ElementsAre("one", "two"));
}

TEST(LineReader, IgnoresZerosBehindAGzipArchive) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", gzip("one\n") + std::string(1000, '\0'))), ElementsAre("one"));
}

TEST(LineReader, GivesTheLastLineWithoutNewlineToo) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", "one\ntwo")), ElementsAre("one", "two"));
  EXPECT_THAT(lines_of(directory.write("b", gzip("one\ntwo"))), ElementsAre("one", "two"));
  EXPECT_THAT(lines_of(directory.write("c", zstd("two"))), ElementsAre("two"));
}

TEST(LineReader, WithoutContentHasNoLines) {
  const TemporaryDirectory directory;
  EXPECT_THAT(lines_of(directory.write("a", "")), ElementsAre());
  EXPECT_THAT(lines_of(directory.write("b", gzip(""))), ElementsAre());
  EXPECT_THAT(lines_of(directory.write("c", zstd(""))), ElementsAre());
  EXPECT_THAT(lines_of(directory.write("d", "\n")), ElementsAre(""));
  EXPECT_THAT(lines_of(directory.write("e", "\x1f")), ElementsAre("\x1f"));
}

TEST(LineReader, CountsLinesAndBytes) {
  const TemporaryDirectory directory;
  LineReader file{directory.write("a", gzip("one\nfour4\nx"))};
  EXPECT_EQ(file.position(), (LinePosition{0, 0}));
  EXPECT_EQ(file.next().number, 1U);
  EXPECT_EQ(file.position(), (LinePosition{4, 1}));
  EXPECT_EQ(file.next().length_bytes, 5U);
  EXPECT_EQ(file.position(), (LinePosition{10, 2}));
  EXPECT_EQ(file.next().text, "x");
  EXPECT_EQ(file.position(), (LinePosition{11, 3}));
  EXPECT_EQ(file.next().status, LineStatus::end);
  EXPECT_EQ(file.next().status, LineStatus::end);
  EXPECT_EQ(file.position(), (LinePosition{11, 3}));
}

TEST(LineReader, PassesEveryByteThrough) {
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

TEST(LineReader, LeavesReadableBytesBehindEveryLine) {
  const TemporaryDirectory directory;
  LineReader file{directory.write("a", std::string(4096, 'x')), kSmall};
  const FileLine line = file.next();
  // The kernel reads them, and says where it cannot; so does the address sanitizer.
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  EXPECT_EQ(::write(ends[1], line.text.data() + line.text.size(), LineReader::kReadableBehind),
            static_cast<ssize_t>(LineReader::kReadableBehind));
  for (const int end : ends)
    ::close(end);
}

TEST(LineAtHand, IsGivenIfItIsWholeAndShort) {
  const TemporaryDirectory directory;
  LineReader reader{directory.write("a", "one\nlonger\ntwo\nlast")};
  EXPECT_EQ(reader.next_at_hand(100).status, LineStatus::end) << "nothing was read yet";
  EXPECT_EQ(reader.next().text, "one");
  EXPECT_EQ(reader.next_at_hand(5).status, LineStatus::end);
  EXPECT_EQ(reader.position().line_number, 1U);
  const FileLine longer = reader.next_at_hand(6);
  EXPECT_EQ(longer.text, "longer");
  EXPECT_EQ(longer.number, 2U);
  EXPECT_EQ(reader.next_at_hand(2).status, LineStatus::end);
  EXPECT_EQ(reader.next().text, "two");
  EXPECT_EQ(reader.next_at_hand(100).status, LineStatus::end) << "more of the last line might come";
  EXPECT_EQ(reader.next().text, "last");
  EXPECT_EQ(reader.next().status, LineStatus::end);
}

TEST(LineAtHand, CountsItsQuotesOnce) {
  const TemporaryDirectory directory;
  LineReader reader{directory.write("a", "first\n\"on\ne\"\"\",\"two\nlines\"\nlast\n"), {.quoted = true}};
  EXPECT_EQ(reader.next().text, "first");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(reader.next_at_hand(3).status, LineStatus::end);
  EXPECT_EQ(reader.next_at_hand(100).text, "\"on\ne\"\"\",\"two\nlines\"");
  EXPECT_EQ(reader.next_at_hand(4).text, "last");
}

TEST(LineAtHand, MayBeAPrefixedRecord) {
  const TemporaryDirectory directory;
  LineReader reader{directory.write("a", all_prefixed({"one", "longer", ""})),
                    {.framing = Framing::length_prefixed}};
  EXPECT_EQ(reader.next().text, "one");
  EXPECT_EQ(reader.next_at_hand(5).status, LineStatus::end);
  EXPECT_EQ(reader.next_at_hand(6).text, "longer");
  const FileLine empty = reader.next_at_hand(0);
  EXPECT_EQ(empty.status, LineStatus::line);
  EXPECT_EQ(empty.number, 3U);
  EXPECT_EQ(reader.next_at_hand(100).status, LineStatus::end);
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
  std::string text(1'000'000, 'z');
  text.append("\nnext\n");
  LineReader file{directory.write("a", text), kSmall};
  EXPECT_EQ(file.next().number, 1U);
  EXPECT_EQ(file.position(), (LinePosition{1'000'001, 1}));
  EXPECT_EQ(file.next().text, "next");
}

TEST(Opening, SaysWhichFileCannotBeOpenedAndWhy) {
  try {
    LineReader file{"/no/such/file.gz"};
    FAIL() << "it was opened";
  } catch (const sluice::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("/no/such/file.gz: No such file or directory"));
  }
}

TEST(Opening, RefusesADirectory) {
  const TemporaryDirectory directory;
  try {
    LineReader file{directory.path().string()};
    FAIL() << "it was opened";
  } catch (const sluice::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(directory.path().string() + ": Is a directory"));
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
    const detail::Descriptor end{ends[0]};
    LineReader file{ends[0], "standard input", kSmall};
    EXPECT_EQ(read_all(file).lines, split(text));
    writer.join();
  }
}

TEST(Pipe, HandsOnALineBeforeTheNextIsWritten) {
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "first\n", 6), 6);
  const detail::Descriptor end{ends[0]};
  LineReader file{ends[0], "standard input", kSmall};
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
  const detail::Descriptor end{ends[0]};
  LineReader file{ends[0], "standard input", kSmall};
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
    LineReader file{fd, "standard input", kSmall};
    EXPECT_THAT(read_all(file).lines, ElementsAre("one", "two"));
    file.resume({4, 1});
    EXPECT_EQ(file.next().text, "two");
  }
  ::close(fd);
}

TEST(PrefixedRecords, HaveAnyBytesAndLengths) {
  const TemporaryDirectory directory;
  const std::vector<std::string> records{"one", "", "with\nnewline\n", std::string(4096, '\0'), "\xff"};
  const std::string text = all_prefixed(records);
  for (const std::string& content : {text, gzip(text), zstd(text)})
    EXPECT_EQ(lines_of(directory.write("a", content), kSmallPrefixed), records);
  EXPECT_THAT(lines_of(directory.write("a", ""), kSmallPrefixed), IsEmpty());
}

TEST(PrefixedRecords, AreLeftOutWhenTheyAreTooLong) {
  const TemporaryDirectory directory;
  for (const std::size_t length : {std::size_t{4097}, std::size_t{1'000'000}}) {
    const std::string path = directory.write("a", all_prefixed({"one", std::string(length, 'x'), "three"}));
    EXPECT_THAT(lines_of(path, kSmallPrefixed),
                ElementsAre("one", "too long: " + std::to_string(length), "three"));
    LineReader file{path, kSmallPrefixed};
    file.next();
    EXPECT_EQ(file.next().text, std::string(LineReader::kLongLineBytes, 'x'));
    EXPECT_EQ(file.position(), (LinePosition{7 + 4 + length, 2}));
  }
}

// Of a prefix, a record, or one that is too long.
TEST(PrefixedRecords, AreNotGivenWhenTheFileEndsWithinThem) {
  const TemporaryDirectory directory;
  const std::string text = all_prefixed({"one", "two", std::string(5'000, 'x')});
  for (std::size_t cut = 7; cut < 200; ++cut) {
    SCOPED_TRACE(cut);
    LineReader file{directory.write("a", text.substr(0, cut)), kSmallPrefixed};
    const Reading reading = read_all(file);
    EXPECT_EQ(reading.lines.size(), cut / 7 < 2 ? 1U : 2U);
    const bool between = cut == 7 || cut == 14;
    EXPECT_EQ(reading.last.status, between ? LineStatus::end : LineStatus::broken);
    EXPECT_EQ(file.next().status, reading.last.status);
    if (!between) {
      EXPECT_THAT(file.failure(),
                  HasSubstr("a: at byte " + std::to_string(cut) + " of its text, behind record " +
                            std::to_string(reading.lines.size()) + ": it ends within a record"));
    }
  }
}

TEST(PrefixedRecords, ComeAsAGrowingFileGetsThemByteByByte) {
  const TemporaryDirectory directory;
  LineReaderOptions growing = kSmallPrefixed;
  growing.growing = true;
  const std::string text = all_prefixed({"one", std::string(5'000, 'x'), "", "four"});
  const std::string path = directory.write("a", "");
  LineReader file{path, growing};
  std::vector<std::string> records;
  for (const char byte : text) {
    std::ofstream{path, std::ios::app | std::ios::binary} << byte;
    const Reading reading = read_all(file);
    EXPECT_EQ(reading.last.status, LineStatus::end);
    records.insert(records.end(), reading.lines.begin(), reading.lines.end());
  }
  EXPECT_THAT(records, ElementsAre("one", "too long: 5000", "", "four"));
}

}  // namespace
}  // namespace sluice
