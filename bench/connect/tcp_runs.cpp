// SPDX-License-Identifier: Apache-2.0
// TCP: tcp_source beside a program that reads the same lines from a connection. With acknowledgements the pipeline tells
// what is committed, the program what it has read.
#include <csignal>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <sluice/connect/tcp_server.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "child_run.hpp"
#include "loopback.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

using detail::Descriptor;

constexpr std::uint64_t kLinesAtOnce = 256;

// Sends, and reads what is said meanwhile.
void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    pollfd entry{fd, POLLIN | POLLOUT, 0};
    ::poll(&entry, 1, -1);
    char said[4096];
    if ((entry.revents & POLLIN) != 0 && ::recv(fd, said, sizeof(said), MSG_DONTWAIT) == 0) ::_exit(1);
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

// A process that sends all lines to that port, and reads until the other side ends the connection.
[[noreturn]] void send_lines(std::uint16_t port, std::uint64_t rows, bool acknowledge) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Descriptor connection = connect_to_loopback(port);
  const int fd = connection.get();
  if (fd < 0) ::_exit(1);
  char said[4096];
  if (acknowledge) {
    send_all(fd, "hello bench\n");
    if (::recv(fd, said, sizeof(said), 0) <= 0) ::_exit(1);
  }
  std::string batch;
  for (std::uint64_t number = 0; number < rows;) {
    batch.clear();
    for (std::uint64_t i = 0; i < kLinesAtOnce && number < rows; ++i)
      batch.append(stored_line(number++)).append("\n");
    send_all(fd, batch);
  }
  ::shutdown(fd, SHUT_WR);
  while (::recv(fd, said, sizeof(said), 0) > 0) {
  }
  ::_exit(0);
}

pid_t start_sender(std::uint16_t port, std::uint64_t rows, bool acknowledge) {
  const pid_t sender = ::fork();
  if (sender == 0) send_lines(port, rows, acknowledge);
  return sender;
}

void read_by_source(std::uint64_t rows, bool acknowledge) {
  const Listener listener{"127.0.0.1:0"};
  Pipeline pipeline{"bench"};
  tcp_source(pipeline, "in", listener, {.acknowledge = acknowledge}).to<CountRead<Frame>>("count", rows);
  Settings settings;
  settings.set("observe.socket", "off");
  Engine engine{pipeline, settings};
  engine.start();
  const pid_t sender = start_sender(port_of(listener.address()), rows, acknowledge);
  while (told().events.load() != rows)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  engine.drain();
  ::waitpid(sender, nullptr, 0);
}

Descriptor accept_one(const Descriptor& listening) {
  const int fd = ::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) throw Error{{"accept", "a connection", errno_text(), ""}};
  return Descriptor{fd};
}

void read_by_program(std::uint64_t rows, bool acknowledge) {
  const LoopbackListener listening = listen_on_loopback();
  const pid_t sender = start_sender(listening.port, rows, acknowledge);
  {
    const Descriptor connection = accept_one(listening.socket);
    bool greeted = !acknowledge;
    std::uint64_t lines = 0;
    std::string text;
    char piece[65536];
    for (ssize_t got; (got = ::recv(connection.get(), piece, sizeof(piece), 0)) > 0;) {
      text.append(piece, static_cast<std::size_t>(got));
      std::size_t begin = 0;
      for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        if (std::exchange(greeted, true)) {
          note_read(std::string_view{text}.substr(begin, end - begin), rows);
          ++lines;
        }
      }
      text.erase(0, begin);
      const std::string said = (lines == 0 ? "at " : "ack ") + std::to_string(lines) + "\n";
      if (acknowledge && ::send(connection.get(), said.data(), said.size(), MSG_NOSIGNAL) < 0) break;
    }
  }
  ::waitpid(sender, nullptr, 0);
}

SourceRuns runs_of(std::uint64_t rows, bool acknowledge) {
  return {"tcp_source",
          acknowledge ? "acknowledge:yes" : "acknowledge:no",
          rows,
          [] {},
          [=] { read_by_source(rows, acknowledge); },
          [=] { read_by_program(rows, acknowledge); }};
}

}  // namespace

std::vector<SourceRuns> tcp_runs(bool quick) {
  const std::uint64_t rows = quick ? 200'000 : 1'000'000;
  return {runs_of(rows, false), runs_of(rows, true)};
}

}  // namespace sluice::bench
