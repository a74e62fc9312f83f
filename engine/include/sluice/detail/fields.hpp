// SPDX-License-Identifier: Apache-2.0
// Fields: what a type is, as a text that can be kept beside its bytes and compared when they are read again.
//
// The name as the compiler spells it, the members of an aggregate as far as they can be seen from outside, size and
// alignment. Members are found by trying what initialises them: numbers are told apart, a class among the members is
// seen by its first number, one with a constructor is "other".
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <sluice/detail/elsewhere.hpp>
#include <sluice/detail/event_type.hpp>

namespace sluice::detail {

// Stand for the initialisers of a member that is an S, and of one that is of any enumeration.
template <class S>
struct ExactInitialiser {
  template <std::same_as<S> T>
  operator T() const noexcept;
};
struct EnumInitialiser {
  template <class T>
  requires std::is_enum_v<T>
  operator T() const noexcept;
};

template <class T, class Initialiser, std::size_t... Before>
constexpr bool member_takes(std::index_sequence<Before...>) {
  return requires {
    T{(static_cast<void>(Before), AnyInitialiser{})..., Initialiser{}};
  };
}

template <class T, std::size_t Member, class... Numbers>
constexpr std::string_view number_at() {
  using Before = std::make_index_sequence<Member>;
  std::string_view name = member_takes<T, EnumInitialiser>(Before{}) ? "enum" : "other";
  static_cast<void>(
      ((member_takes<T, ExactInitialiser<Numbers>>(Before{}) && (name = type_name<Numbers>(), true)) || ...));
  return name;
}

// Calls say(name) for each member that can be seen, arrays element by element.
template <class T, std::size_t Member, class Say>
void say_members(const Say& say) {
  if constexpr (Member == kMembersLookedAt) {
    say("...");
  } else if constexpr (has_member_after<T>(std::make_index_sequence<Member>{})) {
    say(number_at<T, Member, bool, char, signed char, unsigned char, short, unsigned short, int, unsigned,
                  long, unsigned long, long long, unsigned long long, float, double>());
    say_members<T, Member + 1>(say);
  }
}

// "{long, char x 8}, 16 bytes, aligned to 8"; without the braces for what is no aggregate.
template <class T>
std::string fields_of() {
  std::string text;
  if constexpr (std::is_scalar_v<T>) {
    text.append(type_name<T>()).append(", ");
  } else if constexpr (std::is_class_v<T> && std::is_aggregate_v<T>) {
    std::string_view last;
    std::size_t times = 0;
    const auto flush = [&] {
      if (times == 0) return;
      text.append(text.empty() ? "{" : ", ").append(last);
      if (times > 1) text.append(" x ").append(std::to_string(times));
    };
    say_members<T, 0>([&](std::string_view name) {
      if (name != last) {
        flush();
        last = name;
        times = 0;
      }
      ++times;
    });
    flush();
    if (!text.empty()) text.append("}, ");
  }
  text.append(std::to_string(sizeof(T))).append(" bytes, aligned to ").append(std::to_string(alignof(T)));
  return text;
}

// What T is: its name, unless the user counts versions of it, and its fields.
template <class T>
std::string kind_of(std::uint32_t version) {
  std::string text;
  if (version == 0) {
    text.append(type_name<T>());
  } else {
    text.append("version ").append(std::to_string(version));
  }
  return text.append(": ").append(fields_of<T>());
}

// Of what travels in a lane.
template <class T>
std::string event_fields() {
  if constexpr (is_record<T>) {
    if constexpr (requires(const T& record) { record.head; }) {
      return fields_of<decltype(T::head)>();
    } else {
      return "no head";
    }
  } else {
    return fields_of<T>();
  }
}

}  // namespace sluice::detail
