// SPDX-License-Identifier: Apache-2.0
// The exception of every set-up failure: what was tried, on which object, why it failed and what to do.
//
// Thrown while a pipeline is described, sized, placed and started, never on the way of an event: the event
// path returns plain values. what() reads "cannot <tried> <object>: <why> (<remedy>)".
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace sluice {

struct ErrorParts {    // What a message is made of.
  std::string tried;   // An infinitive: "open", "create the segment".
  std::string object;  // The thing it was tried on: a path, a setting, a stage.
  std::string why;     // What the kernel or the check said.
  std::string remedy;  // What the reader can do about it; may be empty.
};

class Error : public std::runtime_error {  // What cannot be set up; its text says what to do.
 public:
  explicit Error(ErrorParts parts) : std::runtime_error{sentence(parts)}, parts_{std::move(parts)} {}

  const ErrorParts& parts() const noexcept { return parts_; }

 private:
  static std::string sentence(const ErrorParts& parts) {
    std::string text = "cannot " + parts.tried;
    if (!parts.object.empty()) text += " " + parts.object;
    if (!parts.why.empty()) text += ": " + parts.why;
    if (!parts.remedy.empty()) text += " (" + parts.remedy + ")";
    return text;
  }

  ErrorParts parts_;
};

// The text of an errno value, by default the calling thread's.
inline std::string errno_text(int error_number = errno) {
  return std::generic_category().message(error_number);
}

}  // namespace sluice
