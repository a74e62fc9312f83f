// SPDX-License-Identifier: Apache-2.0
// `sluice bench` and `sluice cluster`: programs beside this one, which need what this one does not.

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <sluice/detail/descriptor.hpp>

#include "child_program.hpp"
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

std::string path_of(const Beside& beside) {
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe");
  return (own.parent_path() / ("sluice-" + std::string{beside.command})).string();
}

std::string all_of(int fd) {
  std::string text;
  std::array<char, 4096> bytes;
  for (ssize_t got = 0; (got = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(text.size()))) > 0;)
    text.append(bytes.data(), static_cast<std::size_t>(got));
  return text;
}

}  // namespace

void add_programs_beside(CLI::App& program) {
  for (const Beside& each : kBeside)
    program.add_subcommand(std::string{each.command}, each.purpose);
}

std::vector<detail::CompletedCommand> completed_beside() {
  std::vector<detail::CompletedCommand> found;
  for (const Beside& each : kBeside) {
    const std::string path = path_of(each);
    if (::access(path.c_str(), X_OK) != 0) continue;
    const detail::Descriptor said{::memfd_create("sluice-completion", MFD_CLOEXEC)};
    ChildProgram program{{path, detail::kCompletionWords}, said.get()};
    if (program.status() != 0) continue;
    for (detail::CompletedCommand& command :
         detail::commands_of_text(all_of(said.get()), std::string{each.command}))
      found.push_back(std::move(command));
  }
  return found;
}

void become_program_beside(char** words) {
  const auto* found = std::find_if(kBeside.begin(), kBeside.end(),
                                   [words](const Beside& each) { return each.command == words[0]; });
  if (found == kBeside.end()) return;
  const std::string path = path_of(*found);
  ::execv(path.c_str(), words);
  throw std::system_error{errno, std::generic_category(),
                          "start " + path + ", which stands beside the sluice command " + found->absent};
}

}  // namespace sluice::command
