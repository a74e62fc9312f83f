// SPDX-License-Identifier: Apache-2.0
// HTTP: http_source beside a program that serves with the same library and counts the same lines. Both answer every POST
// with the number of its lines: the pipeline once they are committed, the program once it has read them.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <microhttpd.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <sluice/connect/http_source.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "child_run.hpp"
#include "loopback.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kConnections = 8;

// The answer, which has a short body.
void receive_answer(const detail::Descriptor& connection) {
  constexpr std::string_view kLength = "Content-Length: ";
  std::string answer;
  char piece[1024];
  while (true) {
    const ssize_t got = ::recv(connection.get(), piece, sizeof(piece), 0);
    if (got <= 0) ::_exit(1);
    answer.append(piece, static_cast<std::size_t>(got));
    const std::size_t head = answer.find("\r\n\r\n");
    if (head == std::string::npos) continue;
    const std::size_t length = answer.find(kLength);
    if (!answer.starts_with("HTTP/1.1 200") || length == std::string::npos) ::_exit(1);
    if (answer.size() - head - 4 >= std::strtoull(answer.c_str() + length + kLength.size(), nullptr, 10))
      return;
  }
}

// A process that posts all lines, so many at once, over connections that stay; each waits for its answer.
[[noreturn]] void post_lines(std::uint16_t port, std::uint64_t rows, std::uint64_t at_once) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::array<detail::Descriptor, kConnections> connections;
  for (detail::Descriptor& connection : connections)
    connection = connect_to_loopback(port);
  std::string body;
  for (std::uint64_t number = 0; number < rows;) {
    std::size_t posted = 0;
    for (; posted < kConnections && number < rows; ++posted) {
      body.clear();
      for (std::uint64_t i = 0; i < at_once && number < rows; ++i)
        body.append(stored_line(number++)).append("\n");
      const std::string request =
          "POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
          body;
      if (::send(connections[posted].get(), request.data(), request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request.size()))
        ::_exit(1);
    }
    std::for_each(connections.begin(), connections.begin() + static_cast<std::ptrdiff_t>(posted),
                  receive_answer);
  }
  ::_exit(0);
}

pid_t start_poster(std::uint16_t port, std::uint64_t rows, std::uint64_t at_once) {
  const pid_t poster = ::fork();
  if (poster == 0) post_lines(port, rows, at_once);
  return poster;
}

void serve_by_source(std::uint64_t rows, std::uint64_t at_once) {
  const Listener listener{"127.0.0.1:0"};
  Pipeline pipeline{"bench"};
  http_source(pipeline, "in", listener).to<CountRead<Frame>>("count", rows);
  Settings settings;
  settings.set("observe.socket", "off");
  Engine engine{pipeline, settings};
  engine.start();
  const pid_t poster = start_poster(port_of(listener.address()), rows, at_once);
  // The last answer comes behind its commit.
  ::waitpid(poster, nullptr, 0);
  engine.drain();
}

// In the library's thread.
class Counting {
 public:
  explicit Counting(std::uint64_t rows) : rows_{rows} {}

  static MHD_Result handle(void* self, MHD_Connection* connection, const char*, const char*, const char*,
                           const char* data, std::size_t* bytes, void** state) {
    if (*state == nullptr) {
      *state = new std::string;
      return MHD_YES;
    }
    const auto body = static_cast<std::string*>(*state);
    if (*bytes != 0) {
      body->append(data, *bytes);
      *bytes = 0;
      return MHD_YES;
    }
    const std::string said = std::to_string(static_cast<Counting*>(self)->count(*body)) + "\n";
    MHD_Response* response =
        MHD_create_response_from_buffer(said.size(), const_cast<char*>(said.data()), MHD_RESPMEM_MUST_COPY);
    const MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
  }
  static void completed(void*, MHD_Connection*, void** state, MHD_RequestTerminationCode) {
    delete static_cast<std::string*>(*state);
    *state = nullptr;
  }

 private:
  std::uint64_t count(std::string_view body) const {
    std::uint64_t lines = 0;
    for (std::size_t end; (end = body.find('\n')) != std::string_view::npos; body.remove_prefix(end + 1)) {
      note_read(body.substr(0, end), rows_);
      ++lines;
    }
    return lines;
  }

  std::uint64_t rows_;
};

void serve_by_program(std::uint64_t rows, std::uint64_t at_once) {
  const Listener listener{"127.0.0.1:0"};
  // Before there is a thread.
  const pid_t poster = start_poster(port_of(listener.address()), rows, at_once);
  Counting counting{rows};
  MHD_Daemon* daemon =
      MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, nullptr, nullptr, &Counting::handle, &counting,
                       MHD_OPTION_LISTEN_SOCKET, listener.descriptor(), MHD_OPTION_NOTIFY_COMPLETED,
                       &Counting::completed, nullptr, MHD_OPTION_END);
  if (daemon == nullptr) throw Error{{"serve", "HTTP", errno_text(), ""}};
  ::waitpid(poster, nullptr, 0);
  // The socket is the listener's to close.
  std::ignore = MHD_quiesce_daemon(daemon);
  MHD_stop_daemon(daemon);
}

SourceRuns runs_of(std::uint64_t rows, std::uint64_t at_once) {
  return {"http_source", "lines:" + std::to_string(at_once),      rows,
          [] {},         [=] { serve_by_source(rows, at_once); }, [=] { serve_by_program(rows, at_once); }};
}

}  // namespace

std::vector<SourceRuns> http_runs(bool quick) {
  const std::uint64_t scale = quick ? 5 : 1;
  return {runs_of(50'000 / scale, 1), runs_of(1'000'000 / scale, 100)};
}

}  // namespace sluice::bench
