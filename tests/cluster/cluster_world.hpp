// SPDX-License-Identifier: Apache-2.0
// A cluster for the tests: a real nats-server or several, hosts that are process trees of their own, each of which dies, freezes and
// leaves as a whole, payments that go in, and balances that come out.
#pragma once

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>

#include "cutting_proxy.hpp"
#include "nats_server.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

using namespace std::chrono_literals;

inline bool within(std::chrono::nanoseconds limit, const std::function<bool()>& done) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// A program in a process group of its own; what it says goes to files.
class Program {
 public:
  Program(std::vector<std::string> words, std::filesystem::path out, std::filesystem::path err)
      : out_{std::move(out)}, err_{std::move(err)} {
    std::fflush(nullptr);
    const pid_t test = ::getpid();
    pid_ = ::fork();
    if (pid_ != 0) {
      ::setpgid(pid_, pid_);
      return;
    }
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != test) ::_exit(125);
    std::vector<char*> pointers;
    pointers.reserve(words.size() + 1);
    for (std::string& word : words)
      pointers.push_back(word.data());
    pointers.push_back(nullptr);
    if (std::freopen(out_.c_str(), "a", stdout) == nullptr ||
        std::freopen(err_.c_str(), "a", stderr) == nullptr)
      ::_exit(126);
    ::unsetenv("SLUICE_CONNECT_KILLS");  // No setting of theirs.
    ::execv(pointers.front(), pointers.data());
    ::_exit(127);
  }
  ~Program() { kill(); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const noexcept { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }
  void signal_all(int number) const { ::kill(-pid_, number); }
  // SIGTERM once it listens to it: a program that has hardly begun would die of it.
  void ask_to_end() const {
    EXPECT_TRUE(within(60s, [this] {
      std::ifstream file{"/proc/" + std::to_string(pid_) + "/status"};
      std::uint64_t heard = 0;
      for (std::string line; std::getline(file, line);) {
        if (line.starts_with("SigBlk:") || line.starts_with("SigCgt:"))
          heard |= std::stoull(line.substr(7), nullptr, 16);
      }
      return (heard >> (SIGTERM - 1) & 1) != 0;
    }));
    signal(SIGTERM);
  }
  void kill() {
    if (pid_ == 0) return;
    signal_all(SIGKILL);
    static_cast<void>(wait());
  }
  // Its exit status, once it has ended: -1 if by a signal.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    ::kill(-pid_, SIGKILL);  // Whatever it left.
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::optional<int> ended() {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string out() const { return text_of(out_); }
  std::string err() const { return text_of(err_); }

 private:
  std::filesystem::path out_;
  std::filesystem::path err_;
  pid_t pid_ = 0;
};

class ClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_nats_server())
      GTEST_SKIP() << "nats-server is not here: apt install nats-server, or tools/setup";
    std::string name = (std::filesystem::temp_directory_path() / "sluice-cluster-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    serve();
    make_stream(url(), {.name = "PAYMENTS",
                        .subject = "payments.*",
                        .duplicates_ns = 120'000'000'000,
                        .replicas = static_cast<unsigned>(servers_.size())});
    make_stream(url(), {.name = "BALANCES", .subject = "balances.*"});
  }
  void TearDown() override {
    for (const auto& [name, link] : links_)
      link->resume();
    hosts_.clear();
    links_.clear();
    servers_.clear();
    if (HasFailure()) {
      for (const auto& entry : std::filesystem::directory_iterator{directory_}) {
        if (entry.path().extension() == ".err")
          std::printf("--- %s\n%s", entry.path().filename().c_str(), text_of(entry.path()).c_str());
      }
    }
    clear_away(directory_);
  }

  std::filesystem::path file(const std::string& name) const { return directory_ / name; }
  // One, unless a test has more.
  virtual void serve() { add_server(std::string{}); }
  void add_server(const std::string& options) {
    const std::string name = "nats" + std::to_string(servers_.size());
    servers_.push_back(std::make_unique<NatsProcess>(directory_ / name, options, true, listen_));
  }
  // So many that are one by NATS. A stream of one replica is with one of them.
  void add_servers_that_are_one(std::size_t count) {
    routes_ = std::vector<HeldPort>(count);
    std::string routes;
    for (const HeldPort& port : routes_)
      routes += (routes.empty() ? "" : ", ") + ("nats-route://127.0.0.1:" + std::to_string(port.number()));
    for (std::size_t number = 0; number < count; ++number) {
      add_server("server_name: \"s" + std::to_string(number) +
                 "\"\ncluster { name: test, listen: \"127.0.0.1:" + std::to_string(routes_[number].number()) +
                 "\", routes: [" + routes + "] }");
    }
  }
  std::size_t servers() const noexcept { return servers_.size(); }
  // Of these, the one that leads the stream.
  std::size_t leader(const std::string& stream) const {
    std::string name;
    EXPECT_TRUE(within(60s, [&] { return !(name = leader_of(url(), stream)).empty(); }));
    return name.empty() ? 0 : std::stoul(name.substr(1));
  }
  NatsProcess& server(std::size_t number = 0) { return *servers_.at(number); }
  // Of all of them.
  std::string url() const {
    std::string urls;
    for (const auto& server : servers_)
      urls += (urls.empty() ? "" : ",") + server->url();
    return urls;
  }
  static constexpr const char* kLease = "600ms";
  std::string listen_ = "127.0.0.1";
  // Of the hosts: a longer one where it matters that none is taken for dead on a machine that is busy.
  std::string lease_ = kLease;

  // Each host has a way of its own to the server, which can be cut; where there are several, they are reached as they are.
  std::string way_of(const std::string& name) {
    if (servers_.size() > 1) return url();
    if (links_[name] == nullptr) links_[name] = std::make_unique<CuttingProxy>(server().port(), 1U);
    return links_[name]->nats_url();
  }
  Program& start_host(const std::string& name, const std::string& program = ACCOUNTS_PROGRAM) {
    hosts_[name] = std::make_unique<Program>(
        std::vector<std::string>{program, "host", "--name", name, "--nats", way_of(name), "--data",
                                 file(name), "--lease", lease_, "--set", "checkpoint.every=50ms", "--set",
                                 "report.path=" + file(name + "-reports").string()},
        file(name + ".out"), file(name + ".err"));
    return *hosts_[name];
  }
  Program& host(const std::string& name) { return *hosts_.at(name); }
  CuttingProxy& link(const std::string& name) { return *links_.at(name); }
  void lose_host(const std::string& name) { hosts_.erase(name); }

  // A process that this one has started with these words; 0: there is none.
  static pid_t child_of(pid_t parent, const std::string& words) {
    const std::string own = "/proc/" + std::to_string(parent);
    std::istringstream children{text_of(own + "/task/" + std::to_string(parent) + "/children")};
    for (pid_t child = 0; children >> child;) {
      std::string line = text_of("/proc/" + std::to_string(child) + "/cmdline");
      std::replace(line.begin(), line.end(), '\0', ' ');
      if (line.find(words) != std::string::npos) return child;
    }
    return 0;
  }

  std::unique_ptr<Program> load(const std::string& command, const std::string& out, std::uint64_t count,
                                const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{LOAD_PROGRAM,          "--nats", url(),    "--count",
                                   std::to_string(count), "--out",  file(out)};
    words.push_back(command);
    words.insert(words.end(), more.begin(), more.end());
    return std::make_unique<Program>(words, file(command + ".out"), file(command + ".err"));
  }
  struct Said {
    int status;
    std::string text;
  };
  // `sluice-cluster WORDS`.
  Said told_by_cluster(std::vector<std::string> words) {
    words.insert(words.begin(), CLUSTER_PROGRAM);
    words.insert(words.end(), {"--nats", url()});
    std::filesystem::remove(file("tool.out"));
    std::filesystem::remove(file("tool.err"));
    Program program{words, file("tool.out"), file("tool.err")};
    const int status = program.wait();
    return {status, program.out() + program.err()};
  }
  // The same; its status is expected to be `status`.
  std::string cluster(std::vector<std::string> words, int status = 0) {
    const Said said = told_by_cluster(std::move(words));
    EXPECT_EQ(said.status, status) << said.text;
    return said.text;
  }
  // Every balance that the payments make, one behind the other, as the cluster writes them.
  std::vector<std::string> expected(const std::string& payments) const {
    std::ifstream file{directory_ / payments};
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> balances;
    std::vector<std::string> lines;
    std::string account;
    for (std::int64_t cents = 0; file >> account >> cents;) {
      auto& [count, sum] = balances[account];
      ++count;
      sum += cents;
      lines.push_back(account + " " + std::to_string(count) + " " + std::to_string(sum));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  std::vector<std::string> found(const std::string& balances) const {
    std::ifstream file{directory_ / balances};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
      lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    return lines;
  }

 private:
  std::filesystem::path directory_;
  std::vector<HeldPort> routes_;
  std::vector<std::unique_ptr<NatsProcess>> servers_;
  std::map<std::string, std::unique_ptr<CuttingProxy>> links_;
  std::map<std::string, std::unique_ptr<Program>> hosts_;
};

}  // namespace sluice::test
