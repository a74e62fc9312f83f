// SPDX-License-Identifier: Apache-2.0
#include "pipe_pair.hpp"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <random>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

constexpr int kPipeBytes = 1 << 20;  // What an ordinary user may ask for, unless told otherwise.

Descriptor open_input(const std::string& path) {
  // Open for writing, too, a FIFO is never at its end.
  Descriptor input{path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                               : ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK)};
  if (!input)
    throw Error{
        {"read from the pipe", printable(path), errno_text(), "check the path and the right to read it"}};
  struct stat status {};
  if (::fstat(input.get(), &status) != 0 || !S_ISFIFO(status.st_mode))
    throw Error{{"read from the pipe", printable(path), "it is no pipe", "name a file to a FileSource"}};
  return input;
}

std::uint64_t drawn_number() {
  std::random_device random;
  return (std::uint64_t{random()} << 32U | random()) | 1U;
}

}  // namespace

Pipe::Pipe(int bytes) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    const int reason = errno;
    throw Error{{"make", "a pipe", errno_text(), remedy_for_call(reason, "pipe2")}};
  }
  out = Descriptor{ends[0]};
  in = Descriptor{ends[1]};
  // What it has got otherwise is enough for shorter lines.
  ::fcntl(in.get(), F_SETPIPE_SZ, bytes);
  capacity_bytes = ::fcntl(in.get(), F_GETPIPE_SZ);
}

PipePair::PipePair(const std::string& path)
    : name{path == "-" ? "standard input" : path},
      ends{path == "-"},
      number{drawn_number()},
      input{open_input(path)},
      kept{Pipe{kPipeBytes}, Pipe{kPipeBytes}} {
  if (::fcntl(input.get(), F_GETPIPE_SZ) < kPipeBytes) ::fcntl(input.get(), F_SETPIPE_SZ, kPipeBytes);
}

std::string look_into(int pipe, const Pipe& scratch, const std::string& name) {
  const ssize_t there =
      ::tee(pipe, scratch.in.get(), static_cast<std::size_t>(scratch.capacity_bytes), SPLICE_F_NONBLOCK);
  if (there < 0 && errno != EAGAIN && errno != EINTR)
    throw Error{{"look into the pipe", printable(name), errno_text(), "start the pipeline anew"}};
  std::string bytes(there > 0 ? static_cast<std::size_t>(there) : 0, '\0');
  for (std::size_t had = 0; had < bytes.size();) {
    const ssize_t got = ::read(scratch.out.get(), bytes.data() + had, bytes.size() - had);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw Error{{"look into the pipe", printable(name), errno_text(), "start the pipeline anew"}};
    had += static_cast<std::size_t>(got);
  }
  return bytes;
}

std::size_t move_bytes(int from, const Pipe& to, std::size_t bytes, const std::string& name) {
  std::size_t moved = 0;
  while (moved < bytes) {
    const ssize_t got = ::splice(from, nullptr, to.in.get(), nullptr, bytes - moved, SPLICE_F_NONBLOCK);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != EAGAIN)
      throw Error{{"take from the pipe", printable(name), errno_text(), "start the pipeline anew"}};
    if (got <= 0) break;
    moved += static_cast<std::size_t>(got);
  }
  return moved;
}

void throw_away(const Pipe& pipe) {
  char bytes[16 << 10];
  for (;;) {  // Ends when it is empty: nobody writes into it.
    const ssize_t got = ::read(pipe.out.get(), bytes, sizeof(bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
  }
}

bool has_no_writer(int pipe) {
  pollfd entry{pipe, POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLHUP) != 0;
}

}  // namespace sluice::detail
