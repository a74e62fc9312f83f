// SPDX-License-Identifier: Apache-2.0
// `sluice serve` as a scraper sees it: numbers that only grow, whoever is killed; and clear words for what is wrong.
#include <array>
#include <atomic>
#include <cstdio>
#include <map>
#include <poll.h>
#include <regex>
#include <set>
#include <string_view>
#include <thread>
#include <tuple>

#include "http_client.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

// Of a scrape: each series with its value.
std::map<std::string, double> series_in(const std::string& answer) {
  std::map<std::string, double> series;
  std::istringstream lines{answer.substr(answer.find("\r\n\r\n") + 4)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t blank = line.rfind(' ');
    if (line.starts_with('#') || blank == std::string::npos) continue;
    series[line.substr(0, blank)] = std::stod(line.substr(blank + 1));
  }
  return series;
}

bool is_counter(const std::string& series) {
  return series.substr(0, series.find('{')).ends_with("_total");
}

class Serve : public WithSocket {
 protected:
  std::string at() const { return (directory_ / "http.sock").string(); }
  std::string scrape() const { return ask_file(at(), request_for("/metrics")); }
  ServeCommand serving(const std::string& what) const {
    return {{what, "--http", "unix:" + at()}, directory_ / "said"};
  }
};

TEST_F(Serve, CountersOnlyGrowAndTheSeriesStayTheSameWhileWorkersAndMastersAreKilled) {
  constexpr int kKills = 1000;
  constexpr int kMasterEvery = 40;
  Watched run{settings()};
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
  std::map<std::string, double> last = series_in(scrape());
  EXPECT_GT(last.size(), 40U);
  EXPECT_EQ(last.count("sluice_stage_is_bottleneck{pipeline=\"counting\",stage=\"count\"}"), 1U);
  EXPECT_EQ(last.count("sluice_outlet_is_bottleneck{pipeline=\"counting\",outlet=\"out\"}"), 1U);
  EXPECT_EQ(last.count("sluice_worker_up{pipeline=\"counting\",stage=\"count\",worker=\"count/1\"}"), 1U);
  auto in = run.engine.inlet<Item>("in");
  std::map<std::string, pid_t> killed;  // Which process of each was killed last.
  for (int kill = 1; kill <= kKills; ++kill) {
    EXPECT_EQ(in.try_push({0, 1}), PushResult::accepted);
    if (kill % kMasterEvery == 0) {
      const std::uint32_t masters = run.engine.stats().masters;
      ::kill(master_of(run.engine), SIGKILL);
      ASSERT_TRUE(eventually([&] { return run.engine.stats().masters > masters; }));
    } else {
      const std::string victim = kill % 2 == 0 ? "count/0" : "count/1";
      // Who is dying already is not killed again, and who is gone with a master is nobody's death.
      pid_t& process = killed[victim];
      ASSERT_TRUE(eventually([&] {
        const pid_t now = worker_of(run.engine, victim).pid;
        if (now <= 1 || now == process || ::kill(now, SIGKILL) != 0) return false;
        process = now;
        return true;
      }));
      if (kill % 3 == 0) {
        ASSERT_TRUE(eventually([&] {
          const pid_t now = worker_of(run.engine, victim).pid;
          return now > 1 && now != process;
        }));
      }
    }
    std::map<std::string, double> now = series_in(scrape());
    ASSERT_EQ(now.size(), last.size());
    for (const auto& [name, value] : last) {
      ASSERT_EQ(now.count(name), 1U) << name;
      if (!is_counter(name)) continue;
      ASSERT_GE(now[name], value) << name << " after " << kill;
    }
    last = std::move(now);
  }
  EXPECT_EQ(last["sluice_masters_total{pipeline=\"counting\"}"], 1 + kKills / kMasterEvery);
  // A master that dies between a death and its count leaves one out; one that dies while it makes a replacement has it made anew.
  constexpr std::uint64_t kMasters = kKills / kMasterEvery;
  constexpr std::uint64_t kWorkers = kKills - kMasters;
  const auto restarts = [&] { return run.engine.stats().stages.front().restarts(); };
  EXPECT_TRUE(eventually([&] { return restarts() >= kWorkers - kMasters; })) << restarts();
  EXPECT_LE(restarts(), kWorkers + kMasters);
  serve.child().kill();
}

TEST_F(Serve, NamesAStoppedWorkerAsTheBottleneckAsAllElseDoes) {
  Watched run{settings()};
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
  const std::string series = "sluice_stage_is_bottleneck{pipeline=\"counting\",stage=\"count\"}";
  EXPECT_EQ(series_in(scrape())[series], 0);
  const pid_t worker = worker_of(run.engine, "count/0").pid;
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  auto in = run.engine.inlet<Item>("in");
  for (std::uint32_t key = 0; key < 16; ++key)
    EXPECT_EQ(in.try_push({key, 1}), PushResult::accepted);
  EXPECT_TRUE(eventually([&] { return series_in(scrape())[series] == 1; }));
  const std::string words = "count/0 is stopped (kill -CONT " + std::to_string(worker) + ")";
  EXPECT_THAT(said_by("stats " + socket_), HasSubstr("count is the bottleneck: " + words));
  EXPECT_THAT(
      said_by("stats " + socket_ + " --json"),
      testing::AllOf(HasSubstr("\"bottleneck\":{\"stage\":\"count\",\"outlet\":null,\"reason\":\"stopped\""),
                     HasSubstr(words)));
  EXPECT_THAT(said_by("top " + socket_ + " --once"), HasSubstr(words));
  ASSERT_EQ(::kill(worker, SIGCONT), 0);
  EXPECT_TRUE(eventually([&] { return series_in(scrape())[series] == 0; }));
  serve.child().kill();
}

// Its workers go on, and so the numbers do.
TEST_F(Serve, IsNotReadyWhileSomebodyHasStoppedTheMasterAsTheOthersSay) {
  Watched run{settings()};
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
  EXPECT_THAT(ask_file(at(), request_for("/ready")), HasSubstr("counting: ok\n"));
  const pid_t master = master_of(run.engine);
  const std::string words = "the master is stopped (kill -CONT " + std::to_string(master) + ")";
  std::FILE* const watching =
      ::popen((std::string{SLUICE_PROGRAM} + " stats " + socket_ + " --watch 0.1 --looks 100").c_str(), "r");
  ASSERT_NE(watching, nullptr);
  std::array<char, 512> line{};
  ASSERT_NE(std::fgets(line.data(), line.size(), watching), nullptr);
  ASSERT_EQ(::kill(master, SIGSTOP), 0);
  EXPECT_TRUE(eventually([&] { return is_stopped(master); }));
  for (const char* path : {"/ready", "/health"}) {
    EXPECT_THAT(ask_file(at(), request_for(path)),
                testing::AllOf(HasSubstr(" 503 "), HasSubstr("counting: " + words)))
        << path;
  }
  bool said = false;
  while (!said && std::fgets(line.data(), line.size(), watching) != nullptr)
    said = std::string_view{line.data()}.starts_with(words);
  EXPECT_TRUE(said);
  // Who comes now is not answered by it.
  EXPECT_THAT(error_of_attaching(socket_), HasSubstr("somebody has stopped it"));
  ASSERT_EQ(::kill(master, SIGCONT), 0);
  EXPECT_TRUE(eventually(
      [&] { return ask_file(at(), request_for("/ready")).find("counting: ok") != std::string::npos; }));
  ::pclose(watching);
  serve.child().kill();
}

// Names of metrics in a file for Prometheus or Grafana.
std::set<std::string> metrics_in(const std::string& path) {
  std::ifstream file{path};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  const std::regex name{"\\bsluice_[a-z_]+[a-z]"};
  return {std::sregex_token_iterator{text.begin(), text.end(), name}, {}};
}

TEST_F(Serve, HasEachMetricThatTheAlertsAndTheDashboardName) {
  const Watched run{settings()};
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
  std::set<std::string> there;
  for (const auto& [series, value] : series_in(scrape()))
    there.insert(series.substr(0, series.find('{')));
  for (const char* path : {"/deploy/prometheus/alerts.yaml", "/deploy/grafana/sluice.json"}) {
    const std::set<std::string> named = metrics_in(std::string{SLUICE_SOURCE_DIRECTORY} + path);
    EXPECT_GT(named.size(), 8U) << path;
    for (const std::string& name : named)
      EXPECT_EQ(there.count(name), 1U) << name << " in " << path;
  }
}

// Prometheus makes fractions of what grew within a window.
TEST_F(Serve, HasADashboardThatCountsInWholeNumbers) {
  std::ifstream file{std::string{SLUICE_SOURCE_DIRECTORY} + "/deploy/grafana/sluice.json"};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  std::size_t counts = 0;
  for (std::size_t at = text.find("increase("); at != std::string::npos;
       at = text.find("increase(", at + 1)) {
    ++counts;
    EXPECT_EQ(text.substr(at - 6, 6), "round(") << text.substr(at, 80);
  }
  EXPECT_EQ(counts, 3U);
}

TEST_F(Serve, SaysWhetherThePipelineIsWellAndReady) {
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
  EXPECT_THAT(serve.said(),
              testing::StartsWith("remark: it is served once it can be looked at: cannot observe "))
      << "it may have been meant for another";
  EXPECT_THAT(ask_file(at(), request_for("/health")),
              testing::AllOf(HasSubstr(" 503 "), HasSubstr("not running")));
  {
    const Watched run{settings()};
    EXPECT_THAT(ask_file(at(), request_for("/ready")),
                testing::AllOf(HasSubstr(" 200 "), HasSubstr("counting: ok")));
    EXPECT_THAT(ask_file(at(), request_for("/health")), HasSubstr(" 200 "));
  }
  EXPECT_THAT(ask_file(at(), request_for("/ready")), HasSubstr(" 503 "));
  // One that was killed whole says in its segment that it runs, and nobody is there to correct it.
  Engine killed{counting_pipeline(1), settings()};
  killed.start();
  EXPECT_THAT(ask_file(at(), request_for("/health")), HasSubstr(" 200 "));
  kill_control_plane_of(killed);
  EXPECT_TRUE(
      eventually([&] { return ask_file(at(), request_for("/health")).find(" 503 ") != std::string::npos; }));
  EXPECT_THROW(killed.wait(), Error);
}

// Other tests run pipelines at the same time, which a server without a name tells of as well.
std::string own_name() {
  return "own" + std::to_string(::getpid());
}

std::map<std::string, double> own_series_in(const std::string& answer) {
  std::map<std::string, double> series = series_in(answer);
  std::erase_if(series, [](const auto& each) {
    return each.first.find("{pipeline=\"" + own_name()) == std::string::npos;
  });
  return series;
}

TEST_F(Serve, TellsOfAPipelineThatWasKilledWholeThatItIsDown) {
  const std::string running = "sluice_pipeline_running{pipeline=\"" + own_name() + "\"}";
  const std::string ready = "sluice_pipeline_ready{pipeline=\"" + own_name() + "\"}";
  for (const bool named : {true, false}) {
    std::vector<std::string> how{"--http", "unix:" + at()};
    if (named) how.push_back(own_name());
    ServeCommand serve{how, directory_ / (named ? "said" : "said by all")};
    ASSERT_TRUE(serve.serves()) << serve.said();
    Engine killed{counting_pipeline(1, own_name()), settings("auto")};
    EXPECT_EQ(series_in(scrape()).count(running), named ? 1U : 0U);
    killed.start();
    EXPECT_EQ(series_in(scrape())[running], 1);
    EXPECT_EQ(series_in(scrape())[ready], 1);
    kill_control_plane_of(killed);
    EXPECT_TRUE(eventually([&] {
      const std::map<std::string, double> now = series_in(scrape());
      return now.count(running) == 1 && now.at(running) == 0 && now.count(ready) == 1 && now.at(ready) == 0;
    })) << scrape();
    EXPECT_THROW(killed.wait(), Error);
    // And well again with the next of its name.
    Engine next{counting_pipeline(1, own_name()), settings("auto")};
    next.start();
    EXPECT_EQ(series_in(scrape())[running], 1);
    next.stop();
    serve.child().kill();
  }
}

// As the OOM killer does: the rest of the pipeline ends by itself, and nobody has asked for it.
TEST_F(Serve, TellsOfAPipelineWhoseHostWasKilledThatItIsDown) {
  const std::string running = "sluice_pipeline_running{pipeline=\"" + own_name() + "\"}";
  ServeCommand serve{{"--http", "unix:" + at()}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  const std::string name = own_name();
  const pid_t host = ::fork();
  if (host == 0) {
    Engine engine{counting_pipeline(1, name), settings("auto")};
    engine.start();
    while (true)
      ::pause();
  }
  EXPECT_TRUE(eventually([&] { return series_in(scrape())[running] == 1; })) << scrape();
  ::kill(host, SIGKILL);
  EXPECT_EQ(::waitpid(host, nullptr, 0), host);
  EXPECT_TRUE(eventually([&] {
    const std::map<std::string, double> now = series_in(scrape());
    return now.count(running) == 1 && now.at(running) == 0;
  })) << scrape();
}

TEST_F(Serve, LeavesTheFirstOfTwoPipelinesItsName) {
  ServeCommand serve{{"--http", "unix:" + at()}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  Engine first{counting_pipeline(1, own_name()), settings("auto")};
  first.start();
  const std::map<std::string, double> alone = own_series_in(scrape());
  ASSERT_GT(alone.size(), 40U);
  {
    Engine second{counting_pipeline(1, own_name()), settings("auto")};
    second.start();
    const std::map<std::string, double> both = own_series_in(scrape());
    EXPECT_EQ(both.size(), 2 * alone.size());
    for (const auto& [series, value] : alone)
      EXPECT_EQ(both.count(series), 1U) << series;
    second.stop();
  }
  // One that came to its end is not missed.
  EXPECT_TRUE(eventually([&] { return own_series_in(scrape()).size() == alone.size(); })) << scrape();
  first.stop();
}

// All processes of it are stopped, say: who asks is not to wait for it each time.
TEST_F(Serve, DoesNotAskAPipelineAgainAtOnceThatDoesNotAnswer) {
  constexpr int kLooks = 30;
  const detail::Descriptor mute = listening_at(socket_);
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
  const auto before = std::chrono::steady_clock::now();
  for (int look = 0; look < kLooks; ++look)
    ASSERT_THAT(ask_file(at(), request_for("/health")),
                testing::AllOf(HasSubstr(" 503 "), HasSubstr(socket_)));
  EXPECT_LT(std::chrono::steady_clock::now() - before, kDeadline);
}

// As another version, whose answer is another one: it is there, and nobody says that it is not running.
TEST_F(Serve, SaysOfAPipelineThatItCannotReadWhyNot) {
  const detail::Descriptor there = listening_at(socket_);
  std::atomic<bool> over{false};
  std::thread stranger{[&] {
    while (!over) {
      pollfd incoming{there.get(), POLLIN, 0};
      if (::poll(&incoming, 1, 10) != 1) continue;
      const detail::Descriptor who{::accept(there.get(), nullptr, nullptr)};
      std::ignore = ::send(who.get(), "?", 1, MSG_NOSIGNAL);
    }
  }};
  {
    ServeCommand serve = serving(socket_);
    EXPECT_TRUE(serve.serves()) << serve.said();
    const std::string answer = ask_file(at(), request_for("/health"));
    EXPECT_THAT(answer, testing::AllOf(HasSubstr(" 503 "), HasSubstr("what answers is no pipeline")));
    EXPECT_THAT(answer, testing::Not(HasSubstr("not running")));
  }
  over = true;
  stranger.join();
}

TEST_F(Serve, AnswersWhatItDoesNotKnowWithAClearWord) {
  const Watched run{settings()};
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
  EXPECT_THAT(ask_file(at(), request_for("/nothing")),
              testing::AllOf(HasSubstr(" 404 "), HasSubstr("/metrics")));
  EXPECT_THAT(ask_file(at(), request_for("/metrics", "Content-Length: 3\r\n", "POST") + "abc"),
              testing::AllOf(HasSubstr(" 405 "), HasSubstr("only GET and HEAD")));
  EXPECT_THAT(ask_file(at(), "no request\r\n\r\n"), testing::Not(HasSubstr(" 200 ")));
  EXPECT_THAT(scrape(), HasSubstr(" 200 "));
}

TEST_F(Serve, GivesMetricsForTheTokenOnlyAndRefusesAPortThatIsInUse) {
  const Watched run{settings()};
  const std::string token_file = (directory_ / "token").string();
  std::ofstream{token_file} << "secret\r\n";  // As editors of another system write it.
  ServeCommand serve{{socket_, "--http", "127.0.0.1:0", "--token-file", token_file}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  const std::uint16_t port = serve.port();
  const auto ask = [port](const std::string& header) {
    return ask_port(port, request_for("/metrics", header));
  };
  EXPECT_THAT(ask(""), testing::AllOf(HasSubstr(" 401 "), HasSubstr("WWW-Authenticate: Bearer")));
  EXPECT_THAT(ask("Authorization: Bearer secre\r\n"), HasSubstr(" 401 "));
  EXPECT_THAT(ask("Authorization: Bearer secret2\r\n"), HasSubstr(" 401 "));
  EXPECT_THAT(ask("Authorization: Bearer secret\r\n"), HasSubstr("sluice_pipeline_info"));
  EXPECT_THAT(ask_port(port, request_for("/ready")), HasSubstr(" 200 "));
  ServeCommand second{{socket_, "--http", "127.0.0.1:" + std::to_string(port)}, directory_ / "second"};
  EXPECT_EQ(second.child().ending(), "exit 2");
  EXPECT_THAT(second.said(), HasSubstr("in use"));
  ServeCommand open{{socket_, "--http", "*:0"}, directory_ / "third"};
  EXPECT_EQ(open.child().ending(), "exit 2");
  EXPECT_THAT(open.said(), HasSubstr("there is no token"));
  ServeCommand without{{socket_, "--http", "127.0.0.1:0", "--token-file", token_file + ".not"},
                       directory_ / "fourth"};
  EXPECT_EQ(without.child().ending(), "exit 2");
  EXPECT_THAT(without.said(),
              testing::AllOf(HasSubstr("No such file"), HasSubstr("that this user may read")));
  EXPECT_EQ(run.engine.stats().masters, 1U);
}

}  // namespace
}  // namespace sluice::test
