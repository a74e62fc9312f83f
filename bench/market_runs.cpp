// SPDX-License-Identifier: Apache-2.0
#include "market_runs.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

namespace sluice::bench {
namespace {

constexpr std::array kOutputs{"event_counts", "trades", "bars_1s", "book", "last_ticker", "rejected"};

// $1: sluice, $2: a socket for it, then the program and its arguments.
constexpr const char* kLookedAt = R"sh(
serve=$1 at=$2
shift 2
ask() { curl -sN --unix-socket "$at" -o /dev/null "http://localhost$1"; }
"$serve" serve --http "unix:$at" 2>/dev/null &
lookers=$!
(until ask /live; do sleep 0.05; done) &
lookers="$lookers $!"
(while :; do ask /metrics; sleep 1; done) &
lookers="$lookers $!"
"$@"
status=$?
kill $lookers
exit $status
)sh";

std::vector<std::string> captures_in(const std::filesystem::path& directory) {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator{directory, none}) {
    if (entry.path().extension() == ".gz") found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// One that is built and installed beside this one.
std::string program(const char* name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

std::string content(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

MarketRuns::MarketRuns()
    : directory_{std::filesystem::temp_directory_path() / ("sluice-bench-" + std::to_string(::getpid()))} {
  std::filesystem::create_directories(directory_);
  if (const char* data = std::getenv("MARKET_DATA"); data != nullptr)
    inputs_ = captures_in(std::filesystem::path{data} / "binance");
  capture_ = "recorded capture";
  if (!inputs_.empty()) return;
  capture_ = "simulated capture";
  const std::filesystem::path simulated = directory_ / "capture";
  run_program(
      {program("market-simulator"), "--out", simulated.string(), "--seed", "1", "--events", "300000"});
  inputs_ = captures_in(simulated);
  if (inputs_.empty()) throw std::runtime_error{"the market's simulator made no capture"};
}

MarketRuns::~MarketRuns() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

ChildRun MarketRuns::run(std::vector<std::string> command, const std::string& out,
                         const char* before_inputs) const {
  command.insert(command.end(), {"--out", (directory_ / out).string()});
  if (before_inputs != nullptr) command.emplace_back(before_inputs);
  command.insert(command.end(), inputs_.begin(), inputs_.end());
  return run_program(command);
}

ChildRun MarketRuns::pipeline(const std::vector<std::string>& options) const {
  std::vector<std::string> command{program("market")};
  command.insert(command.end(), options.begin(), options.end());
  return run(std::move(command), "pipeline", "--input");
}

ChildRun MarketRuns::looked_at(const std::vector<std::string>& options) const {
  std::vector<std::string> command{
      "/bin/sh",        "-c", kLookedAt, "sh", program("sluice"), directory_.string() + "/serve.sock",
      program("market")};
  command.insert(command.end(), options.begin(), options.end());
  return run(std::move(command), "pipeline", "--input");
}

ChildRun MarketRuns::single_thread() const {
  return run({program("market_single_thread")}, "single_thread", nullptr);
}

std::string MarketRuns::difference() const {
  for (const char* output : kOutputs) {
    std::string file = std::string{output} + ".tsv";
    const std::string expected = content(directory_ / "single_thread" / file);
    if (expected.empty() || content(directory_ / "pipeline" / file) != expected) return file;
  }
  return {};
}

}  // namespace sluice::bench
