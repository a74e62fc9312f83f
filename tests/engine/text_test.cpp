// SPDX-License-Identifier: Apache-2.0
// Text<N>: a short text as a value that can travel, be a key, and lie in a table.
#include <array>
#include <bit>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

#include "errors.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

static_assert(std::is_trivially_copyable_v<Text<5>> && std::has_unique_object_representations_v<Text<5>>);
static_assert(sizeof(Text<5>) == 5 && alignof(Text<5>) == 1, "no padding behind what it stands before");
static_assert(Event<Text<16>> && Key<Text<16>> && detail::kHashAgrees<Text<16>> &&
              detail::kHashAgrees<Text<500>>);
static_assert(Text<4>{"GBP"} == "GBP" && Text<4>{"GBP"} != Text<8>{"GB"} && Text<4>{} < Text<4>{"A"});

struct Payment {
  std::int64_t cents = 0;
  Text<8> account;
  Text<4> currency;
  std::int32_t branch = 0;
  bool operator==(const Payment&) const = default;
};
static_assert(Event<Payment> && Key<Payment> && detail::kHashAgrees<Payment>);

TEST(Texts, KeepWhatTheyAreGiven) {
  Payment payment{5, "anna", "EUR", 7};
  EXPECT_EQ(payment.account, "anna");
  EXPECT_EQ(payment.account.view(), "anna");
  EXPECT_EQ(payment.account.size(), 4U);
  payment.account = std::string{"bertbert"};
  EXPECT_EQ(payment.account, std::string{"bertbert"}) << "one that fills it";
  payment.account = "";
  EXPECT_TRUE(payment.account.empty());
}

TEST(Texts, OfAnArrayEndAtItsZeroOrItsEnd) {
  const char full[4] = {'G', 'B', 'P', '!'};
  const char short_one[8] = {'a', '\0', 'x'};
  EXPECT_EQ(Text<4>{full}, "GBP!");
  EXPECT_EQ(Text<4>{short_one}, "a");
  const char* pointer = short_one;
  EXPECT_EQ(Text<4>{pointer}, "a");
}

TEST(Texts, ThatAreTooLongOrHaveAZeroInThemAreRefused) {
  EXPECT_THAT(error_of([] { Text<4>{"longer"}; }),
              AllOf(HasSubstr("cannot make a Text<4> of \"longer\": it has 6 bytes"),
                    HasSubstr("Text<4>::truncated()")));
  EXPECT_THAT(error_of([] {
                Text<4>{std::string_view{"a\0b", 3}};
              }),
              HasSubstr("cannot make a Text<4> of \"a\\x00b\": its byte 1 is zero"));
  EXPECT_THAT(error_of([] { Text<4>{std::string(1000, 'x')}; }), HasSubstr("x...\": it has 1000 bytes"));
}

TEST(Texts, SayWhetherTheyCouldBeMade) {
  EXPECT_TRUE(Text<4>::fits("four") && Text<4>::fits(""));
  EXPECT_FALSE(Text<4>::fits("longer") || Text<4>::fits(std::string_view{"a\0b", 3}));
}

TEST(Texts, AreCutWhereThatIsSaidAndNoCharacterInTwo) {
  EXPECT_EQ(Text<4>::truncated("longer"), "long");
  EXPECT_EQ(Text<4>::truncated("four"), "four");
  EXPECT_EQ(Text<4>::truncated("abc\u00e9"), "abc");
  EXPECT_EQ(Text<5>::truncated("abc\u00e9"), "abc\u00e9");
  EXPECT_EQ(Text<4>::truncated(std::string_view{"a\0b", 3}), "a");
}

TEST(Texts, ArePrinted) {
  std::ostringstream out;
  out << Text<8>{"anna"};
  EXPECT_EQ(out.str(), "anna");
  EXPECT_EQ(fmt::format("{:>6}|", Text<8>{"anna"}.view()), "  anna|");
  EXPECT_EQ(std::string{Text<8>{"anna"}} + "!", "anna!");
}

// Bytes of all values but zero, few of them, so that beginnings are common.
std::string any_text(std::mt19937& random, std::size_t most) {
  constexpr std::array<char, 6> kBytes{'a', 'b', '\x01', '\x7f', '\x80', '\xff'};
  std::string text(random() % (most + 1), ' ');
  for (char& byte : text)
    byte = kBytes[random() % kBytes.size()];
  return text;
}

TEST(Texts, CompareHashAndOrderAsStringsDo) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random{seed};
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr std::size_t kMost = 9;
  for (int i = 0; i < 20'000; ++i) {
    const std::string one = any_text(random, kMost);
    const std::string other = any_text(random, kMost);
    const Text<kMost> a{one};
    Text<kMost> b{any_text(random, kMost)};
    b = other;  // Nothing of what was there before shows.
    ASSERT_EQ(a.view(), one);
    ASSERT_EQ(a.size(), one.size());
    ASSERT_EQ(a == b, one == other);
    ASSERT_EQ(a <=> b, std::string_view{one} <=> std::string_view{other});
    ASSERT_EQ(a <=> other, std::string_view{one} <=> std::string_view{other});
    ASSERT_EQ(a == Text<kMost + 1>{other}, one == other);
    ASSERT_EQ(std::memcmp(&a, &b, sizeof(a)) == 0, one == other) << "equal texts are equal bytes";
    ASSERT_EQ(hash_key(a), hash_key(one));
    ASSERT_EQ(hash_key(a), hash_key(std::string_view{one})) << "as a member char[] of the same text has it";
  }
}

class Sum {
 public:
  explicit Sum(Worker& worker) : sums_{worker.table<Text<8>, std::int64_t>("sums", 100)} {}
  void operator()(const Payment& payment, Output<Payment>&) { sums_[payment.account] += payment.cents; }
  void finish(Output<Payment>& out) {
    sums_.for_each([&](const Text<8>& account, std::int64_t cents) { out.push({cents, account, "EUR", 0}); });
  }

 private:
  Table<Text<8>, std::int64_t> sums_;
};

TEST(Texts, AreKeysOfRoutesAndOfTables) {
  Pipeline pipeline{"texts"};
  pipeline.inlet<Payment>("in").by(&Payment::account).to<Sum>("sum", {.workers = 3}).outlet("out");
  const std::array payments{Payment{1, "anna", "EUR", 1}, Payment{2, "bert", "EUR", 1},
                            Payment{4, "anna", "EUR", 2}, Payment{8, Text<8>::truncated("anna"), "GBP", 2}};
  EXPECT_THAT(run_inline(pipeline, payments).events<Payment>("out"),
              UnorderedElementsAre(Payment{13, "anna", "EUR", 0}, Payment{2, "bert", "EUR", 0}));
}

TEST(Texts, AreEventsThatAreRoutedByWhatTheySay) {
  Pipeline pipeline{"words"};
  pipeline.inlet<Text<8>>("in")
      .by(&Text<8>::view)
      .to("pass", [](const Text<8>& word, Output<Text<8>>& out) { out.push(word); })
      .outlet("out");
  const std::array<Text<8>, 2> words{"to", "be"};
  EXPECT_THAT(run_inline(pipeline, words).events<Text<8>>("out"), ElementsAre("to", "be"));
}

TEST(Texts, DoNotHideTheMembersBehindThem) {
  EXPECT_THAT(detail::fields_of<Payment>(), HasSubstr(", other, other, int}, 24 bytes, aligned to 8"));
}

}  // namespace
}  // namespace sluice::test
