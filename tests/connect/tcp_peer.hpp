// SPDX-License-Identifier: Apache-2.0
// What the tests of sockets share: the other end, as a stranger would write it, by the text of docs/guide/tcp.md alone;
// and a pipeline that shows what came.
#pragma once

#include <arpa/inet.h>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <sluice/connect/tcp_server.hpp>

#include "outside_world.hpp"

namespace sluice::test {

// How many kills there are: SLUICE_CONNECT_KILLS, or as many as are usual.
inline unsigned kills_or(unsigned usual) {
  const char* text = std::getenv("SLUICE_CONNECT_KILLS");
  return text == nullptr ? usual : static_cast<unsigned>(std::stoul(text));
}

// A client's connection. Every wait ends at the deadline of all tests; what goes wrong shows as an end of the connection.
class TcpPeer {
 public:
  // "127.0.0.1:PORT" or "unix:/path", as Listener::address() says it. errno says why it is not connected.
  explicit TcpPeer(const std::string& address) {
    sockaddr_storage to{};
    socklen_t length = 0;
    if (address.starts_with("unix:")) {
      sockaddr_un there{};
      there.sun_family = AF_UNIX;
      address.copy(there.sun_path, sizeof(there.sun_path) - 1, 5);
      length = sizeof(there);
      std::memcpy(&to, &there, length);
    } else {
      sockaddr_in there{};
      there.sin_family = AF_INET;
      const std::size_t colon = address.rfind(':');
      there.sin_port = htons(static_cast<std::uint16_t>(std::stoul(address.substr(colon + 1))));
      ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &there.sin_addr);
      length = sizeof(there);
      std::memcpy(&to, &there, length);
    }
    fd_ = ::socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), length) != 0) close();
  }
  ~TcpPeer() { close(); }
  TcpPeer(const TcpPeer&) = delete;
  TcpPeer& operator=(const TcpPeer&) = delete;

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  void close() {
    const int error = errno;
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    errno = error;
  }
  // The end that a process leaves that is killed with bytes unread.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close();
  }
  void say_no_more() const { ::shutdown(fd_, SHUT_WR); }

  // All of it; false when the connection breaks, or the other side takes nothing until the deadline.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      pollfd writable{fd_, POLLOUT, 0};
      if (::poll(&writable, 1, kDeadlineMs) != 1) return false;
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN) return false;
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // The next line; nothing when the connection ends, or none comes in time.
  std::optional<std::string> line(int limit_ms = kDeadlineMs) {
    while (true) {
      const std::size_t end = received_.find('\n');
      if (end != std::string::npos) {
        std::string line = received_.substr(0, end);
        received_.erase(0, end + 1);
        return line;
      }
      pollfd readable{fd_, POLLIN, 0};
      if (::poll(&readable, 1, limit_ms) != 1) return std::nullopt;
      char piece[4096];
      const ssize_t got = ::recv(fd_, piece, sizeof(piece), 0);
      if (got <= 0) return std::nullopt;
      received_.append(piece, static_cast<std::size_t>(got));
    }
  }
  // The other side has ended the connection, or does so before the deadline, whatever it says before.
  bool is_ended() {
    while (line()) {
    }
    pollfd readable{fd_, POLLIN, 0};
    char byte = 0;
    return ::poll(&readable, 1, 0) == 1 && ::recv(fd_, &byte, 1, MSG_DONTWAIT) <= 0;
  }

 private:
  static constexpr int kDeadlineMs = 60'000;
  int fd_ = -1;
  std::string received_;
};

// The number of a line "at 7" or "ack 7".
inline std::optional<std::uint64_t> number_in(const std::optional<std::string>& line,
                                              const std::string& word) {
  if (!line || !line->starts_with(word + " ")) return std::nullopt;
  return std::stoull(line->substr(word.size() + 1));
}

// A frame with its four bytes of length.
inline std::string prefixed(std::string_view body) {
  const std::uint32_t length = htonl(static_cast<std::uint32_t>(body.size()));
  std::string frame(sizeof(length), '\0');
  std::memcpy(frame.data(), &length, sizeof(length));
  return frame.append(body);
}

// "sender sequence body", one for each frame.
struct ShowFrame {
  void operator()(const Frame& frame, Output<Bytes>& out) const {
    std::string text{frame.head.sender_text()};
    text.append(" ").append(std::to_string(frame.head.sequence)).append(" ").append(frame.text());
    out.push(text);
  }
};

// A pipeline that serves a port of its own and shows the frames at its outlet "out".
class Served : public WithOutside {
 protected:
  Listener& listen(const TcpServerOptions& options, const std::string& address = "127.0.0.1:0") {
    listener_.emplace(address);
    pipeline_.emplace("served");
    tcp_source(*pipeline_, "in", *listener_, options).to<ShowFrame>("show").outlet("out");
    return *listener_;
  }
  Engine& start(const std::vector<std::string>& assignments = {}) {
    engine_ = std::make_unique<Engine>(*pipeline_, settings(assignments));
    engine_->start();
    out_ = std::make_unique<Collector<Bytes>>(*engine_, "out");
    return *engine_;
  }
  Engine& serve(const TcpServerOptions& options, const std::vector<std::string>& assignments = {}) {
    listen(options);
    return start(assignments);
  }
  std::string address() const { return listener_->address(); }
  bool shows(std::size_t frames) const {
    return eventually([&] { return out_->count() >= frames; });
  }
  // Kills the worker that serves; returns once it is replaced.
  void kill_server() const {
    const std::uint32_t before = worker_of(*engine_, "in/0").incarnation;
    EXPECT_TRUE(eventually([&] { return engine_->signal_worker("in/0", SIGKILL); }));
    EXPECT_TRUE(eventually([&] { return worker_of(*engine_, "in/0").incarnation != before; }));
  }
  std::vector<std::string> drained() {
    engine_->drain();
    return out_->all();
  }

  std::optional<Listener> listener_;
  std::optional<Pipeline> pipeline_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Collector<Bytes>> out_;
};

}  // namespace sluice::test
