// SPDX-License-Identifier: Apache-2.0
#include "guarded_directory.hpp"

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include <sluice/error.hpp>

namespace sluice::bench {
namespace {

[[noreturn]] void guard(const std::filesystem::path& directory, const GuardedDirectory::Server& become_server,
                        int pipe) {
  ::setsid();
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {0, 1, 2})
    ::dup2(null, standard);
  pid_t server = -1;
  if (become_server) {
    server = ::fork();
    if (server == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      become_server(directory);
      ::_exit(127);
    }
  }
  char nothing = 0;
  while (::read(pipe, &nothing, 1) < 0) {
  }
  if (server > 0) {
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  ::_exit(0);
}

}  // namespace

GuardedDirectory::GuardedDirectory(const std::string& name, const Server& become_server) {
  std::string made = (std::filesystem::temp_directory_path() / ("sluice-bench-" + name + "-XXXXXX")).string();
  if (::mkdtemp(made.data()) == nullptr)
    throw Error{{"make the directory", made, errno_text(), "set TMPDIR"}};
  path_ = made;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Error{{"make", "a pipe", errno_text(), ""}};
  const pid_t first = ::fork();
  if (first == 0) {
    ::close(ends[1]);
    if (::fork() == 0) guard(path_, become_server, ends[0]);
    ::_exit(0);
  }
  ::close(ends[0]);
  alive_ = ends[1];
  ::waitpid(first, nullptr, 0);
}

GuardedDirectory::~GuardedDirectory() {
  ::close(alive_);
}

}  // namespace sluice::bench
