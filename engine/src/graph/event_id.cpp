// SPDX-License-Identifier: Apache-2.0
#include "sluice/event_id.hpp"

#include <ostream>

#include <fmt/format.h>

namespace sluice {

std::string to_string(const EventId& id) {
  return fmt::format("{:09x}.{}.{}.{}.{}", id.run(), id.stage(), id.replica(), id.lane(), id.position);
}

std::ostream& operator<<(std::ostream& out, const EventId& id) {
  return out << to_string(id);
}

}  // namespace sluice
