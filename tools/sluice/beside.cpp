// SPDX-License-Identifier: Apache-2.0
// `sluice bench` and `sluice cluster`: programs beside this one, which need what this one does not.

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>

#include "commands.hpp"

namespace sluice::command {
namespace {

struct Beside {
  std::string_view command;
  const char* purpose;
  const char* absent;  // How it comes to be there.
};

constexpr std::array kBeside{
    Beside{"bench", "Run the benchmark suites and tell what they found",
           "once the benchmarks are installed (cmake --install BUILD --component benchmarks)"},
    Beside{"cluster", "What a cluster of several hosts looks like, and what it should do",
           "where libnats was found (Debian: libnats-dev) when Sluice was built"},
};

}  // namespace

void add_programs_beside(CLI::App& program) {
  for (const Beside& each : kBeside)
    program.add_subcommand(std::string{each.command}, each.purpose);
}

void become_program_beside(char** words) {
  const auto* found = std::find_if(kBeside.begin(), kBeside.end(),
                                   [words](const Beside& each) { return each.command == words[0]; });
  if (found == kBeside.end()) return;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe");
  const std::string path = (own.parent_path() / ("sluice-" + std::string{found->command})).string();
  ::execv(path.c_str(), words);
  throw std::system_error{errno, std::generic_category(),
                          "start " + path + ", which stands beside the sluice command " + found->absent};
}

}  // namespace sluice::command
