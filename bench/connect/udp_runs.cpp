// SPDX-License-Identifier: Apache-2.0
// Datagrams: udp_source beside a program that receives the same by recv(). Both have the same socket with the same buffer. A Unix socket
// makes its sender wait, and nothing is lost. By UDP the sender waits for nobody, and sends as fast as it can: what finds the
// buffer full is dropped, by both.
#include <arpa/inet.h>
#include <csignal>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/connect/udp_server.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "child_run.hpp"
#include "guarded_directory.hpp"
#include "loopback.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kEnd = "end";

void note_datagram(std::string_view text, std::uint64_t rows) {
  if (text == kEnd) return note_end();
  note_read(text, rows);
}

class CountDatagrams {
 public:
  CountDatagrams(Worker&, std::uint64_t rows) : rows_{rows} {}
  void operator()(const Frame& frame) { note_datagram(frame.text(), rows_); }

 private:
  std::uint64_t rows_;
};

bool connect_to(int fd, const std::string& address) {
  if (address.starts_with(kUnix)) {
    sockaddr_un there{};
    there.sun_family = AF_UNIX;
    address.copy(there.sun_path, sizeof(there.sun_path) - 1, kUnix.size());
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&there), sizeof(there)) == 0;
  }
  sockaddr_in there{};
  there.sin_family = AF_INET;
  there.sin_port = htons(port_of(address));
  there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&there), sizeof(there)) == 0;
}

// A process that sends all rows, and then that it has, until that has arrived.
pid_t start_sender(const std::string& address, std::uint64_t rows) {
  constexpr unsigned kPauseUs = 1000;
  const pid_t sender = ::fork();
  if (sender != 0) return sender;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int family = address.starts_with(kUnix) ? AF_UNIX : AF_INET;
  const int fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (!connect_to(fd, address)) ::_exit(1);
  for (std::uint64_t number = 0; number < rows; ++number) {
    const std::string line = stored_line(number);
    if (::send(fd, line.data(), line.size(), 0) < 0) ::_exit(1);
  }
  while (told().last_ns.load() == 0) {
    if (::send(fd, kEnd.data(), kEnd.size(), MSG_DONTWAIT) < 0 && errno != EAGAIN) ::_exit(1);
    ::usleep(kPauseUs);
  }
  ::_exit(0);
}

void receive_by_source(const std::string& address, std::uint64_t rows) {
  const DatagramSocket socket{address};
  Pipeline pipeline{"bench"};
  udp_source(pipeline, "in", socket).to<CountDatagrams>("count", rows);
  Settings settings;
  settings.set("observe.socket", "off");
  settings.set("log.level", "off");
  Engine engine{pipeline, settings};
  engine.start();
  ::waitpid(start_sender(socket.address(), rows), nullptr, 0);
  engine.drain();
}

void receive_by_program(const std::string& address, std::uint64_t rows) {
  const DatagramSocket socket{address};
  const pid_t sender = start_sender(socket.address(), rows);
  char datagram[65536];
  while (told().last_ns.load() == 0) {
    const ssize_t got = ::recv(socket.descriptor(), datagram, sizeof(datagram), 0);
    if (got < 0 && errno == EAGAIN) {
      pollfd entry{socket.descriptor(), POLLIN, 0};
      ::poll(&entry, 1, -1);
      continue;
    }
    if (got < 0) throw Error{{"receive at", socket.address(), errno_text(), ""}};
    note_datagram({datagram, static_cast<std::size_t>(got)}, rows);
  }
  ::waitpid(sender, nullptr, 0);
}

SourceRuns runs_of(const std::string& parameters, const std::string& address, std::uint64_t rows,
                   bool may_lose) {
  return {"udp_source",
          parameters,
          rows,
          [] {},
          [=] { receive_by_source(address, rows); },
          [=] { receive_by_program(address, rows); },
          may_lose};
}

}  // namespace

std::vector<SourceRuns> udp_runs(bool quick) {
  static const GuardedDirectory directory{"udp"};
  const std::uint64_t rows = quick ? 200'000 : 400'000;
  return {runs_of("socket:unix", std::string{kUnix} + (directory.path() / "socket").string(), rows, false),
          runs_of("socket:udp", "127.0.0.1:0", rows, true)};
}

}  // namespace sluice::bench
