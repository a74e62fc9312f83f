// SPDX-License-Identifier: Apache-2.0
// HttpSource: a source that takes events by HTTP POST and answers once they are committed. By libmicrohttpd.
//
//     sluice::Listener listener{"127.0.0.1:8080"};
//     auto events = sluice::http_source(pipeline, "in", listener, {.path = "/events"});
//
//     $ curl --data-binary @events.ndjson http://127.0.0.1:8080/events
//     3
//
// Each line of a body is an event (a carriage return before its end is part of it), or the whole body is one. The events of a
// request are one commit: all of them are taken, or none. The answer 200, with their number, comes behind that commit. A request
// that was not answered may have been taken: who sends it again can double it, so this is at least once; for exactly once give
// events a number that a handler knows (a table), or speak to a TcpServer, which counts.
//
// Other answers, each with a line that says why: 404 for another path, 405 for another method than POST, 400 for a body whose
// length is said twice, and for a request of HTTP/1.1 without a Host, or any with two; 411 for a body without Content-Length or
// Transfer-Encoding, 413 for more than `body_bytes` or events that are more than a lane behind the stage holds; 415 for one with
// a Content-Encoding; 501 for another Transfer-Encoding than chunked; 503 in a drain. What is no request of HTTP/1.0 or 1.1 the
// library answers by itself, in HTML (400, 413, 414, 431, 505), or not at all; of a header it knows what stands before a zero byte.
// None of them has an effect. A client that sends "Expect: 100-continue" hears them before it sends its body.
//
// A client that goes in the midst of a request leaves its connection within about a second. One that sends a byte now and then is
// not silent: strangers who would fill all `connections` so are kept away by a proxy.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <sluice/connect/frame.hpp>
#include <sluice/connect/listener.hpp>
#include <sluice/handler.hpp>
#include <sluice/output.hpp>
#include <sluice/pipeline.hpp>
#include <sluice/worker.hpp>

namespace sluice {

struct HttpSourceOptions {
  std::string path = "/";  // As a client asks for it, without escapes.
  // An empty one, and what stands behind the last line feed if that is nothing, is no event.
  bool lines = true;
  std::uint32_t body_bytes = 256 * 1024;
  // At a time; more wait to be taken, which is reported (Worker::report), once a minute at most. The worker raises its limit of
  // descriptors as far as it may (RLIMIT_NOFILE, hard); if that is not enough, so many fewer.
  std::uint32_t connections = 500;
  // A connection that is silent for so long is closed; 0: never.
  std::chrono::seconds idle_limit = std::chrono::seconds{60};
};

// FrameHead::connection is the number of the request, ::sequence that of the event in it, from 1.
class HttpSource {
 public:
  // In the worker. Throws Error when the server cannot be started: a path without a slash in front, no descriptors.
  HttpSource(Worker& worker, const Listener& listener, const HttpSourceOptions& options);
  ~HttpSource();
  HttpSource(const HttpSource&) = delete;
  HttpSource& operator=(const HttpSource&) = delete;

  SourceState operator()(Output<Frame>& out);
  void finish(Output<Frame>& out);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Adds the stage `name`; several workers (`stage`) share the listener.
inline Stream<Frame> http_source(Pipeline& pipeline, std::string name, const Listener& listener,
                                 const HttpSourceOptions& options = {}, StageOptions stage = {}) {
  stage.descriptors.push_back(listener.descriptor());
  return pipeline.source<HttpSource>(std::move(name), std::move(stage), listener, options);
}

}  // namespace sluice
