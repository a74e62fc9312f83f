// SPDX-License-Identifier: Apache-2.0
// What is called in a fork of the master only, which becomes the program anew.
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/inherited.hpp>
#include <sluice/error.hpp>

#include "worker/executed_program.hpp"

namespace sluice::detail {
namespace {

// The file that this process was executed from, whatever stands under its name by now, or whether any does.
constexpr const char* kOwnProgram = "/proc/self/exe";

}  // namespace

void execute(const ExecutedLife& life) {
  const Descriptor file = file_of(life);
  std::vector<int> kept = descriptors_of(life);
  kept.push_back(file.get());
  close_all_but(kept);
  for (const int fd : kept)
    ::fcntl(fd, F_SETFD, 0);
  std::vector<std::string> arguments = program_arguments();
  arguments.push_back(fmt::format("{}{}", kLifeArgument, file.get()));
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& each : arguments)
    argv.push_back(each.data());
  argv.push_back(nullptr);
  ::execve(kOwnProgram, argv.data(), environ);
  throw Error{{"execute the program anew for a worker of", life.pipeline,
               fmt::format("{}: {}", kOwnProgram, errno_text()),
               "mount /proc, and let the filter of system calls allow execve"}};
}

}  // namespace sluice::detail
