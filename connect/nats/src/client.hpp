// SPDX-License-Identifier: Apache-2.0
// A connection to a NATS server and its JetStream, for a sink or a source; and how the library's failures become ours.
//
// Made and used in a worker, by its thread; the library has threads of its own behind it. Never in a process that was forked by one
// that has used the library: both, and their siblings, would draw the same names for answers, and hear each other's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nats/nats.h>
#include <string>

#include <sluice/connect/nats_server.hpp>

namespace sluice::detail {

template <auto destroy>
struct NatsDelete {
  template <class T>
  void operator()(T* object) const noexcept {
    destroy(object);
  }
};
using NatsOptionsPtr = std::unique_ptr<natsOptions, NatsDelete<natsOptions_Destroy>>;
using NatsConnectionPtr = std::unique_ptr<natsConnection, NatsDelete<natsConnection_Destroy>>;
using NatsMessagePtr = std::unique_ptr<natsMsg, NatsDelete<natsMsg_Destroy>>;
using NatsSubscriptionPtr = std::unique_ptr<natsSubscription, NatsDelete<natsSubscription_Destroy>>;
using JsContextPtr = std::unique_ptr<jsCtx, NatsDelete<jsCtx_Destroy>>;
using JsStreamInfoPtr = std::unique_ptr<jsStreamInfo, NatsDelete<jsStreamInfo_Destroy>>;
using JsConsumerInfoPtr = std::unique_ptr<jsConsumerInfo, NatsDelete<jsConsumerInfo_Destroy>>;
using JsMetaDataPtr = std::unique_ptr<jsMsgMetaData, NatsDelete<jsMsgMetaData_Destroy>>;

// What it says beside its status, where there is nothing to say.
inline constexpr auto kNoCode = static_cast<jsErrCode>(0);

// What the library says of the last failure of this thread, or what the status means.
std::string nats_text(natsStatus status);

class NatsClient {
 public:
  // `name` is shown by the server. `at_once`: what is sent goes without waiting for more. Throws Unavailable or Error.
  NatsClient(const NatsServer& server, const std::string& name, bool at_once);

  natsConnection* connection() const noexcept { return connection_.get(); }
  jsCtx* jetstream() const noexcept { return jetstream_.get(); }
  // Of the same connection, with what `options` say of publishing.
  JsContextPtr jetstream_with(jsOptions& options) const;
  bool is_lost() const noexcept { return natsConnection_IsClosed(connection_.get()); }
  // "the NATS server at nats://host:4222", without secrets.
  const std::string& where() const noexcept { return where_; }
  std::chrono::milliseconds timeout() const noexcept { return server_.timeout; }

  // The subject of a request to JetStream: "$JS.API.STREAM.NAMES", in the domain of the options.
  std::string api(const std::string& request) const;
  // Null when there is none. Waits for a moment for one that the server is just making, and throws Unavailable then.
  JsStreamInfoPtr find_stream(const std::string& name) const;
  // The same, and one that is not there is an Error.
  JsStreamInfoPtr stream(const std::string& name) const;
  // A message of a stream, whose last one of a subject: null when there is none. nats-server before 2.9.15 crashes when it is asked for
  // a message of a stream that it is just making, so whoever asks does it by these, which look first.
  NatsMessagePtr message(const std::string& stream, std::uint64_t sequence) const;
  NatsMessagePtr last_message(const std::string& stream, const std::string& subject) const;
  // Whether a stream holds a message of these subjects, with * and > as in NATS, from this sequence on.
  bool holds(const std::string& stream, const std::string& subjects, std::uint64_t from) const;

  // Ends the subscription, without whoever reads the connection still handling a message of it: libnats before 3.6 uses one then
  // that is destroyed (nats.c, pull request 638). A round trip; without an answer the connection is closed.
  void end(NatsSubscriptionPtr subscription) const noexcept;
  // What is lost with it is_lost(). Nobody handles messages of it any more.
  void close() const noexcept;

  // JetStream's answer to a request about `object`, a stream, say: Unavailable for what passes, else Error.
  [[noreturn]] void fail(const std::string& tried, const std::string& object, natsStatus status,
                         jsErrCode code) const;
  [[noreturn]] void away(const std::string& why) const;

 private:
  NatsOptionsPtr options(const std::string& name, bool at_once) const;
  void connect(const std::string& name, bool at_once);
  NatsMessagePtr ask(const std::string& stream, const std::string& what,
                     const std::function<natsStatus(natsMsg**, jsErrCode*)>& get) const;
  std::string without_secrets(std::string text) const;

  NatsServer server_;
  std::string where_;
  NatsConnectionPtr connection_;
  JsContextPtr jetstream_;
};

}  // namespace sluice::detail
