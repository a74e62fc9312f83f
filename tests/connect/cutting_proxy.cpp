// SPDX-License-Identifier: Apache-2.0
#include "cutting_proxy.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <csignal>
#include <list>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <random>
#include <span>
#include <stdexcept>
#include <string_view>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sluice::test {

struct CuttingProxyShared {
  std::atomic<unsigned> to_cut{0};
  std::atomic<unsigned> cuts{0};
  std::atomic<bool> miscounts{false};
  std::atomic<bool> takes_expectations{false};
};

namespace {

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

struct Budget {
  int direction;  // 0: from the client.
  std::size_t bytes;
};

struct Budgets {
  std::uint32_t seed;
  std::uint32_t from_client;
  std::uint32_t from_server;
};

struct Pair {
  int ends[2];  // The client, the server.
  std::optional<Budget> budget;
};

// In what a server sends; a message that comes in two pieces may stay as it is. "MSG inbox 2 $JS.ACK.stream.consumer.1.7.7.time.0 5".
void miscount(std::span<char> bytes) {
  constexpr std::string_view kReply = "$JS.ACK.";
  const std::string_view text{bytes.data(), bytes.size()};
  for (std::size_t at = text.find(kReply); at != std::string_view::npos; at = text.find(kReply, at + 1)) {
    const std::size_t end = text.find(' ', at);
    if (end != std::string_view::npos && text.substr(end - 2, 2) == ".0") bytes[end - 1] = '1';
  }
}

// In what a client sends: the header gets another name of the same length.
void take_expectations(std::span<char> bytes) {
  constexpr std::string_view kHeader = "Nats-Expected-Last-Subject-Sequence:";
  const std::string_view text{bytes.data(), bytes.size()};
  for (std::size_t at = text.find(kHeader); at != std::string_view::npos; at = text.find(kHeader, at + 1))
    bytes[at] = 'X';
}

// Whether the connection goes on; `cut` says whether its budget ended it.
bool pass_on(Pair& pair, int from, const CuttingProxyShared& shared, bool& cut) {
  char piece[16384];
  const ssize_t got = ::recv(pair.ends[from], piece, sizeof(piece), 0);
  if (got <= 0) return false;
  auto size = static_cast<std::size_t>(got);
  if (from == 1 && shared.miscounts) miscount({piece, size});
  if (from == 0 && shared.takes_expectations) take_expectations({piece, size});
  if (pair.budget && pair.budget->direction == from) {
    cut = size > pair.budget->bytes;
    size = std::min(size, pair.budget->bytes);
    pair.budget->bytes -= size;
  }
  for (std::size_t done = 0; done < size;) {
    const ssize_t bytes = ::send(pair.ends[1 - from], piece + done, size - done, MSG_NOSIGNAL);
    if (bytes <= 0) return false;
    done += static_cast<std::size_t>(bytes);
  }
  return !cut;
}

void close_pair(const Pair& pair) {
  ::close(pair.ends[0]);
  ::close(pair.ends[1]);
}

// The next connection, and what it may pass on. Nothing when the server is away.
std::optional<Pair> accept_one(int listener, int port, bool to_be_cut, const Budgets& budgets,
                               std::mt19937& random) {
  const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Pair pair{{client, server}, {}};
  const sockaddr_in to = loopback(port);
  if (::connect(server, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    close_pair(pair);
    return std::nullopt;
  }
  const int at_once = 1;
  ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
  ::setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
  if (to_be_cut) {
    const int direction = static_cast<int>(random() % 2);
    pair.budget = Budget{direction, random() % (direction == 0 ? budgets.from_client : budgets.from_server)};
  }
  return pair;
}

// The life of the proxy's process.
[[noreturn]] void serve(int listener, int port, CuttingProxyShared& shared, const Budgets& budgets) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::mt19937 random{budgets.seed};
  std::list<Pair> pairs;
  for (;;) {
    std::vector<pollfd> entries{{listener, POLLIN, 0}};
    for (const Pair& pair : pairs) {
      entries.push_back({pair.ends[0], POLLIN, 0});
      entries.push_back({pair.ends[1], POLLIN, 0});
    }
    ::poll(entries.data(), entries.size(), -1);
    std::size_t entry = 1;
    for (auto pair = pairs.begin(); pair != pairs.end(); entry += 2) {
      bool lives = true;
      bool cut = false;
      for (int from = 0; from < 2 && lives; ++from) {
        if (entries[entry + static_cast<std::size_t>(from)].revents != 0)
          lives = pass_on(*pair, from, shared, cut);
      }
      if (cut) {
        ++shared.cuts;
        if (shared.to_cut != 0) --shared.to_cut;
      }
      if (!lives) close_pair(*pair);
      pair = lives ? std::next(pair) : pairs.erase(pair);
    }
    if (entries[0].revents == 0) continue;
    if (const auto pair = accept_one(listener, port, shared.to_cut != 0, budgets, random))
      pairs.push_back(*pair);
  }
}

}  // namespace

CuttingProxy::CuttingProxy(int port, std::uint32_t seed, std::uint32_t most_from_client,
                           std::uint32_t most_from_server) {
  void* memory =
      ::mmap(nullptr, sizeof(CuttingProxyShared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error{"no memory for the proxy"};
  shared_ = new (memory) CuttingProxyShared;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), size) != 0 || ::listen(listener, 64) != 0)
    throw std::runtime_error{"the proxy cannot listen"};
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  pid_ = ::fork();
  if (pid_ != 0) {
    ::close(listener);
    return;
  }
  serve(listener, port, *shared_, {seed, most_from_client, most_from_server});
}

CuttingProxy::~CuttingProxy() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::munmap(shared_, sizeof(CuttingProxyShared));
}

void CuttingProxy::pause() const noexcept {
  ::kill(pid_, SIGSTOP);
}

void CuttingProxy::resume() const noexcept {
  ::kill(pid_, SIGCONT);
}

void CuttingProxy::miscount() noexcept {
  shared_->miscounts = true;
}

void CuttingProxy::take_expectations() noexcept {
  shared_->takes_expectations = true;
}

void CuttingProxy::cut(unsigned times) noexcept {
  shared_->to_cut = times;
}
unsigned CuttingProxy::cuts() const noexcept {
  return shared_->cuts;
}

}  // namespace sluice::test
