// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/text_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluice/detail/descriptor.hpp"
#include "sluice/error.hpp"

namespace sluice::detail {
namespace {

constexpr int kPatienceMs = 2000;

// Whether there is something to read, or an end; false after the patience.
bool await_piece(int fd) noexcept {
  pollfd entry{fd, POLLIN, 0};
  int found = 0;
  do {
    found = ::poll(&entry, 1, kPatienceMs);
  } while (found < 0 && errno == EINTR);
  return found != 0;
}

std::string size_text(std::size_t bytes) {
  constexpr std::size_t kKib = 1024;
  if (bytes % (kKib * kKib) == 0) return std::to_string(bytes / (kKib * kKib)) + " MiB";
  return bytes % kKib == 0 ? std::to_string(bytes / kKib) + " KiB" : std::to_string(bytes) + " bytes";
}

bool is_pipe(int fd) noexcept {
  struct stat found {};
  return ::fstat(fd, &found) == 0 && S_ISFIFO(found.st_mode);
}

}  // namespace

TextRead read_text_file(const std::string& path, std::size_t most_bytes) {
  if (path.empty()) return {{}, "its name is empty"};
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (!file) return {{}, errno_text()};
  const std::string nothing_came = "nothing came for two seconds: nobody writes into it";
  // Without a writer it seems to be at its end, and one may be about to open it.
  if (is_pipe(file.get()) && !await_piece(file.get())) return {{}, nothing_came};
  TextRead read;
  constexpr std::size_t kPiece = 65536;
  while (read.text.size() <= most_bytes) {
    const std::size_t before = read.text.size();
    read.text.resize(before + std::min(kPiece, most_bytes + 1 - before));
    const ssize_t got = ::read(file.get(), read.text.data() + before, read.text.size() - before);
    const int error = errno;
    read.text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return read;
    if (got > 0 || error == EINTR) continue;
    if (error != EAGAIN) return {{}, errno_text(error)};
    if (!await_piece(file.get())) return {{}, nothing_came};
  }
  return {{}, "it is larger than " + size_text(most_bytes)};
}

std::string write_text_file(const std::string& path, const std::string& text) {
  if (path.empty()) return "its name is empty";
  constexpr mode_t kForAll = 0666;  // Less what the umask takes away.
  const Descriptor file{
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, kForAll)};
  if (!file) return errno == ENXIO ? "nobody reads from it" : errno_text();
  // A reader that is slow is waited for.
  if (::fcntl(file.get(), F_SETFL, 0) != 0) return errno_text();
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t put = ::write(file.get(), text.data() + done, text.size() - done);
    if (put < 0 && errno != EINTR) return errno_text();
    done += static_cast<std::size_t>(std::max<ssize_t>(put, 0));
  }
  return {};
}

}  // namespace sluice::detail
