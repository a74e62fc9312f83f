// SPDX-License-Identifier: Apache-2.0
// ClientConnection: the connection of a TcpClient: bytes out and lines in, each call with a limit of time.
//
// What goes wrong with the connection is thrown as Unavailable, which names the address.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/detail/descriptor.hpp>

#include "socket_address.hpp"

namespace sluice::detail {

class ClientConnection {
 public:
  using Clock = std::chrono::steady_clock;

  // Connects, to the first of the addresses where that is to be had.
  ClientConnection(const std::string& address, std::chrono::nanoseconds limit);
  // With what the name stands for.
  ClientConnection(std::string name, const std::vector<SocketAddress>& addresses,
                   std::chrono::nanoseconds limit);

  // Sends what it can at once, and takes that off `bytes`.
  void send_some(std::string_view& bytes);
  // A whole line that has come, without its end.
  std::optional<std::string> line();
  // The time is over: also of a server that always has something to say.
  void check_time(Clock::time_point until) const;
  // Until there is something to read or, with `to_send`, room to send.
  void wait(bool to_send, Clock::time_point until) const;
  const std::string& address() const noexcept { return address_; }

 private:
  // Empty if it is connected, else why it is not.
  std::string try_to_connect(const SocketAddress& server, Clock::time_point until);
  // False when the time is over.
  bool is_ready(bool to_send, Clock::time_point until) const;
  [[noreturn]] void unavailable(std::string_view why) const;

  std::string address_;
  Descriptor fd_;
  std::string received_;
};

}  // namespace sluice::detail
