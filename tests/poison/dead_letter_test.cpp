// SPDX-License-Identifier: Apache-2.0
// The file of dead letters: what is written can be read, and nothing else can.

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/dead_letter.hpp>

#include "errors.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class DeadLetters : public testing::Test {
 protected:
  DeadLetters() { std::filesystem::create_directories(directory_); }
  ~DeadLetters() override { clear_away(directory_); }

  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream{directory_ / name, std::ios::binary} << bytes;
    return directory_ / name;
  }
  static DeadLetter letter(unsigned number) {
    DeadLetter letter;
    letter.stage = "parse";
    letter.replica = 1;
    letter.replicas = 2;
    letter.from = "read/0";
    letter.position = 4096 + number;
    letter.type = "Line";
    letter.record = true;
    letter.head_bytes = 8;
    letter.attempts = 3;
    letter.signal = 11;
    letter.cause = "crashed: signal 11";
    letter.backtrace = "one\ntwo\n";
    letter.time = std::chrono::system_clock::time_point{std::chrono::seconds{1000 - number}};
    letter.payload = std::string{"\0\xff any bytes \n", 14} + std::to_string(number);
    letter.event = {0x1234'5678'9000'0003, letter.position};
    letter.order_ns = 5'000'000'000'000 - number;
    return letter;
  }
  // As it was written before letters had names.
  static std::string former(const DeadLetter& letter) {
    std::string bytes = encode(letter);
    bytes.erase(112, 24);
    bytes[6] = '1';
    const std::uint64_t total_bytes = bytes.size();
    std::memcpy(bytes.data() + 8, &total_bytes, sizeof(total_bytes));
    return bytes;
  }

  std::filesystem::path directory_{std::filesystem::temp_directory_path() /
                                   ("sluice-letters-" + std::to_string(::getpid()))};
};

TEST_F(DeadLetters, AreReadAsTheyWereWritten) {
  const auto file = write("parse-1.dead", encode(letter(1)) + encode(letter(2)));
  const std::vector<DeadLetter> letters = read_dead_letters(file);
  ASSERT_THAT(letters, SizeIs(2));
  const DeadLetter expected = letter(2);
  EXPECT_EQ(letters[1].stage, expected.stage);
  EXPECT_EQ(letters[1].replica, expected.replica);
  EXPECT_EQ(letters[1].replicas, expected.replicas);
  EXPECT_EQ(letters[1].from, expected.from);
  EXPECT_EQ(letters[1].position, expected.position);
  EXPECT_EQ(letters[1].type, expected.type);
  EXPECT_EQ(letters[1].record, expected.record);
  EXPECT_EQ(letters[1].head_bytes, expected.head_bytes);
  EXPECT_EQ(letters[1].attempts, expected.attempts);
  EXPECT_EQ(letters[1].signal, expected.signal);
  EXPECT_EQ(letters[1].cause, expected.cause);
  EXPECT_EQ(letters[1].backtrace, expected.backtrace);
  EXPECT_EQ(letters[1].time, expected.time);
  EXPECT_EQ(letters[1].payload, expected.payload);
  EXPECT_EQ(letters[1].event, expected.event);
  EXPECT_EQ(letters[1].order_ns, expected.order_ns);
}

TEST_F(DeadLetters, OfTheFormerFormAreReadBesideOthers) {
  const auto file = write("parse-1.dead", former(letter(1)) + encode(letter(2)) + former(letter(3)));
  const std::vector<DeadLetter> letters = read_dead_letters(file);
  ASSERT_THAT(letters, SizeIs(3));
  EXPECT_EQ(letters[0].payload, letter(1).payload);
  EXPECT_EQ(letters[0].time, letter(1).time);
  EXPECT_EQ(letters[0].event, EventId{});
  EXPECT_EQ(letters[0].order_ns, 999'000'000'000) << "its time";
  EXPECT_EQ(letters[1].event, letter(2).event);
  EXPECT_EQ(letters[2].payload, letter(3).payload);
}

TEST_F(DeadLetters, OfAllWorkersAreFoundInADirectoryInOrderOfTime) {
  write("parse-0.dead", encode(letter(1)));
  write("parse-1.dead", encode(letter(3)) + encode(letter(2)));
  write("deaths.jsonl", "{}\n");
  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  ASSERT_THAT(letters, SizeIs(3));
  EXPECT_EQ(letters[0].position, letter(3).position);
  EXPECT_EQ(letters[2].position, letter(1).position);
}

TEST_F(DeadLetters, ThatAreStillBeingWrittenAreLeftOut) {
  const std::string one = encode(letter(1));
  const std::string two = encode(letter(2));
  for (std::size_t bytes = 0; bytes < two.size(); ++bytes) {
    const auto file = write("parse-0.dead", one + two.substr(0, bytes));
    EXPECT_THAT(read_dead_letters(file), SizeIs(1)) << bytes << " bytes of the second";
  }
  EXPECT_THAT(read_dead_letters(write("empty.dead", "")), IsEmpty());
}

TEST_F(DeadLetters, AreNotSeenInOtherFiles) {
  EXPECT_THAT(error_of([&] { read_dead_letters(directory_ / "none.dead"); }), HasSubstr("No such file"));
  EXPECT_THAT(error_of([&] { read_dead_letters(write("text", "abc")); }), HasSubstr("at byte 0"));
  EXPECT_THAT(error_of([&] { read_dead_letters(write("text", std::string(500, 'x'))); }),
              HasSubstr("at byte 0"));
  const std::string one = encode(letter(1));
  EXPECT_THAT(error_of([&] { read_dead_letters(write("text", one + std::string(200, 'x'))); }),
              HasSubstr("at byte " + std::to_string(one.size())));
}

TEST_F(DeadLetters, WithAnyBitTurnedAreReadOrRefusedAndHarmNobody) {
  const std::string whole = encode(letter(1)) + encode(letter(2));
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += 3) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    if (!error_of([&] { read_dead_letters(write("turned.dead", bytes)); }).empty()) ++refused;
  }
  EXPECT_GE(refused, 21U) << "at least each bit tried of the first magic";
}

}  // namespace
}  // namespace sluice::test
