// SPDX-License-Identifier: Apache-2.0
// How bytes become frames, wherever they are cut.
#include "frame_reader.hpp"

#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stream_server.hpp"
#include "tcp_peer.hpp"

namespace sluice::test {
namespace {

using detail::FrameReader;
using Found = FrameReader::Found;
using ::testing::ElementsAre;

std::vector<std::string> frames_of(FrameReader& reader, Framing framing, std::size_t most) {
  std::vector<std::string> frames;
  while (reader.find(framing, most) == Found::frame) {
    frames.emplace_back(reader.frame());
    reader.pass();
  }
  return frames;
}

TEST(FrameReader, EndsALineAtItsLineFeedAndKeepsTheRest) {
  FrameReader reader;
  reader.append("one\ntwo\r\n\nthr");
  EXPECT_THAT(frames_of(reader, Framing::lines, 10), ElementsAre("one", "two\r", ""));
  EXPECT_FALSE(reader.empty());
  reader.append("ee\n");
  EXPECT_THAT(frames_of(reader, Framing::lines, 10), ElementsAre("three"));
  EXPECT_TRUE(reader.empty());
}

TEST(FrameReader, TakesWhatTheLengthSaysWhateverTheBytesAre) {
  FrameReader reader;
  const std::string binary{"\n\0\xff", 3};
  reader.append(prefixed(binary) + prefixed("") + prefixed("last").substr(0, 6));
  EXPECT_THAT(frames_of(reader, Framing::length_prefixed, 4), ElementsAre(binary, ""));
  reader.append("st");
  EXPECT_THAT(frames_of(reader, Framing::length_prefixed, 4), ElementsAre("last"));
}

TEST(FrameReader, KnowsAFrameThatIsTooLargeAsSoonAsItCan) {
  FrameReader lines;
  lines.append("12345");
  EXPECT_EQ(lines.find(Framing::lines, 5), Found::none);
  lines.append("6");
  EXPECT_EQ(lines.find(Framing::lines, 5), Found::too_large);
  FrameReader whole;
  whole.append("123456\n");
  EXPECT_EQ(whole.find(Framing::lines, 5), Found::too_large);
  EXPECT_EQ(whole.find(Framing::lines, 6), Found::frame);
  FrameReader length;
  length.append(std::string{"\xff\xff\xff\xff", 4});
  EXPECT_EQ(length.find(Framing::length_prefixed, 1U << 30), Found::too_large);
}

TEST(FrameReader, FindsTheSameFramesHoweverTheBytesAreCut) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 numbers{seed};
  const auto below = [&numbers](std::size_t most) { return static_cast<std::size_t>(numbers() % most); };
  for (const Framing framing : {Framing::lines, Framing::length_prefixed}) {
    std::vector<std::string> made;
    std::string bytes;
    for (int i = 0; i < 2000; ++i) {
      made.emplace_back(below(300), static_cast<char>('a' + below(26)));
      bytes += framing == Framing::lines ? made.back() + "\n" : prefixed(made.back());
    }
    FrameReader reader;
    std::vector<std::string> found;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t length = std::min(below(1000) + 1, bytes.size() - at);
      reader.append(std::string_view{bytes}.substr(at, length));
      at += length;
      for (std::string& frame : frames_of(reader, framing, 300))
        found.push_back(std::move(frame));
    }
    EXPECT_EQ(found, made);
  }
}

TEST(Greeting, IsAHelloWithAnIdThatCanBeAKey) {
  const auto id_of = [](std::string_view line) { return std::string{detail::greeting_in(line).id}; };
  EXPECT_EQ(id_of("hello till-7.bank:3_x"), "till-7.bank:3_x");
  EXPECT_EQ(id_of("hello me\r"), "me");
  const std::string longest(39, 'x');
  EXPECT_EQ(id_of("hello " + longest), longest);
  for (const std::string& none :
       {std::string{"hello "}, std::string{"hello"}, std::string{""}, "hello " + longest + "x",
        std::string{"HELLO me"}, std::string{"hello a b"}, std::string{"hello me\n"},
        std::string{"hello \0me", 9}, std::string{"GET / HTTP/1.1"}})
    EXPECT_EQ(id_of(none), "") << none;
}

TEST(Greeting, MaySayOfWhichRunAndLifeItIs) {
  const std::string most = std::to_string(~std::uint64_t{0});
  const std::string longest = "hello " + std::string(39, 'x') + " " + most + "." + most;
  EXPECT_EQ(detail::greeting_in("hello me").life.run, 0U);
  EXPECT_EQ(detail::greeting_in("hello me 5.17\r").life.run, 5U);
  EXPECT_EQ(detail::greeting_in("hello me 5.17").life.life, 17U);
  EXPECT_EQ(detail::greeting_in(longest).life.life, ~std::uint64_t{0});
  for (const char* none : {"hello me ", "hello me 5", "hello me 5.", "hello me .17", "hello me 0.17",
                           "hello me 5.0", "hello me 5.17 ", "hello me 5.17.1", "hello me -5.17",
                           "hello me  5.17", "hello me 5.18446744073709551616"})
    EXPECT_EQ(detail::greeting_in(none).id, "") << none;
}

}  // namespace
}  // namespace sluice::test
