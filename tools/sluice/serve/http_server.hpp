// SPDX-License-Identifier: Apache-2.0
// Answers GET by HTTP, in the calling thread. What is said to whom is the caller's.
//
// libmicrohttpd reads and writes; it has no thread, and no client can hold up another: requests have no body that is
// kept, connections are bounded in number and in time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <sluice/connect/listener.hpp>

namespace sluice::command {

struct HttpAnswer {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  // `answer`: for a path, without what follows '?', and the value of the header Authorization, empty without. Throws
  // Error when the library cannot be started.
  using Answer = std::function<HttpAnswer(const std::string& path, const std::string& authorization)>;
  HttpServer(const Listener& listener, Answer answer);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Serves what there is to serve, and waits for more for a second at most.
  void run_once();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sluice::command
