// SPDX-License-Identifier: Apache-2.0
// Whether a pair of sockets carries anything: a filter of system calls may grant the pair and deny what is done with it.
#pragma once

#include <string_view>
#include <sys/socket.h>

namespace sluice::detail {

// Sends a word through a pair that nobody else uses yet, and takes it. Which call is refused, with errno; empty when none is.
inline std::string_view refused_call_of_sockets(int sending, int receiving) noexcept {
  char word = 0;
  if (::send(sending, &word, sizeof(word), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return "sendto";
  if (::recv(receiving, &word, sizeof(word), MSG_DONTWAIT) < 0) return "recvfrom";
  return {};
}

}  // namespace sluice::detail
