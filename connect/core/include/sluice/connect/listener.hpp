// SPDX-License-Identifier: Apache-2.0
// Listener: a listening socket, opened by the host before the start and kept open by the pipeline.
//
// All processes of a pipeline that need it have the same socket: while a worker that serves it is replaced, connections
// wait in the kernel's queue (`backlog`) and none is refused. It is closed when the last copy of the Listener is gone,
// which includes the pipeline and the engine that were given it, and the pipeline's processes are. So a host that parks
// and goes away refuses connections until it is back; the next one opens the socket again.
#pragma once

#include <chrono>
#include <memory>
#include <string>

namespace sluice {

namespace detail {
struct BoundSocket;
}

struct ListenerOptions {
  // Connections that wait to be taken; the kernel cuts it to net.core.somaxconn.
  int backlog = 4096;
  // How long to try while another process has the address: those of a host that was killed take a moment to end.
  std::chrono::nanoseconds patience = std::chrono::seconds{5};
};

class Listener {
 public:
  // `address`: "127.0.0.1:7000", "[::1]:7000", "localhost:7000", "*:7000" for all of this machine's, port 0 for one that is
  // free; "unix:/run/app/in.sock", which replaces a socket that no process listens at any more, or "unix:@name" for one
  // without a file. In the host, before the start. Blocks up to `patience`. Throws Error: what is no address, what another
  // process has, what is not permitted; Unavailable when the resolver does
  // not answer.
  explicit Listener(const std::string& address, const ListenerOptions& options = {});

  // With the port that the kernel has chosen.
  const std::string& address() const noexcept;
  // For StageOptions::descriptors.
  int descriptor() const noexcept;

 private:
  std::shared_ptr<const detail::BoundSocket> socket_;
};

}  // namespace sluice
