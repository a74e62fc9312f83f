// SPDX-License-Identifier: Apache-2.0
// Connections of one machine with itself.
#pragma once

#include <cstdint>
#include <string_view>

#include <sluice/detail/descriptor.hpp>

namespace sluice::bench {

struct LoopbackListener {
  detail::Descriptor socket;
  std::uint16_t port = 0;
};

// On a port that is free. Throws Error.
LoopbackListener listen_on_loopback();
// Nothing where nobody listens. It does not throw, so that a forked process may call it.
detail::Descriptor connect_to_loopback(std::uint16_t port);

// Of "HOST:PORT".
std::uint16_t port_of(std::string_view address);

}  // namespace sluice::bench
