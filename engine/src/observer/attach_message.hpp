// SPDX-License-Identifier: Apache-2.0
// The attach message: the one message that an observer gets at the observer socket, a mark and the descriptors of
// the description and of the segment's files.
#pragma once

#include <array>
#include <sys/types.h>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

// What an operator asks of a pipeline.
enum class Ask { nothing, park, drain };

// Sends it without waiting. An observer that does not take it has had its chance. `heard` is what it has asked for.
// `segment`: its files, small pages first; -1 for those of huge pages that there are not.
void send_attach_message(int connection, const std::array<int, 3>& segment, int description,
                         Ask heard) noexcept;

struct AttachMessage {
  ssize_t bytes = 0;   // As of recvmsg(): negative with errno set, 0 when the other side has hung up.
  bool whole = false;  // It is what an observer socket gives, with all descriptors.
  Descriptor segment;
  std::array<Descriptor, 2> huge;  // Any others where there is no such file.
  Descriptor description;
  Ask heard = Ask::nothing;
};
// Waits as long as the connection lets it. Nothing is believed of it but what the kernel says.
AttachMessage receive_attach_message(int connection) noexcept;

}  // namespace sluice::detail
