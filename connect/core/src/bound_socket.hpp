// SPDX-License-Identifier: Apache-2.0
// BoundSocket: what Listener and DatagramSocket hold: a socket that is bound to an address, and its file if it has one.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <sys/types.h>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

struct BoundSocket {
  BoundSocket(Descriptor socket, std::string text, std::string file);
  // The file goes with the socket, unless another one has taken its place. The copy in a fork is no owner.
  ~BoundSocket();
  BoundSocket(const BoundSocket&) = delete;
  BoundSocket& operator=(const BoundSocket&) = delete;

  Descriptor fd;
  std::string address;  // With the port that the kernel has chosen.
  std::string path;
  pid_t home;
  ino_t inode = 0;
};

// What is done with a socket: `kind` is SOCK_STREAM or SOCK_DGRAM; `backlog` of the former, `receive_bytes` of the latter, and
// `interface` where it is bound to a group of multicast.
struct SocketUse {
  int kind;
  int backlog = 0;
  int receive_bytes = 0;
  std::string interface = {};
};

// Blocks up to `patience` while another process has the address. Throws Error; Unavailable when the resolver does not answer.
std::shared_ptr<const BoundSocket> bind_socket(const std::string& address, const SocketUse& use,
                                               std::chrono::nanoseconds patience);

}  // namespace sluice::detail
