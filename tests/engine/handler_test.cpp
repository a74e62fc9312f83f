// SPDX-License-Identifier: Apache-2.0
// What can be a handler: classes, functions, lambdas without captures. This file is compiled without run-time
// type information (-fno-rtti), which nothing in the public headers needs.

#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

namespace sluice::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Number {
  std::uint64_t value;
  bool operator==(const Number&) const = default;
};

void twice(const Number& number, Output<Number>& out) {
  out.push({number.value * 2});
}

class Adds {
 public:
  explicit Adds(std::uint64_t what) : what_{what} {}
  void operator()(const Number& number, Output<Number>& out) { out.push({number.value + what_}); }

 private:
  std::uint64_t what_;
};

class SumsUp {
 public:
  explicit SumsUp(Worker& worker) : sum_{worker.state<std::uint64_t>("sum")} {}
  void operator()(const Number& number, Output<Number>&) { sum_.edit() += number.value; }
  void finish(Output<Number>& out) { out.push({*sum_}); }

 private:
  Recoverable<std::uint64_t> sum_;
};

const std::vector<Number> kNumbers{{1}, {2}, {3}};

std::vector<Number> through(Pipeline& pipeline) {
  return run_inline(pipeline, kNumbers).events<Number>("out");
}

TEST(Handler, IsAFunction) {
  Pipeline pipeline{"function"};
  pipeline.inlet<Number>("in").to<&twice>("static").to("pointer", twice).outlet("out");
  EXPECT_THAT(through(pipeline), ElementsAre(Number{4}, Number{8}, Number{12}));
}

TEST(Handler, IsALambdaWithoutCaptures) {
  Pipeline pipeline{"lambda"};
  pipeline.inlet<Number>("in")
      .to("odd", {.workers = 1},
          [](const Number& number, Output<Number>& out) {
            if (number.value % 2 != 0) out.push(number);
          })
      .outlet("out");
  EXPECT_THAT(through(pipeline), ElementsAre(Number{1}, Number{3}));
}

TEST(Handler, IsAClassWithArgumentsStateAndALastWord) {
  Pipeline pipeline{"class"};
  pipeline.inlet<Number>("in").to<Adds>("add", std::uint64_t{10}).to<SumsUp>("sum").outlet("out");
  EXPECT_THAT(through(pipeline), ElementsAre(Number{36}));
}

TEST(Handler, OfASourceIsALambdaToo) {
  Pipeline pipeline{"source"};
  pipeline
      .source("once",
              [](Output<Bytes>& out) {
                out.push("text");
                return SourceState::end;
              })
      .outlet("out");
  EXPECT_THAT(run_inline(pipeline).events<Bytes>("out"), ElementsAre("text"));
}

TEST(Handler, ThatThrowsReachesTheCallerWithItsText) {
  Pipeline pipeline{"throws"};
  pipeline.inlet<Number>("in").to("throw", [](const Number&) {
    throw Error{{"try", "it", "it cannot be", "leave it"}};
  });
  try {
    run_inline(pipeline, kNumbers);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("it cannot be"));
  }
}

TEST(EventType, IsNamedAndToldFromOthersWithoutRuntimeTypes) {
  constexpr auto kNumber = detail::EventType::of<Number>();
  constexpr auto kSigned = detail::EventType::of<std::int64_t>();
  static_assert(kNumber == detail::EventType::of<Number>());
  static_assert(!(kNumber == kSigned) && kNumber.bytes == kSigned.bytes);
  EXPECT_THAT(std::string{kNumber.name}, HasSubstr("Number"));
  EXPECT_THAT(std::string{kSigned.name}, HasSubstr("long"));  // g++ says "long int", clang "long".
  EXPECT_TRUE(detail::EventType::of<Record<Number>>().record);
  EXPECT_EQ(detail::EventType::of<Record<Number>>().bytes, sizeof(Number));
}

}  // namespace
}  // namespace sluice::test
