// SPDX-License-Identifier: Apache-2.0
// Names and texts from outside: variables that somebody else has made, paths that are empty, bytes that are no text.
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/detail/injected_variables.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/printable.hpp>
#include <sluice/sluice.hpp>

#include "errors.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

Settings with(std::vector<const char*> variables) {
  return Settings::from_environment(std::span<const char* const>{variables});
}

TEST(VariablesOfAService, ArePassedOver) {
  const Settings settings =
      with({"SLUICE_SERVICE_HOST=10.3.104.46", "SLUICE_SERVICE_PORT=80", "SLUICE_SERVICE_PORT_HTTP=80",
            "SLUICE_PORT=tcp://10.3.104.46:80", "SLUICE_PORT_80_TCP=tcp://10.3.104.46:80",
            "SLUICE_PORT_80_TCP_PROTO=tcp", "SLUICE_PORT_80_TCP_PORT=80",
            "SLUICE_PORT_80_TCP_ADDR=10.3.104.46", "SLUICE_LANE_SLOTS=16",
            "SLUICE_API_SERVICE_HOST=fd00::1:2", "SLUICE_API_PORT_53_UDP=udp://[fd00::1]:53"});
  EXPECT_EQ(settings.count("lane.slots"), 16U);
  EXPECT_EQ(settings.fingerprint(), with({"SLUICE_LANE_SLOTS=16"}).fingerprint());
}

TEST(VariablesOfAService, AreKnownByTheirFormAndEveryOtherUnknownOneIsAnError) {
  for (const char* variable :
       {"SLUICE_PORT=80", "SLUICE_PORT=tcp://", "SLUICE_PORT=http://10.3.104.46:80",
        "SLUICE_PORT=", "SLUICE_SERVICE_HOST=yes", "SLUICE_SERVICE_PORT=tcp", "SLUICE_PORT_80_TCP_PROTO=80",
        "SLUICE_PORT_80_TCP=80", "SLUICE_PORT_X_TCP=tcp://10.3.104.46:80", "SLUICE_PORT_80_TCP_NAME=x",
        "SLUICE_LANE_SLOT=16"}) {
    EXPECT_THAT(error_of([&] { with({variable}); }), HasSubstr("no such setting")) << variable;
  }
}

TEST(AnEmptyValue, MeansNotSetWhereAPathIsMeant) {
  const Settings none;
  for (const char* variable : {"SLUICE_REPORT_PATH=", "SLUICE_OBSERVE_SOCKET=", "SLUICE_SEGMENT_PATH=",
                               "SLUICE_POISON_RETRY=", "SLUICE_PROFILE_FILE=", "SLUICE_REPORT_PATH=  "}) {
    EXPECT_EQ(with({variable}).fingerprint(), none.fingerprint()) << variable;
  }
  EXPECT_EQ(with({"SLUICE_REPORT_PATH="}).text("report.path"), "auto");
  EXPECT_THAT(error_of([] { with({"SLUICE_LANE_SLOTS="}); }), HasSubstr("lane.slots"));
}

TEST(APath, IsAnErrorWhenItIsEmpty) {
  EXPECT_THAT(error_of([] { detail::absolute_path(""); }), HasSubstr("empty"));
  EXPECT_EQ(detail::absolute_path("/a/b"), "/a/b");
}

TEST(Printable, KeepsWhatCanBeShownAndEscapesWhatDrivesATerminal) {
  EXPECT_EQ(printable("plain, \u00e4\u20ac\U0001f600"), "plain, \u00e4\u20ac\U0001f600");
  EXPECT_EQ(printable("a\nb\tc\rd\x1b[31m\x7f\\"), R"(a\nb\tc\rd\x1b[31m\x7f\\)");
  EXPECT_EQ(printable(std::string_view{"\0x", 2}), R"(\x00x)");
  EXPECT_EQ(printable("\u0085\u202e\u2028\u200b"), R"(\u0085\u202e\u2028\u200b)");
}

TEST(Printable, EscapesBytesThatAreNoUtf8) {
  EXPECT_EQ(printable("\xff"), R"(\xff)");
  EXPECT_EQ(printable("\xe2\x82"), R"(\xe2\x82)") << "cut within a character";
  EXPECT_EQ(printable("\xc0\xaf"), R"(\xc0\xaf)") << "longer than it need be";
  EXPECT_EQ(printable("\xed\xa0\x80"), R"(\xed\xa0\x80)") << "half of a pair";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), R"(\xf4\x90\x80\x80)") << "beyond the last character";
  EXPECT_EQ(printable("\x80"
                      "a\xe4"),
            R"(\x80a\xe4)");
}

TEST(JsonText, IsAlwaysJson) {
  EXPECT_EQ(json_text("\u00e4 \"q\" \\ \n \x01"), "\"\u00e4 \\\"q\\\" \\\\ \\u000a \\u0001\"");
  EXPECT_EQ(json_text("\xff\u20ac\xe2\x82"), "\"\\\\xff\u20ac\\\\xe2\\\\x82\"");
}

TEST(CutText, CutsNoCharacterInTwo) {
  const std::string text = "a\u00e4\u20ac\U0001f600z";  // 1, 2, 3, 4 and 1 bytes.
  const std::vector<std::size_t> ends{0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
  for (std::size_t most = 0; most < ends.size(); ++most)
    EXPECT_EQ(cut_text(text, most).size(), ends[most]) << most;
  EXPECT_EQ(cut_text("\xff\xff\xff\xff\xff\xff", 5).size(), 5U) << "what is no text can be cut anywhere";
}

}  // namespace
}  // namespace sluice::test
