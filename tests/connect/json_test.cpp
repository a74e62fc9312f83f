// SPDX-License-Identifier: Apache-2.0
// What JSON becomes an event, exactly, and what is refused with which reason.
#include <limits>
#include <random>

#include <sluice/connect/json.hpp>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

struct Payment {
  std::uint64_t number = 0;
  std::int64_t cents = 0;
  std::int32_t priority = 5;
  std::uint8_t flags = 0;
  bool urgent = false;
  double rate = 0;
  Decimal price;
  char account[8] = {};

  friend bool operator==(const Payment&, const Payment&) = default;
};

const Fields<Payment>& payment() {
  static const Fields<Payment> fields{{"number", &Payment::number},
                                      {"amount", scaled(&Payment::cents, 2)},
                                      {"priority", &Payment::priority, false},
                                      {"flags", &Payment::flags, false},
                                      {"urgent", &Payment::urgent, false},
                                      {"rate", &Payment::rate, false},
                                      {"price", &Payment::price, false},
                                      {"account", &Payment::account, false}};
  return fields;
}

// What is wrong with it, or nothing.
std::string fault_of(std::string_view text) {
  JsonReader<Payment> reader{payment()};
  Payment read;
  return reader.read(text, read) ? std::string{} : reader.fault();
}

Payment read(std::string_view text) {
  JsonReader<Payment> reader{payment()};
  Payment read;
  EXPECT_TRUE(reader.read(text, read)) << reader.fault();
  return read;
}

TEST(Json, FillsTheMembersThatAreDeclared) {
  const Payment all = read(
      R"({ "number" : 18446744073709551615, "amount": 12.34, "priority": -2147483648, "flags": 255, "urgent": true,
           "rate": 2.5e3, "price": "0.00000001", "account": "b\u00e4ck", "other": {"of": [1, "x", null, {"y": false}]} })");
  EXPECT_EQ(all.number, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(all.cents, 1234);
  EXPECT_EQ(all.priority, std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(all.flags, 255);
  EXPECT_TRUE(all.urgent);
  EXPECT_EQ(all.rate, 2500);
  EXPECT_EQ(all.price.units(), 1);
  EXPECT_STREQ(all.account,
               "b\xc3\xa4"
               "ck");
}

TEST(Json, KeepsDefaultsOfWhatIsMissingOrNull) {
  Payment least;
  least.number = 1;
  least.cents = 200;
  EXPECT_EQ(read(R"({"number":1,"amount":2})"), least);
  EXPECT_EQ(read(R"({"number":1,"amount":2,"priority":null})").priority, 5);
  EXPECT_EQ(fault_of(R"({"number":1})"), "amount: it is missing");
  EXPECT_EQ(fault_of(R"({"number":1,"amount":null})"), "amount: it is missing");
  // As if it were not there, whatever was said before it.
  EXPECT_EQ(read(R"({"number":1,"amount":2,"priority":3,"priority":null})").priority, 3);
  EXPECT_EQ(read(R"({"number":1,"amount":2,"amount":null})"), least);
}

TEST(Json, TakesTheLastOfTwoMembersOfOneName) {
  EXPECT_EQ(read(R"({"number":1,"amount":2,"number":3})").number, 3U);
}

TEST(Json, NeverRoundsWhatIsScaled) {
  std::mt19937_64 random{7};
  JsonReader<Payment> reader{payment()};
  for (int i = 0; i < 20'000; ++i) {
    const auto cents = static_cast<std::int64_t>(random() >> (1 + random() % 62));
    const std::string text =
        std::to_string(cents / 100) + (cents % 100 < 10 ? ".0" : ".") + std::to_string(cents % 100);
    const std::string number = (i % 2 == 0 ? "-" : "") + text;
    Payment into;
    ASSERT_TRUE(reader.read(R"({"number":1,"amount":)" + number + "}", into))
        << number << ": " << reader.fault();
    ASSERT_EQ(into.cents, i % 2 == 0 ? -cents : cents) << number;
    ASSERT_TRUE(reader.read(R"({"number":1,"amount":")" + number + "00\"}", into)) << number;
    ASSERT_EQ(into.cents, i % 2 == 0 ? -cents : cents) << number;
  }
  EXPECT_EQ(read(R"({"number":1,"amount":-92233720368547758.08})").cents,
            std::numeric_limits<std::int64_t>::min());
}

TEST(Json, RefusesNumbersThatDoNotFitAndSaysWhichMember) {
  const auto amount = [](std::string_view text) {
    return fault_of(R"({"number":1,"amount":)" + std::string{text} + "}");
  };
  EXPECT_THAT(amount("1.005"),
              HasSubstr("amount: it has too many digits behind the point (2 are kept): 1.005"));
  EXPECT_EQ(amount("1.500"), "");
  EXPECT_THAT(amount("92233720368547758.08"), HasSubstr("too large"));
  EXPECT_THAT(amount("1e2"), HasSubstr("exponent"));
  EXPECT_THAT(amount("\"\""), HasSubstr("no number"));
  EXPECT_THAT(amount("\"1.\""), HasSubstr("no number"));
  EXPECT_THAT(amount("\" 1\""), HasSubstr("no number"));
  EXPECT_THAT(amount("\"--1\""), HasSubstr("no number"));
  EXPECT_THAT(amount("true"), HasSubstr("amount: it is not a number"));
  EXPECT_THAT(fault_of(R"({"number":-1,"amount":1})"),
              HasSubstr("number: no whole number of 64 bits and not negative: -1"));
  EXPECT_THAT(fault_of(R"({"number":18446744073709551616,"amount":1})"), HasSubstr("number"));
  EXPECT_THAT(fault_of(R"({"number":1.0,"amount":1})"), HasSubstr("number: no whole number"));
  EXPECT_THAT(fault_of(R"({"number":1,"amount":1,"flags":256})"),
              HasSubstr("flags: no whole number of 8 bits"));
  EXPECT_THAT(fault_of(R"({"number":1,"amount":1,"priority":2147483648})"), HasSubstr("priority"));
}

struct Narrow {
  float value = 0;
};

TEST(Json, RefusesWhatAFloatDoesNotHoldAndTakesNumbersOfAnySizeElsewhere) {
  const Fields<Narrow> fields{{"value", &Narrow::value}};
  JsonReader<Narrow> reader{fields};
  Narrow into;
  for (const char* large : {"1e300", "-1e39", "1e400"}) {
    EXPECT_FALSE(reader.read(R"({"value":)" + std::string{large} + "}", into)) << large;
    EXPECT_THAT(reader.fault(), HasSubstr("value: it is no number that 32 bits hold: "));
  }
  EXPECT_TRUE(reader.read(R"({"value":123456789012345678901234567890})", into)) << reader.fault();
  EXPECT_EQ(into.value, 123456789012345678901234567890.0F);
  const auto beside = [&](const std::string& other) {
    return reader.read(R"({"other":)" + other + R"(,"value":1,"more":)" + other + "}", into);
  };
  for (const char* other :
       {"18446744073709551616", "123456789012345678901234567890", "1e400", "-0.5E-7", "[1e999,0]"})
    EXPECT_TRUE(beside(other)) << other << reader.fault();
  for (const char* none : {"01", "-", "1.", ".5", "1e", "1e+", "0x1", "1_0", "Infinity", "--1", "1 2"})
    EXPECT_FALSE(beside(none)) << none;
}

TEST(Json, RefusesTextThatDoesNotFit) {
  EXPECT_EQ(read(R"({"number":1,"amount":1,"account":"12345678"})").account[7], '8');
  EXPECT_THAT(fault_of(R"({"number":1,"amount":1,"account":"123456789"})"),
              HasSubstr("account: 9 bytes, more than 8"));
  EXPECT_THAT(fault_of(R"({"number":1,"amount":1,"account":"a\u0000b"})"), HasSubstr("zero byte"));
  EXPECT_THAT(fault_of(R"({"number":1,"amount":1,"account":7})"), HasSubstr("account: it is not text"));
  EXPECT_THAT(fault_of(R"({"number":1,"amount":1,"urgent":"yes"})"),
              HasSubstr("urgent: it is not true or false"));
}

TEST(Json, ChecksTheWholeObject) {
  for (const char* broken : {"",
                             " ",
                             "{",
                             "}",
                             "[]",
                             "null",
                             "7",
                             "\"x\"",
                             "{}}",
                             R"({"number":1,"amount":1} x)",
                             R"({"number":1,"amount":1}{})",
                             R"({"number":1,"amount":1)",
                             R"({"number":1 "amount":1})",
                             R"({"number":1,"amount":1,})",
                             R"({"number":01,"amount":1})",
                             R"({"number":1,"amount":1,"x":tru})",
                             R"({"number":1,"amount":1,"x":[1,2})",
                             R"({"number":1,"amount":1,"x":nul})",
                             R"({"number":1,"amount":1,"x":01})",
                             R"({"number":1,"amount":1,"x":"\q"})",
                             R"({"number":1,"amount":1,"x":{"y":-}})",
                             "{\"number\":1,\"amount\":1,\"x\":\"\xff\"}",
                             "{\"number\":1,\"amount\":1,\"x\":\"a\nb\"}",
                             R"({"number":+1,"amount":1})",
                             R"({"number":1,"amount":1,"x":nullx})",
                             R"({number:1,"amount":1})"}) {
    EXPECT_NE(fault_of(broken), "") << broken;
  }
}

// The object and 1,023 within it; one more is refused, and a million do not overflow the stack.
TEST(Json, HasLimitsOfItsLevels) {
  const auto nested = [](std::size_t levels, const std::string& open, const std::string& close) {
    std::string text = R"({"number":1,"amount":1,"other":)";
    for (std::size_t i = 1; i < levels; ++i)
      text += open;
    text += "1";
    for (std::size_t i = 1; i < levels; ++i)
      text += close;
    return text + "}";
  };
  for (const auto& [open, close] : {std::pair<std::string, std::string>{"[", "]"}, {R"({"a":)", "}"}}) {
    EXPECT_EQ(fault_of(nested(1024, open, close)), "");
    EXPECT_EQ(fault_of(nested(1025, open, close)), "it has more than 1024 levels");
    EXPECT_EQ(fault_of(nested(1'000'000, open, close)), "it has more than 1024 levels");
  }
}

TEST(Json, SurvivesDamagedText) {
  const std::string sound =
      R"({"number":123,"amount":"12.34","account":"abc","rate":1.5,"other":[1,{"a":"b"},null,true],"price":3})";
  std::mt19937_64 random{11};
  JsonReader<Payment> reader{payment()};
  int refused = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string text = sound.substr(0, random() % 4 == 0 ? random() % sound.size() : sound.size());
    for (auto flips = random() % 3; flips != 0 && !text.empty(); --flips)
      text[random() % text.size()] = static_cast<char>(random());
    Payment into;
    if (reader.read(text, into)) continue;
    ++refused;
    ASSERT_NE(reader.fault(), "");
  }
  EXPECT_GT(refused, 10'000);
}

TEST(Json, RefusesADeclarationThatCannotBe) {
  EXPECT_THAT(error_of([] {
                const Fields<Payment> twice{{"number", &Payment::number}, {"number", &Payment::flags}};
              }),
              HasSubstr("declared twice"));
  EXPECT_THAT(error_of([] {
                const Fields<Payment> digits{{"amount", scaled(&Payment::cents, 19)}};
              }),
              HasSubstr("18"));
}

class FromJsonTest : public WithOutside {};

TEST_F(FromJsonTest, MakesEventsAndDeadLettersWithTheReason) {
  Pipeline pipeline{"json"};
  pipeline.inlet<Bytes>("in").to<FromJson<Payment>>("parse", payment()).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Payment> out{engine, "out"};
  auto in = engine.inlet<Bytes>("in");
  for (int i = 0; i < 200; ++i) {
    const std::string amount = i % 100 == 50 ? "\"much\"" : std::to_string(i) + ".5";
    ASSERT_EQ(in.push(Bytes{R"({"number":)" + std::to_string(i) + R"(,"amount":)" + amount + "}"}),
              PushResult::accepted);
  }
  in.close();
  engine.wait();
  const std::vector<Payment> all = out.all();
  ASSERT_THAT(all, SizeIs(198));
  EXPECT_EQ(all[51].number, 52U);
  EXPECT_EQ(all[51].cents, 5250);
  const std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
  ASSERT_THAT(letters, SizeIs(2));
  EXPECT_THAT(letters[0].cause, HasSubstr("refused: amount: it is no number"));
  EXPECT_EQ(letters[0].payload, R"({"number":50,"amount":"much"})");
}

}  // namespace
}  // namespace sluice::test
