// SPDX-License-Identifier: Apache-2.0
// LineReader with newlines between quotes: where rows end, whatever stands in them and however long they are.
#include <algorithm>
#include <random>

#include "line_reader_test_support.hpp"

namespace sluice::test {
namespace {

// Character by character, of rows as CSV has them. One that is longer than `most` ends at a newline, whatever is open.
std::vector<std::string> rows_of(const std::string& text, std::size_t most = static_cast<std::size_t>(-1)) {
  std::vector<std::string> rows{""};
  bool within = false;
  bool begins = true;   // A field.
  bool closed = false;  // The character before this one closed it.
  for (const char c : text) {
    if (c == '\n' && (!within || rows.back().size() > most)) {
      rows.emplace_back();
      within = false;
      begins = true;
      closed = false;
      continue;
    }
    rows.back() += c;
    const bool closes = c == '"' && within;
    within = c == '"' ? !within && (begins || closed) : within;
    closed = closes;
    begins = c == ',' && !within;
  }
  if (rows.back().empty()) rows.pop_back();
  return rows;
}

TEST(QuotedLines, EndWhereNoFieldIsOpenWhateverQuotesStandWhere) {
  const TemporaryDirectory directory;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  for (int i = 0; i < 20; ++i) {
    std::string text;
    // Some rows lie across what is read at once, 128 KiB.
    while (text.size() < 300'000) {
      if (random() % 1000 == 0) text.append(random() % 3000, 'x');
      text += "\"\",\n\nab"[random() % 7];
    }
    LineReader reader{directory.write("a", text), {.quoted = true}};
    for (const std::string& row : rows_of(text)) {
      FileLine line = reader.next_at_hand(random() % 20);
      if (line.status != LineStatus::line) line = reader.next();
      ASSERT_EQ(line.status, LineStatus::line);
      ASSERT_EQ(line.text, row);
    }
    EXPECT_EQ(reader.next().status, LineStatus::end);
  }
}

TEST(QuotedLines, EndBehindTheirQuotesAlsoWhereTheyAreTooLong) {
  const TemporaryDirectory directory;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  for (int i = 0; i < 20; ++i) {
    std::string text;
    // Most of them are left out, and lie across what is read at once.
    while (text.size() < 1'500'000) {
      text.append(random() % 40'000, 'x');
      for (int few = 0; few < 5; ++few)
        text += "\"\"\",\n\nab"[random() % 8];
    }
    constexpr std::size_t kMost = 50'000;
    LineReader reader{directory.write("a", text), {.max_line_bytes = kMost, .quoted = true}};
    std::uint64_t offset = 0;
    for (const std::string& row : rows_of(text, 16 * kMost)) {
      const FileLine line = reader.next();
      ASSERT_EQ(line.status, row.size() > kMost ? LineStatus::too_long : LineStatus::line);
      ASSERT_EQ(line.length_bytes, row.size());
      if (line.status == LineStatus::line) {
        ASSERT_EQ(line.text, row);
      }
      offset += row.size() + 1;
      ASSERT_EQ(reader.position().offset_bytes, std::min<std::uint64_t>(offset, text.size()));
    }
    EXPECT_EQ(reader.next().status, LineStatus::end);
  }
}

// What is too long is left out in pieces of what is read at once, 128 KiB.
TEST(QuotedLines, GoOnBehindADoubledQuoteThatLiesAcrossWhatIsReadAtOnce) {
  const TemporaryDirectory directory;
  constexpr std::size_t kPiece = std::size_t{128} << 10;
  for (const std::size_t pieces : {1U, 2U}) {
    for (std::size_t at = pieces * kPiece - 4; at < pieces * kPiece + 4; ++at) {
      SCOPED_TRACE(at);
      const std::string row = "\"" + std::string(at - 1, 'x') + "\"\"\nstill within it\"";
      LineReader reader{directory.write("a", row + "\nnext\n"), {.max_line_bytes = 50'000, .quoted = true}};
      const FileLine line = reader.next();
      EXPECT_EQ(line.status, LineStatus::too_long);
      EXPECT_EQ(line.length_bytes, row.size());
      EXPECT_EQ(reader.next().text, "next");
    }
  }
}

TEST(QuotedLines, ThatNobodyClosesEndAtTheNextNewlineBehindSixteenTimesTheMost) {
  const TemporaryDirectory directory;
  const std::string open = "\"" + std::string(800, 'x') + "\n" + std::string(799, 'x') + "\n";
  LineReader reader{directory.write("a", open + "y\n1\n2\n"), {.max_line_bytes = 100, .quoted = true}};
  const FileLine line = reader.next();
  EXPECT_EQ(line.status, LineStatus::too_long);
  EXPECT_EQ(line.length_bytes, 1601U);
  EXPECT_EQ(reader.next().text, "y");
  EXPECT_EQ(reader.next().text, "1");
}

}  // namespace
}  // namespace sluice::test
