// SPDX-License-Identifier: Apache-2.0
// Answers GET and HEAD by HTTP, in the calling thread. What is said to whom is the caller's.
//
// libmicrohttpd reads and writes; it has no thread, and no client can hold up another: requests have no body that is
// kept, connections are bounded in number and in time, and of those that ask for nothing the oldest are closed when they
// become many. An answer may go on for as long as its client reads: a live client.
// These have a bound of their own, and one that has taken nothing for some seconds is dropped.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sluice/connect/listener.hpp>

namespace sluice::command {

// What a request says that anybody asks about; empty where it says nothing.
struct HttpRequest {
  std::string path;   // Without what follows '?'.
  std::string token;  // Of "?token=", decoded.
  std::string authorization;
  std::string cookie;
  std::string host;
  std::string fetch_site;  // Sec-Fetch-Site: whose page it is that asks, as the browser says.
};

// What a live client gets next; empty while there is nothing new for it.
using LiveText = std::function<std::string()>;

struct HttpAnswer {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  LiveText live;  // In place of the body.
};

class HttpServer {
 public:
  static constexpr std::size_t kMostLive = 16;

  // Throws Error when the library cannot be started.
  using Answer = std::function<HttpAnswer(const HttpRequest& request)>;
  HttpServer(const Listener& listener, Answer answer);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Serves what there is to serve, and waits for more that long at most.
  void run_once(std::chrono::milliseconds most);

  // Whether there are live clients at the moment; there may be no more than kMostLive.
  std::size_t live_clients() const noexcept;
  // Those that have taken all they were given are asked anew what there is for them.
  void tell_live_clients();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sluice::command
