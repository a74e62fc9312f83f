// SPDX-License-Identifier: Apache-2.0
// Groups of multicast: addresses whose datagrams come to all sockets that have joined them.
#pragma once

#include <string>

#include "bound_socket.hpp"
#include "socket_address.hpp"

namespace sluice::detail {

// Of the kind's address that was given as `text`: its interface, which is 0 if none was named. A group of IPv6 is bound to that, too.
// Throws Error: a group where connections are wanted, an interface where there is no group, or that is none.
unsigned prepare_group(const std::string& text, SocketAddress& address, const SocketUse& use);

// The socket is bound to the group. Throws Error.
void join_group(int fd, const std::string& text, const SocketAddress& group, unsigned interface);

}  // namespace sluice::detail
