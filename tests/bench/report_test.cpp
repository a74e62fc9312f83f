// SPDX-License-Identifier: Apache-2.0
// A report survives being written and read; what is no report is refused with its reason.
#include <limits>
#include <nlohmann/json.hpp>
#include <page.hpp>
#include <page_data.hpp>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "made_up.hpp"

namespace bench_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Report full_report() {
  Report made =
      report({suite("lane", {benchmark("one_way/lane/8B", "items_per_second", {1.5e8, 1.25e8, 1.75e8})})});
  made.suites[0].benchmarks[0].label = "a label";
  made.suites[0].benchmarks[0].rounds[1].figures["others_percent"] = 60;
  made.suites.push_back({"hop", Outcome::failed, "it died of signal 11", 0.5, {}});
  made.suites[0].benchmarks.push_back(
      {parse_name("one_way/peer:x/8B"), "", {{0, {}, "lost \"3\" </script>"}}});
  return made;
}

std::string why_refused(const std::string& text) {
  try {
    from_json(text, "old.json");
  } catch (const sluice::Error& error) {
    return error.what();
  }
  return "it was not refused";
}

TEST(AReport, ComesBackFromItsJson) {
  const std::string text = to_json(full_report());
  EXPECT_EQ(to_json(from_json(text, "x")), text);
  const Report back = from_json(text, "x");
  EXPECT_EQ(back.machine.hwloc_xml, "<topology/>");
  EXPECT_EQ(back.suites[1].outcome, Outcome::failed);
  EXPECT_EQ(back.suites[0].benchmarks[0].rounds[0].figures.at("items_per_second"), 1.5e8);
  EXPECT_EQ(back.settings[0].origin, "default");
}

TEST(AReport, SaysWhichRoundsWereDisturbedAndGivesMedians) {
  const auto json = nlohmann::json::parse(to_json(full_report()));
  const auto& first = json.at("suites")[0].at("benchmarks")[0];
  EXPECT_EQ(json.at("schema"), kReportSchema);
  EXPECT_FALSE(first.at("rounds")[0].at("disturbed").get<bool>());
  EXPECT_TRUE(first.at("rounds")[1].at("disturbed").get<bool>());
  EXPECT_EQ(first.at("median").at("items_per_second"), 1.5e8);
}

TEST(AReport, KeepsAFigureThatIsNoNumberOutOfTheMedians) {
  Report made = full_report();
  made.suites[0].benchmarks[0].rounds[0].figures["p50_ns"] = std::numeric_limits<double>::infinity();
  const Report back = from_json(to_json(made), "x");
  EXPECT_EQ(back.suites[0].benchmarks[0].rounds[0].figures.count("p50_ns"), 0U);
}

TEST(WhatIsNoReport, IsRefusedWithItsNameAndTheReason) {
  EXPECT_THAT(why_refused(""), AllOf(HasSubstr("cannot read old.json"), HasSubstr("it is empty")));
  EXPECT_THAT(why_refused("{\"product\": \"slui"), HasSubstr("it is no JSON, or cut off"));
  EXPECT_THAT(why_refused("[1, 2]"), HasSubstr("it is no result of sluice bench"));
  EXPECT_THAT(why_refused("{\"benchmarks\": []}"), HasSubstr("it is no result of sluice bench"));
  EXPECT_THAT(why_refused("{\"product\": \"sluice bench\", \"schema\": 99}"), HasSubstr("its schema is 99"));
  EXPECT_THAT(why_refused("{\"product\": \"sluice bench\", \"schema\": 1}"), HasSubstr("it is damaged"));
  EXPECT_THROW(read_report("/nonexistent/old.json"), sluice::Error);
}

TEST(APage, CarriesEverythingAndFetchesNothing) {
  const Report now = full_report();
  const std::string text = page(now, &now);
  EXPECT_THAT(text, AllOf(HasSubstr("Chart.js Contributors"), HasSubstr("MIT License"), HasSubstr("one_way"),
                          HasSubstr("it died of signal 11"), HasSubstr("id=\"comparison\""),
                          HasSubstr("Not affected")));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("<link")), Not(HasSubstr("src=")), Not(HasSubstr("@import"))));
}

// A run of one suite measures few of them, and its figures are not to stand below a page of others.
TEST(APage, BeginsWithTheVerdictAndFoldsTheTargetsThatWereNotMeasured) {
  const std::string text = page(full_report(), nullptr);
  const std::size_t targets = text.find("<section id=\"targets\">");
  ASSERT_NE(targets, std::string::npos);
  const std::size_t folded = text.find("<details", targets);
  EXPECT_THAT(text.substr(targets, folded - targets),
              AllOf(testing::ContainsRegex("targets that were measured hold|measured none of the targets"),
                    Not(HasSubstr("not measured"))));
  EXPECT_THAT(text.substr(folded, text.find("</section>", folded) - folded),
              AllOf(HasSubstr("were not measured</summary>"), HasSubstr("was not run")));
}

TEST(APage, IsNotBrokenByWhatASuiteSays) {
  const Report now = full_report();
  EXPECT_THAT(page(now, nullptr),
              AllOf(HasSubstr("lost &quot;3&quot; &lt;/script&gt;"), Not(HasSubstr("lost \"3\" </script>"))));
  EXPECT_THAT(chart_data(now, nullptr), Not(HasSubstr("</")));
  EXPECT_TRUE(nlohmann::json::accept(chart_data(now, &now)));
}

}  // namespace
}  // namespace bench_test
