// SPDX-License-Identifier: Apache-2.0
// A line of JSON that holds one object, read strictly: what `sluice deaths` and `sluice dead import` take. Pure; one thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::command {

struct JsonValue {
  enum class Kind { null, flag, number, text, list, object };

  Kind kind = Kind::null;
  std::string text;                // Of a text what it says; of anything else as `json`.
  std::vector<std::string> items;  // Of a list, each as `text` has it.
  std::string json;                // The same value once more, with nothing in it that drives a terminal.
};

// What is wrong with a line, and at which byte.
struct JsonFault {
  std::string why;
};

class JsonObject {
 public:
  // Throws JsonFault for what is no object, more than one, nested too deep, no UTF-8, or cut off.
  explicit JsonObject(std::string_view line);

  const std::vector<std::pair<std::string, JsonValue>>& members() const noexcept { return members_; }
  // nullptr: there is none of that name. Of several it is the last.
  const JsonValue* find(std::string_view name) const noexcept;
  // What it says, as a text; empty if there is none or it is null.
  std::string text(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, JsonValue>> members_;
};

}  // namespace sluice::command
