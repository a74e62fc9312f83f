// SPDX-License-Identifier: Apache-2.0
// Elsewhere: types whose bytes are trivially copyable and yet worth nothing in another process, because they
// say where something is. Events, keys and recoverable state are none, and hold none as far as that can be
// seen.
#pragma once

#include <cstddef>
#include <ranges>
#include <type_traits>
#include <utility>

namespace sluice::detail {

template <class T>
concept Elsewhere = std::is_pointer_v<T> || std::ranges::view<T>;

// Stand for the initialisers of an aggregate's members: for one of any type, and for one that is elsewhere.
struct AnyInitialiser {
  template <class T>
  operator T() const noexcept;
};
struct ElsewhereInitialiser {
  template <Elsewhere T>
  operator T() const noexcept;
};

// Whether the member behind the first `Before` of an aggregate exists, and whether it is elsewhere.
template <class T, std::size_t... Before>
constexpr bool has_member_after(std::index_sequence<Before...>) {
  return requires {
    T{(static_cast<void>(Before), AnyInitialiser{})..., AnyInitialiser{}};
  };
}
template <class T, std::size_t... Before>
constexpr bool is_elsewhere_after(std::index_sequence<Before...>) {
  return requires {
    T{(static_cast<void>(Before), AnyInitialiser{})..., ElsewhereInitialiser{}};
  };
}

// Members of arrays count one by one. What comes behind so many of them is not looked at.
inline constexpr std::size_t kMembersLookedAt = 24;

template <class T, std::size_t Member>
constexpr bool member_is_elsewhere() {
  using Before = std::make_index_sequence<Member>;
  if constexpr (Member == kMembersLookedAt || !has_member_after<T>(Before{})) {
    return false;
  } else if constexpr (is_elsewhere_after<T>(Before{})) {
    return true;
  } else {
    return member_is_elsewhere<T, Member + 1>();
  }
}

// T is elsewhere, or an aggregate with a member that is. A class with constructors of its own keeps its
// members to itself, and is trusted.
template <class T>
constexpr bool says_where() {
  if constexpr (Elsewhere<T>) {
    return true;
  } else if constexpr (std::is_class_v<T> && std::is_aggregate_v<T>) {
    return member_is_elsewhere<T, 0>();
  } else {
    return false;
  }
}
template <class T>
inline constexpr bool kSaysWhere = says_where<T>();

}  // namespace sluice::detail
