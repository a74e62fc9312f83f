// SPDX-License-Identifier: Apache-2.0
// TcpServer: a source that serves the connections of a listening socket, TCP or Unix: each frame is an event.
//
//     sluice::Listener listener{"127.0.0.1:7000"};
//     auto payments = sluice::tcp_source(pipeline, "in", listener, {.acknowledge = true});
//     payments.by([](const sluice::Frame& frame) { return frame.head.sender_text(); }).to<Parse>("parse");
//
// One worker serves thousands of connections, in turn: a read of at most 64 KiB and a frame each. What one of them does
// (floods, half frames, silence, lines without an end) costs the others nothing but its turns; one that sends a frame of
// more than `frame_bytes` is told so ("error ...", a line), reported (Worker::report) and closed. The dead are found by
// TCP keepalive, within 90 s. The frames of one connection stay in order.
//
// Without `acknowledge`: what was read from a connection and not committed when the worker dies is lost with the
// connection, and so is what lay in the kernel's buffers; the sender sees its connection break and cannot know what arrived.
//
// With `acknowledge`: exact. A sender says who it is, hears how many of its frames are committed, sends those behind, and
// hears of every commit; all in lines, so that it can be spoken by hand (docs/guide/tcp.md):
//
//     sender: hello ID        1 to 39 letters, digits, '.', '_', ':' or '-'; a line, whatever the framing of frames is. "hello ID
//                             RUN.LIFE" says of which start it is (Worker::life()): a later one of a run keeps its place
//     server: at N            N frames of ID are committed: the next frame of this connection is its number N + 1
//     sender: frames, as many as it likes
//     server: ack N           the first N frames of ID are committed: they will never be asked for again
//     server: bye ...         another connection said hello as ID, or the pipeline ends. What is not acknowledged did not
//                             count
//     server: error ...       the same, and the sender is at fault
//
// The count of each sender is recoverable state, part of the same commit as its frames: a sender that connects again after
// the death of the worker, a takeover or a resume (segment.path), and goes on behind N, neither loses nor doubles a
// frame. A pipeline that begins anew begins at 0. The stage has one worker then. There is a row for each of `senders` IDs,
// which stays; one ID more is refused. An ID is a name and no proof: let only those connect who may use any of them.
//
// A drain takes what whole frames have been read, then ends; a listening TCP socket refuses connections from then on.
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

struct TcpServerOptions {
  Framing framing = Framing::lines;
  bool acknowledge = false;
  // The longest frame that is taken. It must fit into the lanes behind (lane.bytes), else the pipeline ends at its start.
  std::uint32_t frame_bytes = 64 * 1024;
  // Connections at a time; one more is told "error ..." and closed. The worker raises its limit of descriptors as far as it
  // may (RLIMIT_NOFILE, hard); if that is not enough, so many fewer.
  std::uint32_t connections = 10'000;
  // With `acknowledge`: IDs that are remembered, each some 170 bytes of state. A resume may have more.
  std::uint64_t senders = 10'000;
  // A connection that sends nothing for so long is closed; 0: never.
  std::chrono::nanoseconds idle_limit{0};
  // With `acknowledge`: one that has not said hello by then is closed.
  std::chrono::nanoseconds hello_limit = std::chrono::seconds{10};
};

class TcpServer {
 public:
  // In the worker. Throws Error: several workers with `acknowledge`.
  TcpServer(Worker& worker, const Listener& listener, const TcpServerOptions& options);
  ~TcpServer();
  TcpServer(const TcpServer&) = delete;
  TcpServer& operator=(const TcpServer&) = delete;

  // Throws Error when the lanes behind are too small for `frame_bytes`.
  SourceState operator()(Output<Frame>& out);
  bool finish(Output<Frame>& out);

  // What its stage needs: the socket, and state for the senders. The rest is the caller's.
  static StageOptions stage_options(const Listener& listener, const TcpServerOptions& options,
                                    StageOptions more = {});

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Adds the stage `name`, which serves `listener`; several workers (`stage`) only without `acknowledge`.
inline Stream<Frame> tcp_source(Pipeline& pipeline, std::string name, const Listener& listener,
                                const TcpServerOptions& options = {}, StageOptions stage = {}) {
  return pipeline.source<TcpServer>(
      std::move(name), TcpServer::stage_options(listener, options, std::move(stage)), listener, options);
}

}  // namespace sluice
