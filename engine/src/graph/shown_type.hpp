// SPDX-License-Identifier: Apache-2.0
// The name of a type of event, for people: as they write it. What is compared and kept has the compiler's.
#pragma once

#include <string_view>

#include <sluice/detail/event_type.hpp>
#include <sluice/event.hpp>

namespace sluice::detail {

// "sluice::Bytes" for what the compiler calls sluice::Record<sluice::NoHead>; others as they are.
constexpr std::string_view shown_type(std::string_view name) noexcept {
  return name == type_name<Bytes>() ? "sluice::Bytes" : name;
}

}  // namespace sluice::detail
