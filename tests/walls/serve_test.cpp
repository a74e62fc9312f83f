// SPDX-License-Identifier: Apache-2.0
// `sluice serve` as a scraper sees it: numbers that only grow, whoever is killed; and clear words for what is wrong.
#include <atomic>
#include <cstdio>
#include <map>
#include <poll.h>
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
  constexpr int kKills = 100;
  constexpr int kMasterEvery = 10;
  Watched run{settings()};
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
  std::map<std::string, double> last = series_in(scrape());
  EXPECT_GT(last.size(), 40U);
  EXPECT_EQ(last.count("sluice_stage_is_bottleneck{pipeline=\"counting\",stage=\"count\"}"), 1U);
  EXPECT_EQ(last.count("sluice_outlet_is_bottleneck{pipeline=\"counting\",outlet=\"out\"}"), 1U);
  EXPECT_EQ(last.count("sluice_worker_up{pipeline=\"counting\",stage=\"count\",worker=\"count/1\"}"), 1U);
  auto in = run.engine.inlet<Item>("in");
  for (int kill = 1; kill <= kKills; ++kill) {
    EXPECT_EQ(in.try_push({0, 1}), PushResult::accepted);
    if (kill % kMasterEvery == 0) {
      const std::uint32_t masters = run.engine.stats().masters;
      ::kill(master_of(run.engine), SIGKILL);
      ASSERT_TRUE(eventually([&] { return run.engine.stats().masters > masters; }));
    } else {
      const std::string victim = kill % 2 == 0 ? "count/0" : "count/1";
      const std::uint32_t before = worker_of(run.engine, victim).incarnation;
      ASSERT_TRUE(eventually([&] { return run.engine.signal_worker(victim, SIGKILL); }));
      if (kill % 3 == 0) {
        ASSERT_TRUE(eventually([&] { return worker_of(run.engine, victim).incarnation > before; }));
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
  serve.child().kill();
}

// What `promtool` says of a text; nothing when it is not installed.
std::optional<std::string> promtool(const std::string& arguments) {
  if (std::system("command -v promtool > /dev/null 2>&1") != 0) return std::nullopt;
  FILE* pipe = ::popen(("promtool " + arguments + " 2>&1; echo status $?").c_str(), "r");
  std::string said;
  char line[512];
  while (std::fgets(line, sizeof(line), pipe) != nullptr)
    said += line;
  ::pclose(pipe);
  return said;
}

TEST_F(Serve, SpeaksTheFormatOfPrometheusAsItsOwnToolReadsIt) {
  const Watched run{settings()};
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
  const std::string answer = scrape();
  EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("text/plain; version=0.0.4"));
  const fs::path text = directory_ / "metrics";
  std::ofstream{text} << answer.substr(answer.find("\r\n\r\n") + 4);
  const auto said = promtool("check metrics < " + text.string());
  if (!said) GTEST_SKIP() << "promtool is not installed (Debian: prometheus)";
  EXPECT_EQ(*said, "status 0\n");
  EXPECT_THAT(promtool("check rules " SLUICE_SOURCE_DIRECTORY "/deploy/prometheus/alerts.yaml").value_or(""),
              testing::EndsWith("status 0\n"));
}

TEST_F(Serve, SaysWhetherThePipelineIsWellAndReady) {
  ServeCommand serve = serving(socket_);
  ASSERT_TRUE(serve.serves()) << serve.said();
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

// As another version, whose answer is another one: it is there, and nobody says that it is not running.
TEST_F(Serve, SaysOfAPipelineThatItCannotReadWhyNot) {
  const Descriptor there{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(there.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(there.get(), 16), 0);
  std::atomic<bool> over{false};
  std::thread stranger{[&] {
    while (!over) {
      pollfd incoming{there.get(), POLLIN, 0};
      if (::poll(&incoming, 1, 10) != 1) continue;
      const Descriptor who{::accept(there.get(), nullptr, nullptr)};
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
  std::ofstream{token_file} << "secret\n";
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
  EXPECT_EQ(run.engine.stats().masters, 1U);
}

}  // namespace
}  // namespace sluice::test
