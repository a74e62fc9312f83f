// SPDX-License-Identifier: Apache-2.0
// The library's server runs within the source's call, by its epoll descriptor. A request whose body has come is suspended,
// its events are pushed by one call, and it is resumed with its answer after the commit.
#include "sluice/connect/http_source.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <microhttpd.h>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/promises.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/framing.hpp>
#include <sluice/printable.hpp>

#include "descriptor_limit.hpp"
#include "http_peers.hpp"
#include "http_request.hpp"

namespace sluice {

using namespace detail;

namespace {

// As the library takes it.
std::chrono::seconds idle_limit_of(const HttpSourceOptions& options) {
  constexpr std::chrono::seconds kMost = std::chrono::hours{1000};
  return std::min(options.idle_limit, kMost);
}

void check(const HttpSourceOptions& options, const Listener& listener) {
  if (!options.path.starts_with('/'))
    throw Error{{"serve HTTP at", listener.address(),
                 fmt::format("nobody can ask for {}: a path begins with /", json_text(options.path)),
                 "write the path as it stands behind the host"}};
  if (options.idle_limit.count() < 0)
    throw Error{{"serve HTTP at", listener.address(), "`idle_limit` is less than nothing",
                 "give it seconds, or 0 for no limit"}};
}

}  // namespace

struct HttpSource::Parts {
  Parts(Worker& worker_of_it, const Listener& listener, const HttpSourceOptions& options_of_it);
  ~Parts();
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  SourceState call(Output<Frame>& out);
  void finish();

 private:
  static MHD_Result handle(void* self, MHD_Connection* connection, const char* url, const char* method,
                           const char* version, const char* data, std::size_t* bytes, void** request);
  static void completed(void* self, MHD_Connection* connection, void** request,
                        MHD_RequestTerminationCode why);

  MHD_Result begin(MHD_Connection* connection, std::string_view path, std::string_view method,
                   std::string_view version, void** request);
  MHD_Result end(HttpRequest& request);
  void take(HttpRequest& request, Output<Frame>& out);
  void answer_safe(std::size_t count);
  void answer(HttpRequest& request, unsigned status, std::string text);
  std::chrono::nanoseconds quiet_for() const;
  bool has_closed_some();
  bool report_waiting();

  Worker& worker_;
  HttpSourceOptions options_;
  int listener_;
  int epoll_ = -1;
  HttpPeers peers_;
  MHD_Daemon* daemon_ = nullptr;
  std::uint64_t next_number_;
  std::map<HttpRequest*, std::unique_ptr<HttpRequest>> requests_;
  std::deque<HttpRequest*> waiting_;  // Whole, and not pushed.
  std::vector<HttpRequest*> taken_;   // Pushed, and not committed.
  std::deque<HttpRequest*> safe_;     // Committed, and answered once that is safe: Worker::when_safe().
  unsigned most_connections_;
  unsigned connections_ = 0;  // When has_closed_some() was last asked.
  std::chrono::steady_clock::time_point next_report_{};
  bool draining_ = false;
};

HttpSource::Parts::Parts(Worker& worker_of_it, const Listener& listener,
                         const HttpSourceOptions& options_of_it)
    : worker_{worker_of_it},
      options_{options_of_it},
      listener_{listener.descriptor()},
      peers_{idle_limit_of(options_of_it)},
      // No other life of this worker has had these numbers, nor any other worker of the stage.
      next_number_{((std::uint64_t{worker_.incarnation()} * worker_.replicas() + worker_.replica()) << 32U) +
                   1},
      most_connections_{affordable_connections(std::max(options_.connections, 1U))} {
  check(options_, listener);
  int listens = 0;
  socklen_t bytes = sizeof(listens);
  // One that a drain has shut down listens again.
  if (::getsockopt(listener_, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) == 0 && listens == 0)
    std::ignore = ::listen(listener_, SOMAXCONN);
  daemon_ = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, &Parts::handle, this,
      MHD_OPTION_LISTEN_SOCKET, listener_, MHD_OPTION_CONNECTION_LIMIT, most_connections_,
      MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(idle_limit_of(options_).count()),
      MHD_OPTION_NOTIFY_COMPLETED, &Parts::completed, this, MHD_OPTION_NOTIFY_CONNECTION, &HttpPeers::note,
      &peers_, MHD_OPTION_UNESCAPE_CALLBACK, &unescape, nullptr, MHD_OPTION_END);
  const MHD_DaemonInfo* info =
      daemon_ == nullptr ? nullptr : MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == nullptr) {
    throw Error{{"serve HTTP at", listener.address(), errno_text(),
                 "raise the limit of open files, or lower `connections`"}};
  }
  epoll_ = info->epoll_fd;
  worker_.declare_endless();
  detail::refuse_lanes_that_drop(worker_, "HttpSource");
  worker_.after_commit([this] {
    const std::size_t count = taken_.size();
    if (count == 0) return;
    safe_.insert(safe_.end(), taken_.begin(), taken_.end());
    taken_.clear();
    worker_.when_safe([this, count] { answer_safe(count); });
  });
}

HttpSource::Parts::~Parts() {
  if (daemon_ == nullptr) return;
  // The socket is the pipeline's: the library is not to close it.
  std::ignore = MHD_quiesce_daemon(daemon_);
  for (const auto& [request, owner] : requests_) {
    if (request->handed_over) MHD_resume_connection(request->connection);
  }
  MHD_stop_daemon(daemon_);
}

SourceState HttpSource::Parts::call(Output<Frame>& out) {
  constexpr int kRunsOfACall = 16;
  for (int runs = 0; runs < kRunsOfACall; ++runs) {
    // What has come whole goes first: one look at the sockets may have found many.
    if (waiting_.empty()) {
      peers_.look();
      std::ignore = MHD_run(daemon_);
    }
    if (!waiting_.empty()) {
      HttpRequest& request = *waiting_.front();
      waiting_.pop_front();
      take(request, out);
      // One that was refused has pushed nothing.
      if (request.status == 0) return SourceState::more;
      continue;
    }
    if (!taken_.empty()) {
      // Commits them, so that their answers are ready. The library's epoll descriptor does not tell of those.
      worker_.wait_for(std::chrono::nanoseconds{0});
      continue;
    }
    if (has_closed_some()) continue;
    // What is reported is committed before a wait.
    if (report_waiting()) return SourceState::nothing_now;
    const std::chrono::nanoseconds quiet = std::min(quiet_for(), peers_.quiet_for());
    if (quiet.count() != 0 && !worker_.wait_for(epoll_, quiet)) return SourceState::nothing_now;
  }
  return SourceState::nothing_now;
}

// What came whole and was not pushed is refused; answers that are under way get a moment.
void HttpSource::Parts::finish() {
  constexpr std::chrono::seconds kMoment{1};
  draining_ = true;
  std::ignore = MHD_quiesce_daemon(daemon_);
  int domain = AF_UNIX;
  socklen_t bytes = sizeof(domain);
  const bool known = ::getsockopt(listener_, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0;
  if (known && domain != AF_UNIX) std::ignore = ::shutdown(listener_, SHUT_RD);
  for (HttpRequest* request : std::exchange(waiting_, {}))
    answer(*request, MHD_HTTP_SERVICE_UNAVAILABLE, "the pipeline comes to its end\n");
  const auto until = std::chrono::steady_clock::now() + kMoment;
  while (!requests_.empty() && std::chrono::steady_clock::now() < until) {
    std::ignore = MHD_run(daemon_);
    pollfd entry{epoll_, POLLIN, 0};
    std::ignore = ::poll(&entry, 1, 10);
  }
}

// Where it had as many connections as it may, or no descriptor was left, the library has let go of the listening socket. It
// takes it up again in the run behind the one that has closed a connection, and its epoll descriptor does not tell of that.
bool HttpSource::Parts::has_closed_some() {
  const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
  const unsigned now = info == nullptr ? 0 : info->num_connections;
  return std::exchange(connections_, now) > now;
}

// Others wait, and cannot know why. Whether it has said so.
bool HttpSource::Parts::report_waiting() {
  if (connections_ < most_connections_) return false;
  const auto now = std::chrono::steady_clock::now();
  pollfd waiting{listener_, POLLIN, 0};
  if (now < next_report_ || ::poll(&waiting, 1, 0) != 1) return false;
  next_report_ = now + std::chrono::minutes{1};
  worker_.report(
      most_connections_ == 1
          ? std::string{"the one connection that it may have is in use; more wait"}
          : fmt::format("all {} connections that it may have are in use; more wait", most_connections_));
  return true;
}

std::chrono::nanoseconds HttpSource::Parts::quiet_for() const {
  MHD_UNSIGNED_LONG_LONG milliseconds = 0;
  if (MHD_get_timeout(daemon_, &milliseconds) != MHD_YES) return std::chrono::hours{1};
  return std::chrono::milliseconds{std::min<MHD_UNSIGNED_LONG_LONG>(milliseconds, 3'600'000)};
}

MHD_Result HttpSource::Parts::handle(void* self, MHD_Connection* connection, const char* url,
                                     const char* method, const char* version, const char* data,
                                     std::size_t* bytes, void** state) {
  Parts& parts = *static_cast<Parts*>(self);
  if (*state == nullptr) return parts.begin(connection, path_in(url), method, version, state);
  HttpRequest& request = *static_cast<HttpRequest*>(*state);
  if (*bytes == 0) return parts.end(request);
  request.too_large = request.too_large || request.body.size() + *bytes > parts.options_.body_bytes;
  // The rest is thrown away, so that the answer reaches a client that sends before it reads.
  if (!request.too_large) request.body.append(data, *bytes);
  *bytes = 0;
  return MHD_YES;
}

MHD_Result HttpSource::Parts::begin(MHD_Connection* connection, std::string_view path,
                                    std::string_view method, std::string_view version, void** state) {
  auto request = std::make_unique<HttpRequest>();
  request->connection = connection;
  request->number = next_number_++;
  if (refuse_headers(connection, version, *request)) {
    // One whose end would never come is answered before it.
  } else if (path != options_.path) {
    request->status = MHD_HTTP_NOT_FOUND;
    request->answer = fmt::format("events are taken at {}\n", options_.path);
  } else if (method != MHD_HTTP_METHOD_POST) {
    request->status = MHD_HTTP_METHOD_NOT_ALLOWED;
    request->answer = "events are taken by POST\n";
  } else {
    look_at_body(connection, *request, options_.body_bytes);
  }
  HttpRequest& begun = *request;
  *state = &begun;
  requests_.emplace(&begun, std::move(request));
  const bool is_refused = begun.status != 0 || begun.too_large || draining_;
  const bool ends_here =
      begun.status == MHD_HTTP_NOT_IMPLEMENTED || (is_refused && waits_for_leave(connection, version));
  return ends_here ? end(begun) : MHD_YES;
}

// The request has come whole, or has its answer.
MHD_Result HttpSource::Parts::end(HttpRequest& request) {
  HttpPeers::note_answering(request.connection, true);
  if (request.status == 0 && request.too_large) {
    request.status = MHD_HTTP_CONTENT_TOO_LARGE;
    request.answer = fmt::format("a body has {} bytes at most\n", options_.body_bytes);
  }
  if (request.status == 0 && draining_) {
    request.status = MHD_HTTP_SERVICE_UNAVAILABLE;
    request.answer = "the pipeline comes to its end\n";
  }
  if (request.status != 0) {
    limit_quiet(request.connection, idle_limit_of(options_));
    return respond(request.connection, request.status, request.answer);
  }
  request.handed_over = true;
  // The library would read from it before it asks for its answer, and give up a client that has ended its side. Not from
  // those whose limit is another than the daemon's: it looks after them first.
  limit_quiet(request.connection, idle_limit_of(options_) + std::chrono::seconds{1});
  MHD_suspend_connection(request.connection);
  waiting_.push_back(&request);
  return MHD_YES;
}

void HttpSource::Parts::take(HttpRequest& request, Output<Frame>& out) {
  const std::vector<std::string_view> events = events_in(request.body, options_.lines);
  const std::uint64_t room = out.most_body_bytes() + sizeof(FrameHead) + ipc::kRecordHeaderBytes;
  if (bytes_of(events) > room) {
    return answer(request, MHD_HTTP_CONTENT_TOO_LARGE,
                  fmt::format("{} events are more than a lane of {} bytes holds\n", events.size(), room));
  }
  FrameHead head;
  head.connection = request.number;
  HttpPeers::text_of(request.connection).copy(head.peer, sizeof(head.peer) - 1);
  for (const std::string_view event : events) {
    ++head.sequence;
    out.push(head, event);
  }
  request.answer = fmt::format("{}\n", events.size());
  // Behind the pushes: a commit in their midst does not have them. Without events it needs none, and has none.
  if (events.empty()) return answer(request, MHD_HTTP_OK, request.answer);
  taken_.push_back(&request);
}

// The next so many. Until then they are suspended, and none of them ends.
void HttpSource::Parts::answer_safe(std::size_t count) {
  for (; count != 0; --count) {
    HttpRequest* request = safe_.front();
    safe_.pop_front();
    answer(*request, MHD_HTTP_OK, request->answer);
  }
}

void HttpSource::Parts::answer(HttpRequest& request, unsigned status, std::string text) {
  request.status = status;
  request.answer = std::move(text);
  if (std::exchange(request.handed_over, false)) MHD_resume_connection(request.connection);
}

void HttpSource::Parts::completed(void* self, MHD_Connection* connection, void** state,
                                  MHD_RequestTerminationCode) {
  Parts& parts = *static_cast<Parts*>(self);
  auto* request = static_cast<HttpRequest*>(*state);
  if (request == nullptr) return;
  // A connection that is suspended cannot end; at a stop all are resumed first.
  std::erase(parts.waiting_, request);
  std::erase(parts.taken_, request);
  parts.requests_.erase(request);
  *state = nullptr;
  HttpPeers::note_answering(connection, false);
}

HttpSource::HttpSource(Worker& worker, const Listener& listener, const HttpSourceOptions& options)
    : parts_{std::make_unique<Parts>(worker, listener, options)} {}
HttpSource::~HttpSource() = default;

SourceState HttpSource::operator()(Output<Frame>& out) {
  return parts_->call(out);
}

void HttpSource::finish(Output<Frame>&) {
  parts_->finish();
}

}  // namespace sluice
