// SPDX-License-Identifier: Apache-2.0
// `sluice serve` as Prometheus sees it: its own tool reads the text, and a real server scrapes it by the configuration
// of deploy/prometheus and answers queries about the pipeline. tools/setup unpacks both, and installs neither.
#include <cstdio>
#include <optional>

#include "http_client.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

// A program of the distribution's package: that of the PATH, or the unpacked one. Nothing if there is neither.
std::optional<std::string> program(const std::string& name) {
  if (std::system(("command -v " + name + " > /dev/null 2>&1").c_str()) == 0) return name;
  const fs::path unpacked = fs::path{SLUICE_SOURCE_DIRECTORY} / "build/prometheus" / name;
  if (fs::exists(unpacked)) return unpacked.string();
  return std::nullopt;
}

constexpr const char* kMissing = "neither installed nor unpacked: tools/setup metrics";

std::string text_of(const fs::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what << " is not in the configuration";
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

// Everything but letters and digits by its number, as a query in an address is written.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    char code[4] = {each, 0, 0, 0};
    if (std::isalnum(byte) == 0) std::snprintf(code, sizeof(code), "%%%02X", static_cast<unsigned>(byte));
    out += code;
  }
  return out;
}

// A server that scrapes the given port by the configuration and the alerts that Sluice ships, only more often.
class PrometheusServer {
 public:
  PrometheusServer(const std::string& program, const fs::path& directory, std::uint16_t scraped)
      : log_{directory / "prometheus.log"}, child_{[&] {
          const fs::path shipped = fs::path{SLUICE_SOURCE_DIRECTORY} / "deploy/prometheus";
          std::string config = text_of(shipped / "prometheus.yaml");
          config = replaced(config, "scrape_interval: 15s",
                            "scrape_interval: 500ms\n  evaluation_interval: 500ms");
          config = replaced(config, "127.0.0.1:9464", "127.0.0.1:" + std::to_string(scraped));
          std::ofstream{directory / "prometheus.yaml"} << config;
          fs::copy_file(shipped / "alerts.yaml", directory / "alerts.yaml");
          const std::string by = "--config.file=" + (directory / "prometheus.yaml").string();
          const std::string keep = "--storage.tsdb.path=" + (directory / "kept").string();
          const int to = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
          ::dup2(to, STDERR_FILENO);
          ::execlp(program.c_str(), program.c_str(), by.c_str(), keep.c_str(),
                   "--web.listen-address=127.0.0.1:0", static_cast<char*>(nullptr));
          return 127;
        }} {}

  std::string said() const { return text_of(log_); }
  // Whether it has come up, at a port that the kernel has chosen.
  bool serves() {
    const std::string before = "msg=\"Listening on\" address=127.0.0.1:";
    return eventually([&] {
      const std::string text = said();
      const std::size_t at = text.find(before);
      if (at == std::string::npos || text.find('\n', at) == std::string::npos) return false;
      port_ = static_cast<std::uint16_t>(std::stoi(text.substr(at + before.size())));
      return ask_port(port_, request_for("/-/ready")).find(" 200 ") != std::string::npos;
    });
  }
  std::string answer(const std::string& query) const {
    return ask_port(port_, request_for("/api/v1/query?query=" + escaped(query)));
  }
  // Whether the answer becomes one series of this value.
  bool tells(const std::string& query, const std::string& value) const {
    return eventually([&] { return answer(query).find(",\"" + value + "\"]}]") != std::string::npos; });
  }

 private:
  fs::path log_;
  ipc::test::Child child_;
  std::uint16_t port_ = 0;
};

class Prometheus : public WithSocket {};

TEST_F(Prometheus, ItsOwnToolFindsNothingToSayOfTheMetricsAndTheAlerts) {
  const auto promtool = program("promtool");
  if (!promtool) GTEST_SKIP() << "promtool is " << kMissing;
  const Watched run{settings()};
  ServeCommand serve{{socket_, "--http", "127.0.0.1:0"}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  const std::string answer = ask_port(serve.port(), request_for("/metrics"));
  EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("text/plain; version=0.0.4"));
  const fs::path text = directory_ / "metrics";
  std::ofstream{text} << answer.substr(answer.find("\r\n\r\n") + 4);
  const auto status = [&](const std::string& arguments) {
    const std::string to = (directory_ / "promtool").string();
    return std::system((*promtool + " " + arguments + " > " + to + " 2>&1").c_str());
  };
  EXPECT_EQ(status("check metrics < " + text.string()), 0) << text_of(directory_ / "promtool");
  EXPECT_EQ(text_of(directory_ / "promtool"), "");
  const std::string shipped = SLUICE_SOURCE_DIRECTORY "/deploy/prometheus/";
  EXPECT_EQ(status("check rules " + shipped + "alerts.yaml"), 0) << text_of(directory_ / "promtool");
  EXPECT_EQ(status("check config " + shipped + "prometheus.yaml"), 0) << text_of(directory_ / "promtool");
}

TEST_F(Prometheus, AlertsSayOfWhatTheyAreAndOfNothingElse) {
  const auto promtool = program("promtool");
  if (!promtool) GTEST_SKIP() << "promtool is " << kMissing;
  const fs::path said = directory_ / "promtool";
  const std::string tests = SLUICE_SOURCE_DIRECTORY "/tests/walls/alerts.yaml";
  EXPECT_EQ(std::system((*promtool + " test rules " + tests + " > " + said.string() + " 2>&1").c_str()), 0)
      << text_of(said);
}

TEST_F(Prometheus, ARealOneAnswersWhatThePipelineDoesAndThatItIsDownOnceItWasKilled) {
  const auto prometheus = program("prometheus");
  if (!prometheus) GTEST_SKIP() << "prometheus is " << kMissing;
  const std::string name = "scraped" + std::to_string(::getpid());
  const std::string of = "{pipeline=\"" + name + "\"}";
  Engine engine{counting_pipeline(1, name), settings("auto")};
  engine.start();
  ServeCommand serve{{name, "--http", "127.0.0.1:0"}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  PrometheusServer server{*prometheus, directory_, serve.port()};
  ASSERT_TRUE(server.serves()) << server.said();

  EXPECT_TRUE(server.tells("up{job=\"sluice\"}", "1")) << server.said();
  EXPECT_TRUE(server.tells("sluice_pipeline_running" + of, "1")) << server.answer("sluice_pipeline_running");
  EXPECT_TRUE(server.tells("sluice_pipeline_ready" + of, "1"));
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(300, 7))
    EXPECT_EQ(in.push(item), PushResult::accepted);
  EXPECT_TRUE(server.tells("sum(sluice_worker_events_in_total" + of + ")", "300"));
  EXPECT_TRUE(engine.signal_worker("count/0", SIGKILL));
  EXPECT_TRUE(server.tells("sum(sluice_worker_restarts_total" + of + ")", "1"));

  kill_control_plane_of(engine);
  EXPECT_TRUE(server.tells("sluice_pipeline_running" + of, "0")) << server.answer("sluice_pipeline_running");
  EXPECT_TRUE(server.tells("sluice_pipeline_ready" + of, "0"));
  EXPECT_TRUE(server.tells("ALERTS{alertname=\"SluicePipelineDown\",alertstate=\"pending\"}", "1"))
      << server.answer("ALERTS");
  EXPECT_THROW(engine.wait(), Error);
}

}  // namespace
}  // namespace sluice::test
