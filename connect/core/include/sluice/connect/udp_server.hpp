// SPDX-License-Identifier: Apache-2.0
// UdpServer: a source whose events are the datagrams of a socket, UDP or Unix.
//
//     sluice::DatagramSocket socket{"*:5000"};
//     auto readings = sluice::udp_source(pipeline, "in", socket);
//
// Nothing is exact here: a datagram that is lost on its way, or comes twice, cannot be known. What the kernel drops since its
// buffer is full it counts, and the count is reported (Worker::report) when the next datagram comes, once in a second at most,
// by the first worker of the stage for all of them; so are those that are longer than `frame_bytes`, by whoever takes them, which
// are dropped whole. The socket is the pipeline's: while a worker is replaced datagrams wait in the kernel's buffer. What was read
// and not committed when a worker dies is lost: one batch at most. A drain leaves what lies in the buffer.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <sluice/connect/frame.hpp>
#include <sluice/handler.hpp>
#include <sluice/output.hpp>
#include <sluice/pipeline.hpp>
#include <sluice/worker.hpp>

namespace sluice {

namespace detail {
struct BoundSocket;
}

struct DatagramSocketOptions {
  // Of the kernel's buffer; it gives at most net.core.rmem_max.
  std::uint32_t receive_bytes = 8U << 20;
  // How long to try while another process has the address.
  std::chrono::nanoseconds patience = std::chrono::seconds{5};
  // Of an address of multicast: where its datagrams come in, "eth0" say; empty: where the kernel would send them.
  std::string interface = {};
};

// In the host, before the start; addresses and errors as those of Listener. An address of multicast, "239.1.2.3:5000" or
// "[ff05::1:3]:5000", is a group: the socket joins it, and gets what is sent to it, as all other sockets of it do.
class DatagramSocket {
 public:
  explicit DatagramSocket(const std::string& address, const DatagramSocketOptions& options = {});

  const std::string& address() const noexcept;
  int descriptor() const noexcept;

 private:
  std::shared_ptr<const detail::BoundSocket> socket_;
};

struct UdpServerOptions {
  // The longest datagram that is taken; it must fit into the lanes behind (lane.bytes).
  std::uint32_t frame_bytes = 65'536;
};

// The frame is the datagram, which may be empty. FrameHead::sequence counts what this worker has pushed.
class UdpServer {
 public:
  UdpServer(Worker& worker, const DatagramSocket& socket, const UdpServerOptions& options);
  ~UdpServer();
  UdpServer(const UdpServer&) = delete;
  UdpServer& operator=(const UdpServer&) = delete;

  // Throws Error when the lanes behind are too small for `frame_bytes`, or the socket breaks.
  SourceState operator()(Output<Frame>& out);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Adds the stage `name`; several workers share the socket.
inline Stream<Frame> udp_source(Pipeline& pipeline, std::string name, const DatagramSocket& socket,
                                const UdpServerOptions& options = {}, StageOptions stage = {}) {
  stage.descriptors.push_back(socket.descriptor());
  return pipeline.source<UdpServer>(std::move(name), std::move(stage), socket, options);
}

}  // namespace sluice
