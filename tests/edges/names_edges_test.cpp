// SPDX-License-Identifier: Apache-2.0
// Names and texts from outside: variables that somebody else has made, paths that are empty, bytes that are no text; and what
// processes are called.
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <span>
#include <string>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/detail/injected_variables.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/detail/process_name.hpp>
#include <sluice/printable.hpp>
#include <sluice/sluice.hpp>

#include "errors.hpp"
#include "pipelines.hpp"
#include "processes.hpp"

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

TEST(TheNameOfAPipeline, LeadsNowhereElse) {
  Pipeline pipeline{"../up/and\naway"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  const Engine engine{pipeline, test_settings()};
  const std::filesystem::path reports = engine.stats().reports;
  EXPECT_EQ(reports.parent_path(), std::filesystem::current_path() / "sluice-reports");
  EXPECT_THAT(reports.filename().string(), testing::StartsWith("___up_and_away-"));
}

TEST(TheNameOfAPipeline, IsNotEmpty) {
  Pipeline pipeline{""};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  const auto refusal = HasSubstr("cannot name a pipeline '': its name is empty (give it one");
  EXPECT_THAT(error_of([&] { const Engine engine{pipeline, test_settings()}; }), refusal);
  EXPECT_THAT(error_of([&] { InlineRun{pipeline, test_settings()}; }), refusal);
}

// What has a slash is a path where there is one.
TEST(TheNameOfAPipeline, IsWhatCommandsKnowItByWhateverItIsMadeOf) {
  for (const char* name : {"a/b", "/a", "./", "a b", "\n", "-a", ".", "a.b", "a.1", "\xff"}) {
    SCOPED_TRACE(printable(name));
    const std::string whole = name + std::to_string(::getpid());
    Pipeline pipeline{whole};
    pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
    Settings settings = test_settings();
    settings.set("observe.socket", "auto");
    Engine engine{pipeline, settings};
    engine.start();
    EXPECT_EQ(error_of([&] { EXPECT_EQ(Observer::attach(whole).stats().pipeline, whole); }), "");
    engine.stop();
  }
  EXPECT_THAT(error_of([] { Observer::attach("/nowhere/at all"); }), HasSubstr("No such file"));
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

std::string first_line(const std::string& path) {
  std::ifstream file{path};
  std::string text;
  std::getline(file, text);
  return text;
}

// With a blank for the zero behind each argument.
std::string command_line_of(pid_t pid) {
  std::string text = first_line("/proc/" + std::to_string(pid) + "/cmdline");
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

std::string name_of_process(pid_t pid) {
  return first_line("/proc/" + std::to_string(pid) + "/comm");
}

// What a handler may point to: it must be in the worker as it was in the host.
std::string arguments_and_environment() {
  std::string text = program_invocation_name;
  for (char** variable = environ; *variable != nullptr; ++variable)
    text.append(*variable);
  return text;
}

std::string arguments_of_the_host;

class ProcessNames : public WithProcesses {};

TEST_F(ProcessNames, SayPipelineAndWorkerAndLeaveTheHostAndItsArgumentsAlone) {
  const std::string host = command_line_of(::getpid());
  const std::string comm = name_of_process(::getpid());
  arguments_of_the_host = arguments_and_environment();
  Pipeline pipeline{"named"};
  pipeline.inlet<Item>("in")
      .to("look",
          [](const Item& item, Output<Item>& out) {
            out.push({arguments_and_environment() == arguments_of_the_host ? 1U : 0U, item.number});
          })
      .outlet("out");
  Engine engine{pipeline, test_settings()};
  engine.start();
  const pid_t worker = worker_of(engine, "look/0").pid;
  // Kernels without the call, and sandboxes that refuse it, leave the command line; the name is there in any case.
  const bool told = command_line_of(worker) != host;
  const auto line = [&](const char* role) { return told ? std::string{"sluice: named "} + role : host; };
  EXPECT_EQ(command_line_of(worker), line("look/0"));
  EXPECT_EQ(name_of_process(worker), "named look/0");
  EXPECT_EQ(command_line_of(supervisor_of(engine)), line("supervisor"));
  EXPECT_EQ(command_line_of(master_of(engine)), line("master"));
  std::vector<std::string> others;
  EXPECT_TRUE(eventually([&] {
    others.clear();
    for (const pid_t parent : {supervisor_of(engine), master_of(engine)}) {
      for (const pid_t child : children_of(parent))
        others.push_back(command_line_of(child));
    }
    return std::count(others.begin(), others.end(), line("standby")) >= 1 &&
           std::count(others.begin(), others.end(), line("log")) >= 1;
  })) << testing::PrintToString(others);
  ::kill(worker, SIGKILL);
  EXPECT_TRUE(eventually([&] {
    const WorkerStats now = worker_of(engine, "look/0");
    return now.pid > 0 && now.pid != worker && command_line_of(now.pid) == line("look/0");
  }));
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  EXPECT_EQ(in.push({0, 1}), PushResult::accepted);
  std::uint32_t same = 0;
  EXPECT_TRUE(eventually([&] { return out.poll([&](const Item& item) { same = item.key; }) == 1; }));
  EXPECT_EQ(same, 1U);
  EXPECT_EQ(command_line_of(::getpid()), host);
  EXPECT_EQ(name_of_process(::getpid()), comm);
  engine.stop();
}

TEST_F(ProcessNames, HaveThePipelinesWhereThereIsRoom) {
  EXPECT_EQ(detail::worker_process_name("market", "parse/1"), "market parse/1");
  EXPECT_EQ(detail::worker_process_name("marketing", "parse/1"), "parse/1");
  EXPECT_EQ(detail::worker_process_name("m", "a-stage-of-a-long-name/0"), "a-stage-of-a-lo");
}

}  // namespace
}  // namespace sluice::test
