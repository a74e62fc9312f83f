// SPDX-License-Identifier: Apache-2.0
// A chain of messages is stored behind what it expects, each behind its predecessor, or not at all.
#include "burst.hpp"
#include "names.hpp"
#include "nats_world.hpp"
#include "position_header.hpp"

namespace sluice::test {
namespace {

class NatsBurst : public WithNats {
 protected:
  void SetUp() override {
    WithNats::SetUp();
    if (!IsSkipped()) make_stream(server().url(), {"OUT", "out.*"});
  }
  // Sends so many messages as a chain; a letter for each answer.
  std::string send(const std::string& prefix, std::size_t count, std::uint64_t last_sequence) {
    return run_apart([&] {
      const detail::NatsClient client{{.url = server().url()}, "test", false};
      detail::Burst burst{client, "OUT"};
      const auto make = [&prefix](std::size_t index) {
        const std::string text = prefix + std::to_string(index);
        natsMsg* made = nullptr;
        natsMsg_Create(&made, "out.0", nullptr, text.data(), static_cast<int>(text.size()));
        return detail::NatsMessagePtr{made};
      };
      std::string said;
      for (const detail::Answer& answer : burst.send(count, make, last_sequence)) {
        said += answer.kind == detail::Answer::Kind::stored       ? 's'
                : answer.kind == detail::Answer::Kind::unexpected ? 'u'
                                                                  : '?';
      }
      return said;
    });
  }
};

TEST_F(NatsBurst, IsStoredBehindTheLastMessageOfItsSubject) {
  EXPECT_EQ(send("a", 5, 0), "sssss");
  EXPECT_EQ(send("b", 1, 5), "s");
  EXPECT_EQ(send("c", 3, 6), "sss");
}

// What a dead worker still had in its socket comes behind its successor's first message, at any of the sequences it hoped for.
TEST_F(NatsBurst, IsRefusedWholeBehindAnything) {
  EXPECT_EQ(send("a", 2, 0), "ss");
  for (std::uint64_t taken = 1; taken <= 4; ++taken) {
    EXPECT_EQ(send("successor", 1, 1 + taken), "s");
    EXPECT_EQ(send("late", 8, 2), "uuuuuuuu") << taken;
  }
}

TEST(NatsNames, ASubjectIsTakenByItsPatterns) {
  using detail::takes_subject;
  EXPECT_TRUE(takes_subject("a.b", "a.b"));
  EXPECT_TRUE(takes_subject("a.*", "a.b"));
  EXPECT_TRUE(takes_subject("a.>", "a.b.c"));
  EXPECT_TRUE(takes_subject(">", "a"));
  EXPECT_FALSE(takes_subject("a.*", "a.b.c"));
  EXPECT_FALSE(takes_subject("a.>", "a"));
  EXPECT_FALSE(takes_subject("a.b.c", "a.b"));
  EXPECT_FALSE(takes_subject("a", "b"));
  for (const char* wrong : {"", ".a", "a.", "a..b", "a b", "a.*", ">", "a\n"})
    EXPECT_FALSE(detail::is_subject(wrong)) << wrong;
  EXPECT_TRUE(detail::is_subject("a.b-c_d.0"));
}

TEST(NatsPositions, AreReadAsTheyWereWrittenAndNothingElseIs) {
  const detail::PositionHeader header{
      0x1f2e3d4c50200400, 0x18a2b3c4d5e6f708, 7, {{0, 4096, 2}, {1023, ~std::uint64_t{0}, 1}}};
  EXPECT_EQ(detail::read_header(detail::to_header(header)), header);
  for (const char* wrong : {"", "1", "2 1 1 0:0:1", "1 x 1 0:0:1", "1 1 1", "1 1 1 ", "1 1 1 0:0",
                            "1 1 1 0:0:1x", "1 1 1 0:0:1 1", "1 1 1 0:99999999999999999999:1"})
    EXPECT_FALSE(detail::read_header(wrong)) << wrong;
}

}  // namespace
}  // namespace sluice::test
