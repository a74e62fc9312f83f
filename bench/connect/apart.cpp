// SPDX-License-Identifier: Apache-2.0
#include "apart.hpp"

#include <array>
#include <exception>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/error.hpp>

namespace sluice::bench {

StoredSum apart(const std::function<StoredSum()>& work) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Error{{"make", "a pipe", errno_text(), ""}};
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      const StoredSum sum = work();
      if (::write(ends[1], &sum, sizeof(sum)) == sizeof(sum)) ::_exit(0);
    } catch (const std::exception&) {
      ::_exit(2);
    }
    ::_exit(1);
  }
  ::close(ends[1]);
  StoredSum sum;
  const bool whole = ::read(ends[0], &sum, sizeof(sum)) == sizeof(sum);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  if (!whole)
    throw Error{
        {"ask", "a server of the suite", "it does not do what it is asked", "look whether it is installed"}};
  return sum;
}

}  // namespace sluice::bench
