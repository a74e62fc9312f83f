// SPDX-License-Identifier: Apache-2.0
#include "executed_program.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>

#include <gtest/gtest.h>

#include "guarded_buffer.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

std::uint32_t descriptors_of_memory() {
  std::uint32_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry, gone).string().starts_with("/memfd:")) ++found;
  }
  return found;
}

// A function with a name of its own, for backtraces.
[[gnu::noinline]] void die_in_the_victim() {
  std::abort();
}

pid_t made_in = 0;

class Victim {
 public:
  explicit Victim(Worker& worker) : nth_{worker.state<std::uint32_t>("nth")} {}
  void operator()(const Deed& deed, Output<Leak>& out) {
    if (deed.what == Deed::What::die) die_in_the_victim();
    const auto on_heap = std::make_unique<std::uint64_t>();
    Leak leak;
    leak.pid = ::getpid();
    leak.canary = canary_now();
    leak.code = reinterpret_cast<std::uintptr_t>(&die_in_the_victim);
    leak.heap = reinterpret_cast<std::uintptr_t>(on_heap.get());
    leak.stack = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    leak.library = reinterpret_cast<std::uintptr_t>(&::getppid);
    leak.event = reinterpret_cast<std::uintptr_t>(&deed);
    leak.number = deed.number;
    leak.nth = nth_.edit()++;
    if (deed.what == Deed::What::tell) leak.memory = descriptors_of_memory();
    leak.made_by = made_in == ::getpid() ? 1 : 0;
    out.push(leak);
  }

 private:
  Recoverable<std::uint32_t> nth_;
};

bool twisted(std::string_view how) {
  const char* twist = std::getenv(kTwist);
  const char* when = std::getenv(kWhen);
  return twist != nullptr && how == twist && when != nullptr && std::filesystem::exists(when);
}

}  // namespace

Pipeline build_victims(int, char**) {
  made_in = ::getpid();
  if (twisted("throw")) throw std::runtime_error{"nothing to build with"};
  if (twisted("throw once")) {
    std::filesystem::remove(std::getenv(kWhen));
    throw std::runtime_error{"not yet"};
  }
  if (twisted("hang")) ::pause();
  Pipeline pipeline{"victims"};
  const std::string name = twisted("differ") ? "other" : "victim";
  pipeline.inlet<Deed>("in").to<Victim>(name, {.hostile_input = true}).outlet("out");
  return pipeline;
}

// The program, which is a copy, takes itself out of the file system once it is at work, and something else stands in its place.
int lose_own_file(int argc, char** argv) {
  Settings settings = test_settings();
  settings.set("log.level", "off");
  settings.set("report.path", std::string{argv[0]} + ".reports");
  Engine engine{build_victims(argc, argv), settings};
  engine.start();
  auto in = engine.inlet<Deed>("in");
  auto out = engine.outlet<Leak>("out");
  std::filesystem::rename(argv[2], argv[0]);
  std::uint32_t right = 0;
  for (std::uint32_t i = 0; i < 3; ++i) {
    if (in.push(Deed{Deed::What::tell, i}) != PushResult::accepted) return 2;
    const bool came = eventually([&] {
      return out.poll([&](const Leak& leak) {
        right += leak.number == i && leak.nth == i && leak.made_by == (i > 0 ? 1 : 0);
      }) != 0;
    });
    if (!came || !engine.signal_worker("victim/0", SIGKILL)) return 3;
  }
  in.close();
  engine.wait();
  return right == 3 ? 0 : 4;
}

}  // namespace sluice::test

int main(int argc, char** argv) {
  using namespace sluice::test;
  const char* twist = std::getenv(kTwist);
  const char* when = std::getenv(kWhen);
  // A program that has its say before executed_worker().
  if (twist != nullptr && std::string_view{twist} == "leave" && when != nullptr && ::access(when, F_OK) == 0)
    ::_exit(9);
  sluice::executed_worker(argc, argv, build_victims);
  if (argc > 2 && std::string_view{argv[1]} == kLosesItsFile) return lose_own_file(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
