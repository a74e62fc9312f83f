// SPDX-License-Identifier: Apache-2.0
#include "postgres_relay.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <iterator>
#include <netinet/in.h>
#include <new>
#include <poll.h>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::test {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

struct Pair {
  int client;  // -1 once it is cut off: what the server still says is dropped.
  int server;
  std::string held = {};
};

class Relay {
 public:
  Relay(int listener, int server_port, const RelayOptions& options, std::atomic<std::uint64_t>& bytes)
      : listener_{listener},
        server_port_{server_port},
        options_{options},
        random_{options.seed},
        bytes_{bytes} {}

  [[noreturn]] void run() {
    while (true) {
      std::vector<pollfd> wanted{{listener_, POLLIN, 0}};
      for (const Pair& pair : pairs_) {
        wanted.push_back({pair.client, POLLIN, 0});
        wanted.push_back({pair.server, POLLIN, 0});
      }
      constexpr int kLookMs = 10;
      if (::poll(wanted.data(), wanted.size(), holds_ ? kLookMs : -1) < 0) continue;
      if (holds_ && ::access(options_.release.c_str(), F_OK) == 0) release();
      // From the last one on, since a pair that ends is erased.
      for (std::size_t i = pairs_.size(); i-- > 0;) {
        const bool alive = (wanted[1 + 2 * i].revents == 0 || from_client(pairs_[i])) &&
                           (wanted[2 + 2 * i].revents == 0 || from_server(pairs_[i]));
        if (alive) continue;
        if (pairs_[i].client >= 0) ::close(pairs_[i].client);
        ::close(pairs_[i].server);
        pairs_.erase(std::next(pairs_.begin(), static_cast<std::ptrdiff_t>(i)));
      }
      if (wanted[0].revents != 0) accept_one();
    }
  }

 private:
  void accept_one() {
    const int client = ::accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    const int server = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      pairs_.push_back({client, server});
    } else {
      ::close(client);
      ::close(server);
    }
  }

  void release() {
    for (Pair& pair : pairs_) {
      if (pair.held.empty()) continue;
      std::ignore = send_all(pair.server, std::exchange(pair.held, {}));
      if (pair.client < 0) ::shutdown(pair.server, SHUT_WR);
    }
    holds_ = false;
  }

  // Both say whether the connection goes on.
  bool from_client(Pair& pair) {
    const ssize_t got = ::recv(pair.client, buffer_.data(), buffer_.size(), 0);
    if (got <= 0) {
      if (pair.held.empty()) return false;
      ::close(std::exchange(pair.client, -1));
      return true;
    }
    const std::string_view text{buffer_.data(), static_cast<std::size_t>(got)};
    bytes_ += text.size();
    if (!held_ && !options_.hold.empty() && text.find(options_.hold) != std::string_view::npos) {
      held_ = holds_ = true;
      log("held\n");
      pair.held = text;
      return true;
    }
    if (!pair.held.empty()) {
      pair.held += text;
      return true;
    }
    const bool commits =
        text.find("COMMIT") != std::string_view::npos || text.find("sluice_commit") != std::string_view::npos;
    if (!commits || options_.cut_one_of == 0 || cuts_ >= options_.most_cuts ||
        random_() % options_.cut_one_of != 0)
      return send_all(pair.server, text);
    ++cuts_;
    const bool whole = random_() % 4 != 0;
    log(whole ? "answer cut\n" : "request cut\n");
    std::ignore = send_all(pair.server, whole ? text : text.substr(0, random_() % text.size()));
    // The server reads all of it before it sees the end.
    ::shutdown(pair.server, SHUT_WR);
    ::close(std::exchange(pair.client, -1));
    return true;
  }

  bool from_server(const Pair& pair) {
    const ssize_t got = ::recv(pair.server, buffer_.data(), buffer_.size(), 0);
    if (got <= 0) return false;
    if (pair.client < 0) return true;
    char* const end = buffer_.data() + got;
    const std::string& what = options_.replace;
    if (!what.empty()) {
      for (char* at = buffer_.data(); (at = std::search(at, end, what.begin(), what.end())) != end;)
        at = std::copy(options_.by.begin(), options_.by.end(), at);
    }
    return send_all(pair.client, {buffer_.data(), static_cast<std::size_t>(got)});
  }

  static bool send_all(int to, std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(to, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  void log(std::string_view line) const {
    const int fd = ::open(options_.log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    [[maybe_unused]] const ssize_t written = ::write(fd, line.data(), line.size());
    ::close(fd);
  }

  int listener_;
  int server_port_;
  RelayOptions options_;
  std::mt19937 random_;
  std::atomic<std::uint64_t>& bytes_;
  unsigned cuts_ = 0;
  bool held_ = false;   // Once.
  bool holds_ = false;  // Now.
  std::vector<Pair> pairs_;
  std::array<char, 65536> buffer_{};
};

}  // namespace

PostgresRelay::PostgresRelay(int server_port, const RelayOptions& options)
    : bytes_{new (::mmap(nullptr, sizeof(*bytes_), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                 std::atomic<std::uint64_t>{0}} {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener, 64) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error{"the relay has no port"};
  port_ = ntohs(address.sin_port);
  process_ = ::fork();
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Relay{listener, server_port, options, *bytes_}.run();
  }
  ::close(listener);
}

PostgresRelay::~PostgresRelay() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  ::munmap(bytes_, sizeof(*bytes_));
}

std::string PostgresRelay::url() const {
  return "postgresql://sluice@127.0.0.1:" + std::to_string(port_) + "/postgres";
}

}  // namespace sluice::test
