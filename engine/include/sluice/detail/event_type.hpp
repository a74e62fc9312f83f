// SPDX-License-Identifier: Apache-2.0
// EventType: what the engine knows of a type of event, without run-time type information.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <sluice/detail/wire.hpp>
#include <sluice/event.hpp>

namespace sluice::detail {

template <class T>
constexpr const char* text_with_type() noexcept {
  return __PRETTY_FUNCTION__;
}

// The name of T as the compiler spells it, the same wherever one program was compiled by one compiler.
template <class T>
constexpr std::string_view type_name() noexcept {
  // "constexpr const char* sluice::detail::text_with_type() [with T = Item]"; clang leaves out "with".
  std::string_view text = text_with_type<T>();
  constexpr std::string_view kBefore = "T = ";
  text.remove_prefix(text.find(kBefore) + kBefore.size());
  text.remove_suffix(1);
  return text;
}
static_assert(type_name<int>() == "int");

struct EventType {
  bool record = false;
  std::uint64_t bytes = 0;  // Of a fixed-size event; of the head of a record.
  std::string_view name;    // Of the type; static text.

  // Two types of one name and size, from anonymous namespaces of two files, are taken for one.
  bool operator==(const EventType&) const = default;

  template <Event T>
  static constexpr EventType of() noexcept {
    if constexpr (is_record<T>) {
      return {true, sizeof(T) - sizeof(std::span<const std::byte>), type_name<T>()};
    } else {
      return {false, sizeof(T), type_name<T>()};
    }
  }
};

}  // namespace sluice::detail
