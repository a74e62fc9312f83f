// SPDX-License-Identifier: Apache-2.0
#include "console.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::test {
namespace {

// Emulated on two idle cores it takes a sixth of that.
constexpr const char* kSecondsWithKvm = "60";
constexpr const char* kSecondsEmulated = "450";
constexpr int kCannotRun = 77;
constexpr int kHungInItsBoot = 123;
constexpr int kBoots = 3;

struct Said {
  int status = -1;
  std::vector<std::string> lines;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// Both of its streams, to their end. It does not outlive this process.
Said run(const std::vector<std::string>& command) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& word : command)
      arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(126);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status))
    return {.status = -1, .lines = lines_of(text)};
  return {.status = WEXITSTATUS(status), .lines = lines_of(text)};
}

Said boot_with(const char* accelerator, const char* seconds) {
  constexpr const char* kScript =
      "numa_guest; guest=$?; pinning_test --gtest_color=no "
      "--gtest_filter='Bind*:WhereIs*:Report*:CpuSet*'; poison_test --gtest_color=no "
      "--gtest_filter='OutOfMemory.KillsTheHost*' 2>&1 | sed 's/^/poison: /'; exit $guest";
  return run({NUMA_VM, "--accel", accelerator, "--seconds", seconds, "--huge-1g", "1", "--also", NUMA_GUEST,
              "--also", PINNING_TEST, "--also", POISON_TEST, "/bin/busybox", "sh", "-c", kScript});
}

Console boot() {
  const Said check = run({NUMA_VM, "--check"});
  Console console;
  if (check.status == kCannotRun) {
    console.cannot_run = check.lines.empty() ? "tools/numa-vm does not say why" : check.lines.back();
    return console;
  }
  console.emulated = check.lines.empty() || check.lines.back() != "accel kvm";
  Said said;
  if (!console.emulated) {
    said = boot_with("kvm", kSecondsWithKvm);
    console.lines = said.lines;
    console.status = said.status;
    if (console.started()) return console;
    console.emulated = true;  // A KVM that runs no kernel of ours is none.
  }
  // The emulator is not what is tested: a kernel that hangs in it before our first program is started again, aloud.
  for (int boot = 1; boot <= kBoots; ++boot) {
    said = boot_with("tcg", kSecondsEmulated);
    if (said.status != kHungInItsBoot) break;
    for (const std::string& line : said.lines)
      std::fprintf(stderr, "boot %d: %s\n", boot, line.c_str());
  }
  console.lines = said.lines;
  console.status = said.status;
  return console;
}

}  // namespace

bool Console::started() const {
  return std::any_of(lines.begin(), lines.end(),
                     [](const std::string& line) { return line.starts_with("numa-vm: started"); });
}

std::string Console::end() const {
  constexpr std::size_t kShown = 30;
  std::string text = "status " + std::to_string(status) + "; the console's last lines:\n";
  for (std::size_t line = lines.size() < kShown ? 0 : lines.size() - kShown; line < lines.size(); ++line)
    text.append("  ").append(lines[line]).append("\n");
  return text;
}

const Console& console() {
  static const Console booted = boot();
  return booted;
}

}  // namespace sluice::test
