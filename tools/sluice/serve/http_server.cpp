// SPDX-License-Identifier: Apache-2.0
#include "serve/http_server.hpp"

#include <algorithm>
#include <exception>
#include <microhttpd.h>
#include <poll.h>
#include <string_view>
#include <tuple>
#include <utility>

#include <sluice/error.hpp>

namespace sluice::command {

struct HttpServer::Parts {
  Answer answer;
  MHD_Daemon* daemon = nullptr;
  int epoll = -1;
};

namespace {

MHD_Result respond(MHD_Connection* connection, const HttpAnswer& answer) {
  MHD_Response* response = MHD_create_response_from_buffer(
      answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type.c_str());
  MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  if (answer.status == MHD_HTTP_METHOD_NOT_ALLOWED)
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  if (answer.status == MHD_HTTP_UNAUTHORIZED)
    MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
  const MHD_Result result = MHD_queue_response(connection, answer.status, response);
  MHD_destroy_response(response);
  return result;
}

MHD_Result handle(void* answer, MHD_Connection* connection, const char* path, const char* method, const char*,
                  const char*, std::size_t* bytes, void** state) {
  // The first call has the head alone, the others what there is of a body, which is not looked at.
  if (*state == nullptr) {
    *state = connection;
    return MHD_YES;
  }
  if (*bytes != 0) {
    *bytes = 0;
    return MHD_YES;
  }
  try {
    if (std::string_view{method} != "GET" && std::string_view{method} != "HEAD")
      return respond(connection,
                     {MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD are answered\n"});
    const char* authorization =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    return respond(connection, (*static_cast<HttpServer::Answer*>(answer))(
                                   path, authorization == nullptr ? "" : authorization));
  } catch (const std::exception&) {
    return MHD_NO;  // Out of memory: the connection is closed.
  }
}

}  // namespace

HttpServer::HttpServer(const Listener& listener, Answer answer) : parts_{std::make_unique<Parts>()} {
  constexpr unsigned kMostConnections = 64;
  constexpr unsigned kMostSeconds = 10;
  parts_->answer = std::move(answer);
  parts_->daemon =
      MHD_start_daemon(MHD_USE_EPOLL, 0, nullptr, nullptr, &handle, &parts_->answer, MHD_OPTION_LISTEN_SOCKET,
                       listener.descriptor(), MHD_OPTION_CONNECTION_LIMIT, kMostConnections,
                       MHD_OPTION_CONNECTION_TIMEOUT, kMostSeconds, MHD_OPTION_END);
  const MHD_DaemonInfo* info =
      parts_->daemon == nullptr ? nullptr : MHD_get_daemon_info(parts_->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == nullptr) {
    throw Error{{"serve HTTP at", listener.address(), errno_text(), "raise the limit of open files"}};
  }
  parts_->epoll = info->epoll_fd;
}

HttpServer::~HttpServer() {
  if (parts_->daemon == nullptr) return;
  // The socket is the listener's.
  std::ignore = MHD_quiesce_daemon(parts_->daemon);
  MHD_stop_daemon(parts_->daemon);
}

void HttpServer::run_once() {
  constexpr MHD_UNSIGNED_LONG_LONG kMost = 1000;
  MHD_UNSIGNED_LONG_LONG milliseconds = kMost;
  if (MHD_get_timeout(parts_->daemon, &milliseconds) != MHD_YES) milliseconds = kMost;
  pollfd entry{parts_->epoll, POLLIN, 0};
  std::ignore = ::poll(&entry, 1, static_cast<int>(std::min(milliseconds, kMost)));
  std::ignore = MHD_run(parts_->daemon);
}

}  // namespace sluice::command
