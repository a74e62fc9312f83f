// The handout: the one message that an observer gets at the door, a mark and two descriptors.
#pragma once

#include <sys/types.h>

#include "descriptor.hpp"

namespace sluice {

// Sends it without waiting. Who does not take it has had its chance.
void give_handout(int connection, int segment, int description) noexcept;

struct Handout {
  ssize_t bytes = 0;   // As of recvmsg(): negative with errno set, 0 when the other side has hung up.
  bool whole = false;  // It is what a door gives, with both descriptors.
  Descriptor segment;
  Descriptor description;
};
// Waits as long as the connection lets it. Nothing is believed of it but what the kernel says.
Handout take_handout(int connection) noexcept;

}  // namespace sluice
