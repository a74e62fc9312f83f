// SPDX-License-Identifier: Apache-2.0
// TcpClient beside a program that sends the same lines: both wait behind each batch until the server has acknowledged it. The server
// is a plain program too, which counts lines; it keeps no count beyond a connection.
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/connect/tcp_client.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "guarded_directory.hpp"
#include "loopback.hpp"
#include "shared.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

using detail::Descriptor;

// What the server has received; of it and of the suite.
struct Received {
  std::atomic<std::uint64_t> rows{0};
  std::atomic<std::uint64_t> numbers{0};
};

bool say(int fd, const std::string& line) {
  return ::send(fd, line.data(), line.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(line.size());
}

// The first line greets.
void serve_one(int fd, Received& received) {
  std::string text;
  char piece[65536];
  std::uint64_t lines = 0;
  bool greeted = false;
  for (ssize_t got; (got = ::recv(fd, piece, sizeof(piece), 0)) > 0;) {
    text.append(piece, static_cast<std::size_t>(got));
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (!std::exchange(greeted, true)) continue;
      std::uint64_t number = 0;
      std::from_chars(text.data() + begin, text.data() + end, number);
      received.numbers += number;
      ++received.rows;
      ++lines;
    }
    text.erase(0, begin);
    if (greeted && !say(fd, (lines == 0 ? "at " : "ack ") + std::to_string(lines) + "\n")) return;
  }
}

[[noreturn]] void serve(const Descriptor& listening, Received& received) {
  while (true) {
    const Descriptor connection{::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    serve_one(connection.get(), received);
  }
}

// Until so many lines are acknowledged, or the greeting is answered.
void await(int fd, std::string& heard, std::uint64_t lines) {
  char piece[4096];
  for (std::uint64_t said = 0;;) {
    for (std::size_t end; (end = heard.find('\n')) != std::string::npos; heard.erase(0, end + 1)) {
      const std::size_t number = heard.find(' ') + 1;
      std::from_chars(heard.data() + number, heard.data() + end, said);
      if (said >= lines) return heard.erase(0, end + 1), void();
    }
    const ssize_t got = ::recv(fd, piece, sizeof(piece), 0);
    if (got <= 0) throw Error{{"send to", "the server", "it has ended the connection", ""}};
    heard.append(piece, static_cast<std::size_t>(got));
  }
}

class Sends {
 public:
  Sends(Worker& worker, const std::string& address) : client_{worker, address} {}
  void operator()(const StoredRow& row) { client_.send(stored_line(row)); }

 private:
  TcpClient client_;
};

class TcpClientRun {
 public:
  void empty() {
    received_->rows = 0;
    received_->numbers = 0;
  }
  void sink(const Stream<StoredRow>& rows) const {
    rows.to<Sends>("store", "127.0.0.1:" + std::to_string(listening_.port));
  }
  void plain(std::uint64_t rows) const {
    const Descriptor connection = connect_to_loopback(listening_.port);
    std::string heard;
    std::string batch = "hello plain\n";
    for (std::uint64_t number = 0;;) {
      if (!say(connection.get(), batch)) throw Error{{"send to", "the server", errno_text(), ""}};
      await(connection.get(), heard, number);
      if (number == rows) return;
      batch.clear();
      for (std::uint64_t i = 0; i < kRowsABatch && number < rows; ++i)
        batch.append(stored_line(number++)).append("\n");
    }
  }
  StoredSum sum() const { return {received_->rows.load(), received_->numbers.load()}; }

 private:
  LoopbackListener listening_ = listen_on_loopback();
  Shared<Received> received_;
  GuardedDirectory server_{"tcp-client",
                           [this](const std::filesystem::path&) { serve(listening_.socket, *received_); }};
};

}  // namespace

std::vector<StoreRuns> tcp_client_runs(bool quick) {
  const auto run = std::make_shared<TcpClientRun>();
  return {{"tcp_client", "lines", quick ? 100'000U : 1'000'000U, [run] { run->empty(); },
           [run](const Stream<StoredRow>& stream) { run->sink(stream); },
           [run](std::uint64_t count) { run->plain(count); }, [run] { return run->sum(); }}};
}

}  // namespace sluice::bench
