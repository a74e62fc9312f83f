// SPDX-License-Identifier: Apache-2.0
// JSON for programs, put together from parts: the commas of a list, the names of an object. Texts are written by
// json_text(), in printable.hpp. Pure; one thread.
#pragma once

#include <string>
#include <string_view>

#include <sluice/printable.hpp>

namespace sluice::detail {

class JsonParts {
 public:
  // `part` is JSON already.
  void add(std::string_view part) { text_.append(text_.empty() ? "" : ",").append(part); }
  // The same behind a name. No name of ours needs an escape.
  void member(std::string_view name, std::string_view part) {
    text_.append(text_.empty() ? "\"" : ",\"").append(name).append("\":").append(part);
  }
  void text_member(std::string_view name, std::string_view text) { member(name, json_text(text)); }

  std::string array() const { return enclosed('[', ']'); }
  std::string object() const { return enclosed('{', '}'); }

 private:
  std::string enclosed(char before, char after) const {
    std::string whole(1, before);
    whole.append(text_).append(1, after);
    return whole;
  }

  std::string text_;
};

}  // namespace sluice::detail
