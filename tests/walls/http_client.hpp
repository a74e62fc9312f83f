// SPDX-License-Identifier: Apache-2.0
// `sluice` as a process of a test: what a command says, `sluice serve`, and a plain client of HTTP for it: a request in, the whole
// answer out; and one that goes on reading.
#pragma once

#include <cstdio>
#include <fcntl.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <utility>
#include <vector>

#include <sluice/detail/descriptor.hpp>

#include "ipc/child.hpp"
#include "watched.hpp"

namespace sluice::test {

// What a command that ends well says.
inline std::string said_by(const std::string& arguments) {
  FILE* pipe = ::popen(("'" SLUICE_PROGRAM "' " + arguments + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {};
  std::string text;
  char piece[4096];
  for (std::size_t got = 0; (got = std::fread(piece, 1, sizeof(piece), pipe)) > 0;)
    text.append(piece, got);
  EXPECT_EQ(::pclose(pipe), 0);
  return text;
}

// The program, with its standard error in a file.
class ServeCommand {
 public:
  ServeCommand(std::vector<std::string> arguments, fs::path said)
      : said_{std::move(said)}, child_{[&] {
          arguments.insert(arguments.begin(), {SLUICE_PROGRAM, "serve"});
          std::vector<char*> words;
          words.reserve(arguments.size() + 1);
          for (std::string& argument : arguments)
            words.push_back(argument.data());
          words.push_back(nullptr);
          const int to = ::open(said_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
          ::dup2(to, STDERR_FILENO);
          ::execv(words[0], words.data());
          return 127;
        }} {}

  std::string said() const {
    std::ifstream file{said_};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  bool serves() {
    return eventually([this] {
      const std::string text = said();
      const std::size_t at = text.find("serving");
      return at != std::string::npos && text.find('\n', at) != std::string::npos;
    });
  }
  // The port that the kernel has chosen.
  std::uint16_t port() const {
    const std::string text = said();
    return static_cast<std::uint16_t>(std::stoi(text.substr(text.rfind(':') + 1)));
  }
  ipc::test::Child& child() { return child_; }

 private:
  fs::path said_;
  ipc::test::Child child_;
};

inline std::string request_for(const std::string& path, const std::string& headers = "",
                               const std::string& method = "GET", const std::string& host = "localhost") {
  return method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + headers + "\r\n";
}

// A connection to a server that has been sent a request. `receive_bytes`: how much the kernel keeps for one that does not
// read; 0 for as much as usual.
class HttpConnection {
 public:
  HttpConnection(std::uint16_t port, const std::string& request, int receive_bytes = 0)
      : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (receive_bytes != 0)
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    begin(reinterpret_cast<const sockaddr*>(&address), sizeof(address), request);
  }
  HttpConnection(const std::string& path, const std::string& request)
      : socket_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    begin(reinterpret_cast<const sockaddr*>(&address), sizeof(address), request);
  }

  // Reads until the text is there; all that was read. Less once the server has closed, or the deadline is over.
  const std::string& read_until(const std::string& text) {
    pollfd entry{socket_.get(), POLLIN, 0};
    char piece[16 << 10];
    const auto until = std::chrono::steady_clock::now() + kDeadline;
    while (read_.find(text) == std::string::npos && std::chrono::steady_clock::now() < until) {
      if (::poll(&entry, 1, 1000) == 0) continue;
      const ssize_t got = ::recv(socket_.get(), piece, sizeof(piece), 0);
      if (got <= 0) {
        closed_ = true;
        break;
      }
      read_.append(piece, static_cast<std::size_t>(got));
    }
    return read_;
  }
  const std::string& read_all() { return read_until("\n\n\n no server says so \n\n\n"); }
  bool closed() const noexcept { return closed_; }
  // Whether the other side has closed or reset it, which it says without a reader.
  bool is_cut_off() const {
    pollfd entry{socket_.get(), POLLRDHUP, 0};
    return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
  }

 private:
  // Nobody listens: there is nothing to be read.
  void begin(const sockaddr* address, socklen_t bytes, const std::string& request) {
    if (::connect(socket_.get(), address, bytes) != 0 ||
        ::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
      closed_ = true;
  }

  detail::Descriptor socket_;
  std::string read_;
  bool closed_ = false;
};

inline std::string ask_file(const std::string& path, const std::string& request) {
  return HttpConnection{path, request}.read_all();
}
inline std::string ask_port(std::uint16_t port, const std::string& request) {
  return HttpConnection{port, request}.read_all();
}

}  // namespace sluice::test
