// SPDX-License-Identifier: Apache-2.0
// TcpClient: frames to a server that acknowledges them, each exactly once; a pipeline's own TcpServer, or whatever speaks
// the protocol of docs/guide/tcp.md.
//
//     class Forward {
//      public:
//       Forward(sluice::Worker& worker) : next_{worker, "10.0.0.7:7000"} {}
//       void operator()(const sluice::Bytes& line) { next_.send(line.text()); }
//      private:
//       sluice::TcpClient next_;
//     };
//
// A frame that a handler sends is put into an outbox, which is recoverable state, with its number. After the commit the
// outbox is sent, and the worker waits for the acknowledgement. A replacement asks the server how far it has come and goes
// on behind that. So a frame is sent if its event is committed, and counts once, whatever dies here or there, as long as
// the server keeps its counts. With a server that does not, or leaves out what it has seen by itself, `event_ids` puts the
// event's id in front of each frame.
//
// While the server is away, or does not acknowledge, the stage waits outside (Unavailable); nothing is lost. A server that
// knows fewer frames than it has acknowledged, or more than were sent, and one that finds a frame too large, end the pipeline
// with an Error that says so. Without acknowledgements there is no client: what a broken connection held would be lost.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/connect/frame.hpp>
#include <sluice/event.hpp>
#include <sluice/worker.hpp>

namespace sluice {

struct TcpClientOptions {
  // As whom to say hello: 1 to 39 letters, digits, '.', '_', ':' or '-', no other client's. Empty: one for this worker of
  // this run. With an id of one's own, a pipeline that begins anew is refused by a server that knows the id: its frames
  // would be taken for those that came before.
  std::string id = {};
  Framing framing = Framing::lines;
  bool event_ids = false;  // A frame is "ID FRAME", the id as to_string(EventId) has it.
  // How long the server may take to be connected, and until it acknowledges one frame more.
  std::chrono::nanoseconds call_limit = std::chrono::seconds{10};
};

class TcpClient {
 public:
  // In the handler's constructor; `address` as Listener has it, and of a name each address is tried; a server whose name nobody
  // knows is away. Connects, and sends what a predecessor has left, before it returns. Throws Unavailable, and Error for an address or
  // an id that is none.
  TcpClient(Worker& worker, const std::string& address, TcpClientOptions options = {});
  ~TcpClient();
  TcpClient(const TcpClient&) = delete;
  TcpClient& operator=(const TcpClient&) = delete;

  // Within the handler: `frame` goes when the event is committed. Sends what is there if the outbox (1 MiB) is full. Throws
  // Refused for a frame that holds a line feed where frames are lines, and for one that the outbox cannot hold; Error
  // when the frames of one event are more than it holds.
  void send(std::string_view frame);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// A handler that sends each event: stream.to<sluice::TcpSink>("out", {}, "10.0.0.7:7000").
class TcpSink {
 public:
  TcpSink(Worker& worker, const std::string& address) : client_{worker, address} {}
  TcpSink(Worker& worker, const std::string& address, const TcpClientOptions& options)
      : client_{worker, address, options} {}
  void operator()(const Bytes& frame) { client_.send(frame.text()); }

 private:
  TcpClient client_;
};

}  // namespace sluice
