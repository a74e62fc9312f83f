// SPDX-License-Identifier: Apache-2.0
#include "json_object.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

#include <sluice/detail/json_parts.hpp>
#include <sluice/printable.hpp>

namespace sluice::command {
namespace {

using Kind = JsonValue::Kind;
using Members = std::vector<std::pair<std::string, JsonValue>>;

constexpr unsigned kMostLevels = 32;

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

// Source: RFC 8259.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_{text} {}

  Members object() {
    Members members;
    blanks();
    take('{');
    list_of('}', [&] {
      blanks();
      std::string name = string();
      blanks();
      take(':');
      members.emplace_back(std::move(name), value(1));
    });
    return members;
  }
  void end() {
    blanks();
    if (at_ != text_.size()) fail("something follows its end");
  }

 private:
  [[noreturn]] void fail(std::string_view why) const {
    throw JsonFault{fmt::format("{} at byte {}", why, at_)};
  }

  char look() const {
    if (at_ == text_.size()) throw JsonFault{"it is cut off"};
    return text_[at_];
  }
  void take(char c) {
    if (look() != c) fail(fmt::format("there is no '{}'", c));
    ++at_;
  }
  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  // Up to `end`, which it takes too.
  template <class One>
  void list_of(char end, const One& one) {
    blanks();
    if (look() == end) return take(end);
    while (true) {
      one();
      blanks();
      if (look() == end) return take(end);
      take(',');
    }
  }

  JsonValue value(unsigned level) {
    if (level > kMostLevels) fail("it is nested too deep");
    blanks();
    switch (look()) {
      case '"':
        return text_value();
      case '[':
        return list(level);
      case '{':
        return inner_object(level);
      default:
        return word();
    }
  }

  JsonValue text_value() {
    JsonValue value{Kind::text, string(), {}, {}};
    value.json = json_text(value.text);
    return value;
  }
  JsonValue list(unsigned level) {
    JsonValue value{Kind::list, {}, {}, {}};
    detail::JsonParts parts;
    take('[');
    list_of(']', [&] {
      const JsonValue item = this->value(level + 1);
      value.items.push_back(item.text);
      parts.add(item.json);
    });
    value.json = value.text = parts.array();
    return value;
  }
  JsonValue inner_object(unsigned level) {
    detail::JsonParts parts;
    take('{');
    list_of('}', [&] {
      blanks();
      const std::string name = json_text(string());
      blanks();
      take(':');
      parts.add(name + ":" + this->value(level + 1).json);
    });
    return {Kind::object, parts.object(), {}, parts.object()};
  }
  JsonValue word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && std::string_view{",]} \t\r"}.find(text_[at_]) == std::string_view::npos)
      ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    const bool cut = at_ == text_.size();
    if (cut) throw JsonFault{"it is cut off"};  // Nothing but an object is whole.
    if (word == "true" || word == "false") return {Kind::flag, std::string{word}, {}, std::string{word}};
    if (word == "null") return {Kind::null, "", {}, "null"};
    at_ = begin;
    if (!is_number(word)) fail("there is no value");
    at_ += word.size();
    return {Kind::number, std::string{word}, {}, std::string{word}};
  }
  static bool is_number(std::string_view word) {
    std::size_t at = word.starts_with('-') ? 1 : 0;
    const auto digits = [&] {
      const std::size_t from = at;
      while (at < word.size() && is_digit(word[at]))
        ++at;
      return at != from;
    };
    const std::size_t first = at;
    if (!digits() || (word[first] == '0' && at > first + 1)) return false;
    if (at < word.size() && word[at] == '.' && (++at, !digits())) return false;
    if (at < word.size() && (word[at] == 'e' || word[at] == 'E')) {
      ++at;
      if (at < word.size() && (word[at] == '+' || word[at] == '-')) ++at;
      if (!digits()) return false;
    }
    return at == word.size();
  }

  std::string string() {
    take('"');
    const std::size_t begin = at_;
    std::string read;
    while (look() != '"') {
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) fail("a text holds a control character");
      if (c == '\\') {
        ++at_;
        escape(read);
      } else {
        read += c;
        ++at_;
      }
    }
    if (!is_utf8(text_.substr(begin, at_ - begin))) fail("a text is no UTF-8 before");
    ++at_;
    return read;
  }
  void escape(std::string& into) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    const char name = look();
    ++at_;
    if (name == 'u') return append(unicode(), into);
    const std::size_t which = kNames.find(name);
    if (which == std::string_view::npos) fail("an escape has no meaning before");
    into += kMeant[which];
  }
  std::uint32_t four_digits() {
    std::uint32_t code = 0;
    for (int digit = 0; digit < 4; ++digit, ++at_) {
      const char c = look();
      const std::size_t lower = std::string_view{"0123456789abcdef"}.find(c);
      const std::size_t upper = std::string_view{"0123456789ABCDEF"}.find(c);
      if (lower == std::string_view::npos && upper == std::string_view::npos) fail("an escape has no digit");
      code = code << 4U | static_cast<std::uint32_t>(lower == std::string_view::npos ? upper : lower);
    }
    return code;
  }
  std::uint32_t unicode() {
    const std::uint32_t code = four_digits();
    if (code < 0xd800 || code > 0xdfff) return code;
    if (code > 0xdbff) fail("half of a character stands alone before");
    take('\\');
    take('u');
    const std::uint32_t low = four_digits();
    if (low < 0xdc00 || low > 0xdfff) fail("half of a character stands alone before");
    return 0x10000 + ((code - 0xd800) << 10U) + (low - 0xdc00);
  }
  static void append(std::uint32_t code, std::string& into) {
    const auto add = [&into](std::uint32_t byte) { into += static_cast<char>(byte); };
    if (code < 0x80) return add(code);
    if (code < 0x800) {
      add(0xc0U | code >> 6U);
    } else {
      if (code < 0x10000) {
        add(0xe0U | code >> 12U);
      } else {
        add(0xf0U | code >> 18U);
        add(0x80U | ((code >> 12U) & 0x3fU));
      }
      add(0x80U | ((code >> 6U) & 0x3fU));
    }
    add(0x80U | (code & 0x3fU));
  }
  // What is none comes out of json_text() as an escape of ours, which the text did not have.
  static bool is_utf8(std::string_view text) {
    std::size_t escapes = 0;
    std::size_t marks = 0;
    const std::string json = json_text(text);
    for (std::size_t at = json.find("\\\\x"); at != std::string::npos; at = json.find("\\\\x", at + 1))
      ++escapes;
    for (std::size_t at = text.find("\\x"); at != std::string_view::npos; at = text.find("\\x", at + 1))
      ++marks;
    return escapes == marks;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

JsonObject::JsonObject(std::string_view line) {
  Reader reader{line};
  members_ = reader.object();
  reader.end();
}

const JsonValue* JsonObject::find(std::string_view name) const noexcept {
  const JsonValue* found = nullptr;
  for (const auto& [each, value] : members_) {
    if (each == name) found = &value;
  }
  return found;
}

std::string JsonObject::text(std::string_view name) const {
  const JsonValue* value = find(name);
  return value == nullptr ? "" : value->text;
}

}  // namespace sluice::command
