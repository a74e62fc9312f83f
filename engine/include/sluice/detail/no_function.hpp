// SPDX-License-Identifier: Apache-2.0
// Functions that are none: refused by the call that gets one. A call of it later would be blamed on an event.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include <sluice/error.hpp>

namespace sluice::detail {

// A null pointer, or a std::function that holds nothing.
template <class F>
bool is_no_function(const F& function) noexcept {
  if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F>) {
    return function == nullptr;
  } else if constexpr (requires { function.target_type(); }) {
    return !function;
  } else {
    return false;
  }
}

// Throws Error: "cannot <action> <subject>: the function is empty".
[[noreturn]] inline void refuse_as_no_function(std::string action, std::string subject) {
  throw Error{{std::move(action), std::move(subject), "the function is empty", "give it one"}};
}

template <class F>
void refuse_no_function(const F& function, const char* action, const std::string& subject) {
  if (is_no_function(function)) refuse_as_no_function(action, subject);
}

}  // namespace sluice::detail
