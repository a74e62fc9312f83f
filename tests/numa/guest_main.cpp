// SPDX-License-Identifier: Apache-2.0
// The program that runs in the virtual machine: each scenario named in its arguments, or all of them, in a
// process of its own, one after the other. Status 0 says that all came to their end, whatever they found.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "guest_scenarios.hpp"

namespace sluice::test {
namespace {

constexpr std::chrono::seconds kScenarioDeadline{150};

[[noreturn]] void run_here(const Scenario& scenario) {
  Report report{scenario.name};
  try {
    scenario.run(report);
    report.end();
    ::_exit(0);
  } catch (const std::exception& error) {
    report.check(false, std::string{"thrown: "} + error.what());
  }
  report.end();
  ::_exit(1);
}

// Whether it came to its end in time.
bool run_apart(const Scenario& scenario) {
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) run_here(scenario);
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() - begin > kScenarioDeadline) {
      std::printf("numa %s HANGS\n", scenario.name);
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  std::printf("numa %s note took %ld ms\n", scenario.name, static_cast<long>(took.count()));
  if (WIFSIGNALED(status)) std::printf("numa %s DIED of signal %d\n", scenario.name, WTERMSIG(status));
  return WIFEXITED(status);
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
  using namespace sluice::test;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  bool good = true;
  for (const Scenario& scenario : scenarios()) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i)
      wanted = wanted || std::strcmp(argv[i], scenario.name) == 0;
    if (wanted) good = run_apart(scenario) && good;
  }
  return good ? 0 : 1;
}
