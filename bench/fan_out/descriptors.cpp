// SPDX-License-Identifier: Apache-2.0
// The fan-out over pipes and over Unix sockets.
//
// One event a write; packed, the application collects 32 of them for each write to a pipe.
#include <sys/socket.h>

#include "fan_out/processes.hpp"

namespace sluice::bench {
namespace {

// Ends of two descriptors, inherited by everybody who uses them and closed with their processes.
struct Descriptors {
  int read = -1;
  int write = -1;

  class Sender {
   public:
    explicit Sender(const Descriptors& link) : fd_{link.write} {}
    // Up to PIPE_BUF bytes are written as a whole.
    void send(const void* data, std::size_t bytes) {
      if (::write(fd_, data, bytes) != static_cast<ssize_t>(bytes)) ::_exit(1);
    }

   private:
    int fd_;
  };
  class Receiver {
   public:
    explicit Receiver(const Descriptors& link) : fd_{link.read} {}
    std::size_t receive(void* data, std::size_t most_bytes) {
      const ssize_t bytes = ::read(fd_, data, most_bytes);
      return bytes < 0 ? 0 : static_cast<std::size_t>(bytes);
    }

   private:
    int fd_;
  };
};

struct Pipe : Descriptors {
  Pipe() {
    int ends[2] = {-1, -1};
    if (::pipe(ends) != 0) ::_exit(1);
    read = ends[0];
    write = ends[1];
  }
};

struct UnixSocket : Descriptors {
  UnixSocket() {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) ::_exit(1);
    read = ends[0];
    write = ends[1];
  }
};

const AddFanOut kPipe{
    {"peer:pipe", 150'000, [](std::uint64_t events) { return fan_out_by<Pipe>(events, 1); }}};
const AddFanOut kPipePacked{
    {"peer:pipe_packed", 2'000'000, [](std::uint64_t events) { return fan_out_by<Pipe>(events, kPack); }}};
const AddFanOut kUnixSocket{
    {"peer:unix_socket", 150'000, [](std::uint64_t events) { return fan_out_by<UnixSocket>(events, 1); }}};

}  // namespace
}  // namespace sluice::bench
