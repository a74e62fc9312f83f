// SPDX-License-Identifier: Apache-2.0
// A master that somebody has stopped, as programs are told of it: its workers go on, and so do the numbers.
#include <cstdio>

#include "http_client.hpp"

namespace sluice::test {
namespace {

class ToldOfAStoppedMaster : public WithSocket {
 protected:
  std::string at() const { return (directory_ / "http.sock").string(); }
};

// `sluice stats --json --watch`.
class JsonLines {
 public:
  explicit JsonLines(const std::string& socket)
      : lines_{::popen((SLUICE_PROGRAM " stats " + socket + " --json --watch 0.1").c_str(), "r")} {}
  ~JsonLines() { ::pclose(lines_); }
  JsonLines(const JsonLines&) = delete;
  JsonLines& operator=(const JsonLines&) = delete;

  // Whether one comes that has these words.
  bool have(const std::string& words) {
    while (std::fgets(line_.data(), static_cast<int>(line_.size()), lines_) != nullptr) {
      if (line_.find(words) != std::string::npos) return true;
    }
    return false;
  }

 private:
  std::FILE* lines_;
  std::string line_ = std::string(1 << 16, ' ');
};

TEST_F(ToldOfAStoppedMaster, AreMetricsAndJson) {
  Watched run{settings()};
  ServeCommand serve{{socket_, "--http", "unix:" + at()}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  const auto scraped = [&](const std::string& stopped, const std::string& ready) {
    const std::string of = "{pipeline=\"counting\"} ";
    return eventually([&] {
      const std::string text = ask_file(at(), request_for("/metrics"));
      return text.find("\nsluice_master_stopped" + of + stopped + "\n") != std::string::npos &&
             text.find("\nsluice_pipeline_ready" + of + ready + "\n") != std::string::npos;
    });
  };
  JsonLines json{socket_};
  const pid_t master = master_of(run.engine);
  EXPECT_TRUE(scraped("0", "1"));
  EXPECT_TRUE(json.have("\"master_stopped\":false,"));
  ASSERT_EQ(::kill(master, SIGSTOP), 0);
  EXPECT_TRUE(scraped("1", "0"));
  EXPECT_TRUE(json.have("\"master_stopped\":true,"));
  ASSERT_EQ(::kill(master, SIGCONT), 0);
  EXPECT_TRUE(scraped("0", "1"));
  EXPECT_TRUE(json.have("\"master_stopped\":false,"));
  run.engine.stop();
  serve.child().kill();
}

}  // namespace
}  // namespace sluice::test
