// SPDX-License-Identifier: Apache-2.0
#include "serve/http_server.hpp"

#include <algorithm>
#include <exception>
#include <microhttpd.h>
#include <poll.h>
#include <set>
#include <string_view>
#include <sys/socket.h>
#include <tuple>
#include <utility>
#include <vector>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>

namespace sluice::command {

using std::chrono::nanoseconds;

// A client whose answer goes on.
struct LiveClient {
  std::set<LiveClient*>& all;
  MHD_Connection* connection;
  LiveText text;
  std::string piece{};    // What it is given at the moment,
  std::size_t taken = 0;  // how much of it the library has taken,
  nanoseconds since{0};   // and since when.
  bool waits = false;     // Suspended: it has taken all.
};

// What libmicrohttpd hands back with each request.
struct Serving {
  HttpServer::Answer answer;
  std::set<LiveClient*> live;
  std::vector<MHD_Connection*> silent;  // That ask for nothing at the moment, the oldest first.
};

namespace {

int socket_of(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info == nullptr ? -1 : info->connect_fd;
}

ssize_t read_live(void* of, std::uint64_t, char* to, std::size_t most) {
  auto& client = *static_cast<LiveClient*>(of);
  try {
    if (client.taken == client.piece.size()) {
      client.piece = client.text();
      client.taken = 0;
      client.since = detail::monotonic_now();
    }
  } catch (const std::exception&) {
    return MHD_CONTENT_READER_END_WITH_ERROR;  // Out of memory: it may come again.
  }
  const std::size_t bytes = std::min(most, client.piece.size() - client.taken);
  std::copy_n(client.piece.data() + client.taken, bytes, to);
  client.taken += bytes;
  if (bytes == 0) {
    client.waits = true;
    MHD_suspend_connection(client.connection);
  }
  return static_cast<ssize_t>(bytes);
}

void forget_live(void* of) {
  const std::unique_ptr<LiveClient> client{static_cast<LiveClient*>(of)};
  client->all.erase(client.get());
}

// Nothing if it cannot be made.
MHD_Response* live_response(std::set<LiveClient*>& all, MHD_Connection* connection, LiveText text) {
  // The kernel keeps no more for one that does not read.
  constexpr int kSendBytes = 64 << 10;
  constexpr std::size_t kPiece = 16 << 10;
  std::ignore = ::setsockopt(socket_of(connection), SOL_SOCKET, SO_SNDBUF, &kSendBytes, sizeof(kSendBytes));
  auto client = std::make_unique<LiveClient>(LiveClient{all, connection, std::move(text)});
  client->since = detail::monotonic_now();
  all.insert(client.get());
  MHD_Response* response =
      MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, kPiece, &read_live, client.get(), &forget_live);
  if (response == nullptr) {
    all.erase(client.get());
  } else {
    std::ignore = client.release();  // forget_live() has it.
  }
  return response;
}

MHD_Result respond(std::set<LiveClient*>& live, MHD_Connection* connection, HttpAnswer answer) {
  MHD_Response* response =
      answer.live ? live_response(live, connection, std::move(answer.live))
                  : MHD_create_response_from_buffer(answer.body.size(), const_cast<char*>(answer.body.data()),
                                                    MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type.c_str());
  MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
  MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
  MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
  for (const auto& [name, value] : answer.headers)
    MHD_add_response_header(response, name.c_str(), value.c_str());
  const MHD_Result result = MHD_queue_response(connection, answer.status, response);
  MHD_destroy_response(response);
  return result;
}

HttpRequest request_of(MHD_Connection* connection, const char* path) {
  const auto value = [connection](MHD_ValueKind kind, const char* name) -> std::string {
    const char* text = MHD_lookup_connection_value(connection, kind, name);
    return text == nullptr ? "" : text;
  };
  return {path,
          value(MHD_GET_ARGUMENT_KIND, "token"),
          value(MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION),
          value(MHD_HEADER_KIND, MHD_HTTP_HEADER_COOKIE),
          value(MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST),
          value(MHD_HEADER_KIND, "Sec-Fetch-Site")};
}

HttpAnswer answer_to(const HttpServer::Answer& answer, std::size_t live, MHD_Connection* connection,
                     const char* path, std::string_view method) {
  if (method != "GET" && method != "HEAD")
    return {MHD_HTTP_METHOD_NOT_ALLOWED,
            "text/plain; charset=utf-8",
            "only GET and HEAD are answered\n",
            {{MHD_HTTP_HEADER_ALLOW, "GET, HEAD"}},
            nullptr};
  HttpAnswer made = answer(request_of(connection, path));
  if (!made.live) return made;
  if (live >= HttpServer::kMostLive)
    return {MHD_HTTP_SERVICE_UNAVAILABLE,
            "text/plain; charset=utf-8",
            "too many live pages are open: " + std::to_string(live) + "; close one, or ask again later\n",
            {{"Retry-After", "10"}},
            nullptr};
  if (method == "HEAD") made.live = nullptr;
  return made;
}

MHD_Result handle(void* of, MHD_Connection* connection, const char* path, const char* method, const char*,
                  const char*, std::size_t* bytes, void** state) {
  auto& serving = *static_cast<Serving*>(of);
  // The first call has the head alone, the others what there is of a body, which is not looked at.
  if (*state == nullptr) {
    std::erase(serving.silent, connection);
    *state = connection;
    return MHD_YES;
  }
  if (*bytes != 0) {
    *bytes = 0;
    return MHD_YES;
  }
  try {
    return respond(serving.live, connection,
                   answer_to(serving.answer, serving.live.size(), connection, path, method));
  } catch (const std::exception&) {
    return MHD_NO;  // Out of memory: the connection is closed.
  }
}

void follow(void* of, MHD_Connection* connection, void**, MHD_ConnectionNotificationCode what) {
  auto& silent = static_cast<Serving*>(of)->silent;
  std::erase(silent, connection);
  if (what == MHD_CONNECTION_NOTIFY_STARTED) silent.push_back(connection);
}

void completed(void* of, MHD_Connection* connection, void**, MHD_RequestTerminationCode) {
  static_cast<Serving*>(of)->silent.push_back(connection);
}

// One that does not read, or a byte now and then, takes a place from others: the library finds its socket closed. What it
// has not taken is thrown away: the kernel keeps nothing for it.
void drop_slow(const std::set<LiveClient*>& live) {
  constexpr std::chrono::seconds kPatience{5};
  const nanoseconds now = detail::monotonic_now();
  for (const LiveClient* client : live) {
    if (client->waits || now - client->since <= kPatience) continue;
    const linger none{1, 0};
    const int socket = socket_of(client->connection);
    std::ignore = ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    std::ignore = ::shutdown(socket, SHUT_RDWR);
  }
}

// Those that connect and say nothing make room for who comes with a question.
void drop_silent(std::vector<MHD_Connection*>& silent) {
  constexpr std::size_t kMostSilent = 128;
  if (silent.size() <= kMostSilent) return;
  const auto kept = silent.end() - kMostSilent;
  std::for_each(silent.begin(), kept, [](MHD_Connection* connection) {
    std::ignore = ::shutdown(socket_of(connection), SHUT_RDWR);
  });
  silent.erase(silent.begin(), kept);
}

}  // namespace

struct HttpServer::Parts {
  Serving serving;
  MHD_Daemon* daemon = nullptr;
  int epoll = -1;
};

HttpServer::HttpServer(const Listener& listener, Answer answer) : parts_{std::make_unique<Parts>()} {
  constexpr unsigned kMostConnections = 256;
  constexpr unsigned kMostSeconds = 10;
  parts_->serving.answer = std::move(answer);
  parts_->daemon = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, &handle, &parts_->serving,
      MHD_OPTION_LISTEN_SOCKET, listener.descriptor(), MHD_OPTION_CONNECTION_LIMIT, kMostConnections,
      MHD_OPTION_CONNECTION_TIMEOUT, kMostSeconds, MHD_OPTION_NOTIFY_CONNECTION, &follow, &parts_->serving,
      MHD_OPTION_NOTIFY_COMPLETED, &completed, &parts_->serving, MHD_OPTION_END);
  const MHD_DaemonInfo* info =
      parts_->daemon == nullptr ? nullptr : MHD_get_daemon_info(parts_->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == nullptr) {
    throw Error{{"serve HTTP at", listener.address(), errno_text(), "raise the limit of open files"}};
  }
  parts_->epoll = info->epoll_fd;
}

HttpServer::~HttpServer() {
  if (parts_->daemon == nullptr) return;
  // The socket is the listener's; and no connection may be suspended when the library stops.
  std::ignore = MHD_quiesce_daemon(parts_->daemon);
  tell_live_clients();
  MHD_stop_daemon(parts_->daemon);
}

void HttpServer::run_once(std::chrono::milliseconds most) {
  const auto limit = static_cast<MHD_UNSIGNED_LONG_LONG>(most.count());
  MHD_UNSIGNED_LONG_LONG milliseconds = limit;
  if (MHD_get_timeout(parts_->daemon, &milliseconds) != MHD_YES) milliseconds = limit;
  pollfd entry{parts_->epoll, POLLIN, 0};
  std::ignore = ::poll(&entry, 1, static_cast<int>(std::min(milliseconds, limit)));
  std::ignore = MHD_run(parts_->daemon);
  drop_slow(parts_->serving.live);
  drop_silent(parts_->serving.silent);
}

std::size_t HttpServer::live_clients() const noexcept {
  return parts_->serving.live.size();
}

void HttpServer::tell_live_clients() {
  for (LiveClient* client : parts_->serving.live) {
    if (!client->waits) continue;
    client->waits = false;
    client->since = detail::monotonic_now();
    MHD_resume_connection(client->connection);
  }
}

}  // namespace sluice::command
