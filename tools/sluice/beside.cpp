// SPDX-License-Identifier: Apache-2.0
// `sluice bench`: starts the program that runs the benchmark suites, which this one does not hold.

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <unistd.h>

#include "commands.hpp"

namespace sluice::command {

void add_bench(CLI::App& program) {
  program.add_subcommand(std::string{kBench}, "Run the benchmark suites and tell what they found");
}

void become_bench(char** words) {
  const std::string runner =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "sluice-bench").string();
  ::execv(runner.c_str(), words);
  throw std::system_error{errno, std::generic_category(),
                          "start " + runner +
                              ", which stands beside the sluice command once the benchmarks are installed "
                              "(cmake --install BUILD --component benchmarks)"};
}

}  // namespace sluice::command
