// SPDX-License-Identifier: Apache-2.0
// SLUICE_ASSERT: an invariant of our own that does not hold ends the process, in builds that look for bugs.
//
// On where CMake's option SLUICE_ASSERTIONS is: the presets dev, asan and tsan. Elsewhere the condition is
// compiled, so that it stays correct, and never evaluated. The option defines the macro for every target of a
// build, and for those that link one, since inline functions must be the same in all of them.
//
// For bugs alone. What a peer, a user or a file has written is input: it is checked always, and refused.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <unistd.h>

#ifndef SLUICE_ASSERTIONS
#define SLUICE_ASSERTIONS 0
#endif

#if SLUICE_ASSERTIONS

namespace sluice::detail {

// Says `text` on standard error and aborts: any process, any thread, also within a signal's handler. Neither
// allocates nor locks; what cannot be written is lost.
[[noreturn]] inline void assertion_failed(std::string_view text) noexcept {
  const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  static_cast<void>(written);
  std::abort();
}

}  // namespace sluice::detail

#define SLUICE_DETAIL_TEXT(token) #token
#define SLUICE_DETAIL_LINE(line) SLUICE_DETAIL_TEXT(line)
// `condition`: a bool, without effects. Costs one test; nothing in builds without assertions.
#define SLUICE_ASSERT(condition)                                                                            \
  ((condition) ? static_cast<void>(0)                                                                       \
               : ::sluice::detail::assertion_failed("sluice: a broken invariant: " #condition " (" __FILE__ \
                                                    ":" SLUICE_DETAIL_LINE(__LINE__) ")\n"))

#else

#define SLUICE_ASSERT(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))

#endif
