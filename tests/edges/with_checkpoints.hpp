// SPDX-License-Identifier: Apache-2.0
// A pipeline that writes checkpoints, for tests of what becomes of them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <sluice/sluice.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/checkpointer.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

namespace fs = std::filesystem;

// Hands out how often it has seen each number's remainder, so that what it forgets or does twice shows.
struct Seen {
  std::uint32_t number;
  std::uint32_t times;
};

class CountSeen {
 public:
  explicit CountSeen(Worker& worker) : seen_{worker.table<std::uint32_t, std::uint32_t>("seen", 100)} {}
  void operator()(const Item& item, Output<Seen>& out) {
    if (hold != nullptr && item.number == *hold) std::this_thread::sleep_for(kHeld);
    out.push({item.number, seen_[item.number % 7]++});
  }

  static constexpr auto kHeld = 700ms;
  static inline const std::uint32_t* hold = nullptr;

 private:
  Table<std::uint32_t, std::uint32_t> seen_;
};

class WithCheckpoints : public WithProcesses {
 protected:
  WithCheckpoints() {
    std::string name = (fs::temp_directory_path() / "sluice-checkpoint-XXXXXX").string();
    scratch_ = ::mkdtemp(name.data());
  }
  ~WithCheckpoints() override { clear_away(scratch_); }

  fs::path directory() const { return scratch_ / "checkpoints"; }
  // Published: none that is being written, or that a writer has left who was killed.
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator{directory(), none}) {
      if (entry.path().extension() != ".part") found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  Settings settings(const std::vector<std::string>& more = {}) const {
    Settings settings = test_settings();
    settings.set("checkpoint.path", directory().string());
    settings.set("checkpoint.every", "5ms");
    settings.set("checkpoint.sync", "no");
    settings.set("log.level", "off");
    for (const std::string& assignment : more)
      settings.set_assignment(assignment);
    return settings;
  }
  static Pipeline counting(const std::string& name = "counting", unsigned workers = 1) {
    Pipeline pipeline{name};
    pipeline.inlet<Item>("in").to<CountSeen>("count", {.workers = workers}).outlet("out");
    return pipeline;
  }

  // Pushes what follows and waits until all of it has come out; every number must have been counted once.
  static void push_and_pull(Engine& engine, std::uint32_t count) {
    Inlet<Item> in = engine.inlet<Item>("in");
    Outlet<Seen> out = engine.outlet<Seen>("out");
    const std::uint64_t end = in.position() + count;
    for (std::uint64_t next = in.position(); next < end; ++next)
      ASSERT_EQ(in.push({0, static_cast<std::uint32_t>(next)}), PushResult::accepted);
    EXPECT_TRUE(eventually([&] {
      out.poll([](const Seen& seen) { EXPECT_EQ(seen.times, seen.number / 7); });
      out.ack();
      return out.position() >= end;
    }));
  }

  static void kill_checkpointer_of(const Engine& engine) {
    pid_t process = 0;
    ASSERT_TRUE(eventually([&] { return (process = checkpointer_of(engine)) > 1; }));
    ::kill(process, SIGKILL);
  }
  // One that was begun after this call.
  bool a_new_one() const {
    const auto newest = [this] {
      const auto all = files();
      return all.empty() ? std::string{} : all.back().filename().string();
    };
    const std::string first = newest();
    return eventually([&] { return newest() > first; }) &&
           [&, second = newest()] { return eventually([&] { return newest() > second; }); }();
  }
  // The engine's processes are lost, and so is its memory.
  static void lose(Engine& engine) { engine.stop(); }

  fs::path scratch_;
};

}  // namespace sluice::test
