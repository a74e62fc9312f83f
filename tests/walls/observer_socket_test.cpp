// SPDX-License-Identifier: Apache-2.0
// The socket that observers ask at: where it is, when it is there, and who finds it.
#include "observer/observer_socket.hpp"

#include <algorithm>
#include <cstdio>
#include <sys/socket.h>
#include <sys/un.h>

#include "ipc/child.hpp"
#include "support/clear_away.hpp"
#include "watched.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using ipc::test::Child;
using testing::HasSubstr;

class DoorTest : public WithSocket {};

TEST_F(DoorTest, IsThereAsLongAsThePipelineRuns) {
  {
    Engine engine{counting_pipeline(1), settings()};
    EXPECT_FALSE(fs::exists(socket_));
    engine.start();
    EXPECT_TRUE(fs::is_socket(socket_));
    engine.drain();
    EXPECT_FALSE(fs::exists(socket_));
  }
  {
    Engine engine{counting_pipeline(1), settings()};
    engine.start();
    kill_control_plane_of(engine);
    EXPECT_THROW(engine.wait(), Error);
    EXPECT_THAT(error_of_attaching(socket_), HasSubstr("its processes are gone"));
  }
  EXPECT_FALSE(fs::exists(socket_));
}

// A socket whose listener is dead.
void leave_socket(const std::string& path) {
  Child dead{[&] {
    const Descriptor socket{::socket(AF_UNIX, SOCK_SEQPACKET, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    return ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) |
           ::listen(socket.get(), 1);
  }};
  EXPECT_EQ(dead.ending(), "exit 0");
}

TEST_F(DoorTest, IsNotKeptOutByASocketThatWasLeftOver) {
  leave_socket(socket_);
  ASSERT_TRUE(fs::is_socket(socket_));
  const Watched run{settings()};
  EXPECT_EQ(Observer::attach(socket_).pipeline(), "counting");
}

TEST_F(DoorTest, IsFoundByTheNameOfThePipeline) {
  const std::string name = "counting." + std::to_string(::getpid());
  const fs::path dead = directory_ / "sluice" / "dead.1.sock";
  {
    const Watched run{settings("auto")};
    leave_socket(dead.string());
    std::vector<std::string> names;
    for (const RunningPipeline& each : Observer::running())
      names.push_back(each.name);
    EXPECT_THAT(names, testing::Contains(name));
    EXPECT_FALSE(fs::exists(dead));
    EXPECT_EQ(Observer::attach(name).pipeline(), "counting");
    EXPECT_THAT(error_of_attaching("countign"), HasSubstr("is running; did you mean counting?"));
    const Watched second{settings("auto")};
    EXPECT_EQ(Observer::attach("counting-2." + std::to_string(::getpid())).pipeline(), "counting");
  }
  EXPECT_THAT(error_of_attaching(name), HasSubstr("no pipeline of that name is running"));
  EXPECT_TRUE(fs::is_empty(directory_ / "sluice"));
}

#ifdef SLUICE_PROGRAM
struct Said {
  int status = -1;
  std::string text;  // Of both outputs.
};

Said sluice_stats(const std::string& arguments) {
  const std::string command = std::string{SLUICE_PROGRAM} + " stats " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  Said said;
  char line[512];
  while (std::fgets(line, sizeof(line), pipe) != nullptr)
    said.text += line;
  said.status = WEXITSTATUS(::pclose(pipe));
  return said;
}

TEST_F(DoorTest, LetsTheCommandStatsIn) {
  const std::string name = "counting." + std::to_string(::getpid());
  const Watched run{settings("auto")};
  for (const std::string& named : {name, (directory_ / "sluice" / (name + ".sock")).string()}) {
    const Said said = sluice_stats(named);
    EXPECT_EQ(said.status, 0) << said.text;
    EXPECT_THAT(said.text, testing::AllOf(HasSubstr("stage "), HasSubstr("count "),
                                          HasSubstr(" " + std::to_string(Watched::kItems) + " "),
                                          testing::ContainsRegex("bottleneck.* \\(since the start\\)\n$")));
  }
  const Watched second{settings("auto")};
  const Said list = sluice_stats("");
  EXPECT_EQ(list.status, 0);
  EXPECT_THAT(list.text, testing::AllOf(HasSubstr(name), HasSubstr("counting-2.")));
  EXPECT_THAT(sluice_stats("--json").text, HasSubstr("say which"));
  const Said wrong = sluice_stats("nobody-has-this-name");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.text, HasSubstr("no pipeline of that name is running"));
}

// What it writes is a profile that the same pipeline starts with.
TEST_F(DoorTest, TellsTheNextPlanWhatThisRunHasDone) {
  const fs::path profile = directory_ / "measured.profile";
  {
    const Watched run{settings()};
    const Said said = sluice_stats(socket_ + " --measured");
    EXPECT_EQ(said.status, 0) << said.text;
    EXPECT_THAT(said.text, testing::ContainsRegex("placement.measured = .*host>count@[0-9.e+]+"));
    std::ofstream{profile} << said.text;
  }
  Settings again = settings();
  again.set("profile.file", profile.string());
  const Engine engine{counting_pipeline(2), again};
  EXPECT_THAT(again.text("placement.measured"), HasSubstr("host>count@"));
}

std::ptrdiff_t lines_of(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

TEST_F(DoorTest, GivesTheCommandStatsCountersAtOnceAndRatesOverTwoLooks) {
  const Watched run{settings()};
  const auto before = std::chrono::steady_clock::now();
  const Said once = sluice_stats(socket_ + " --json");
  // Half a second for rates was more than the rest takes, also on a busy machine; the best of some looks decides.
  auto fastest = std::chrono::steady_clock::now() - before;
  for (int i = 0; i < 20 && fastest >= 500ms; ++i) {
    const auto start = std::chrono::steady_clock::now();
    sluice_stats(socket_ + " --json");
    fastest = std::min(fastest, std::chrono::steady_clock::now() - start);
  }
  EXPECT_LT(fastest, 500ms);
  EXPECT_EQ(once.status, 0) << once.text;
  EXPECT_THAT(once.text, testing::AllOf(testing::StartsWith("{\"schema\":1,"), HasSubstr("\"rates\":null"),
                                        HasSubstr("\"window_seconds\":null"), testing::EndsWith("]}\n")));
  EXPECT_EQ(lines_of(once.text), 1);
  const Said watched = sluice_stats(socket_ + " --json --watch 0.1 --looks 2");
  EXPECT_EQ(watched.status, 0) << watched.text;
  EXPECT_EQ(lines_of(watched.text), 2);
  EXPECT_THAT(watched.text.substr(watched.text.find('\n')), HasSubstr("\"rates\":{\"in_per_second\":0,"));
  EXPECT_THAT(sluice_stats(socket_ + " --workers").text, HasSubstr("count/1 "));
}

TEST_F(DoorTest, IsMissedByTheCommandStatsWhereThereIsNone) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become a user that runs nothing";
  constexpr int kNoAccess = 77;
  constexpr uid_t kRunsNothing = kNobody - 1;  // As nobody other tests run pipelines meanwhile.
  Child nobody{[] {
    if (::setgid(kRunsNothing) != 0 || ::setuid(kRunsNothing) != 0) return 3;
    if (::access(SLUICE_PROGRAM, X_OK) != 0) return kNoAccess;
    const Said said = sluice_stats("");
    return said.status == 1 && said.text == "sluice: no pipeline of this user is running\n" ? 0 : 1;
  }};
  const std::string ending = nobody.ending();
  if (ending == "exit 77") GTEST_SKIP() << "other users cannot get at the program";
  EXPECT_EQ(ending, "exit 0");
}
#endif

TEST_F(DoorTest, OfAnotherUserIsFoundByRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may look at what others run";
  const std::string name = "foreign" + std::to_string(::getpid());
  const fs::path reports = fs::temp_directory_path() / name;
  Child nobody{[&] {
    ::unsetenv("XDG_RUNTIME_DIR");
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return 3;
    Settings settings = test_settings();
    settings.set("observe.socket", "auto");
    settings.set("report.path", reports.string());
    settings.set("log.level", "off");
    Engine engine{counting_pipeline(1, name), settings};
    engine.start();
    eventually([] { return false; }, 3600s);
    return 0;
  }};
  std::vector<RunningPipeline> running;
  ASSERT_TRUE(eventually([&] {
    running = Observer::running();
    std::erase_if(running, [&](const RunningPipeline& each) { return !each.name.starts_with(name + "."); });
    return !running.empty();
  }));
  EXPECT_THAT(running.front().socket, testing::StartsWith("/tmp/sluice-65534/"));
  EXPECT_EQ(Observer::attach(name).pipeline(), name);
  nobody.kill();
  nobody.ending();
  clear_away(reports);
}

std::string error_of_starting(const Settings& settings) {
  Engine engine{counting_pipeline(1), settings};
  return error_of([&] { engine.start(); });
}

TEST_F(DoorTest, ThatWasNamedAndCannotBeMadeIsAnErrorOfTheStart) {
  std::ofstream{directory_ / "file"} << "something of the user's";
  EXPECT_THAT(error_of_starting(settings((directory_ / "file").string())),
              HasSubstr("it is there, and no socket"));
  EXPECT_TRUE(fs::is_regular_file(directory_ / "file"));
  EXPECT_THAT(error_of_starting(settings((directory_ / "none" / "a.sock").string())),
              HasSubstr("none/a.sock"));
  EXPECT_THAT(error_of_starting(settings("/tmp/" + std::string(200, 'x'))), HasSubstr("characters at most"));
  const Watched run{settings()};
  EXPECT_THAT(error_of_starting(settings()), HasSubstr("another pipeline listens there"));
  EXPECT_EQ(Observer::attach(socket_).pipeline(), "counting");
}

TEST_F(DoorTest, ThatChoosesItsOwnPathGoesElsewhereWhenSomethingIsInItsWay) {
  std::ofstream{directory_ / "sluice"} << "in the way";
  const std::string path =
      "/tmp/sluice-" + std::to_string(::geteuid()) + "/odd__name." + std::to_string(::getpid()) + ".sock";
  Engine engine{counting_pipeline(1, "odd/ name"), settings("auto")};
  engine.start();
  EXPECT_EQ(Observer::attach(path).pipeline(), "odd/ name");
  engine.drain();
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(DoorTest, IsNotThereWhenItIsOff) {
  const Watched run{settings("off")};
  EXPECT_THAT(Observer::running(),
              testing::Not(testing::Contains(
                  testing::Field(&RunningPipeline::name, HasSubstr("." + std::to_string(::getpid()))))));
}

}  // namespace
}  // namespace sluice::test
