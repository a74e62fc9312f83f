// SPDX-License-Identifier: Apache-2.0
#include "report_line.hpp"

#include <charconv>

namespace sluice::command {
namespace {

// What is left of a text of JSON. Each function takes what it names off the front, and says whether it was there.
class JsonRest {
 public:
  explicit JsonRest(std::string_view rest) : rest_{rest} {}

  bool take(char wanted) {
    skip_space();
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_text(std::string& text) {
    if (!take('"')) return false;
    while (!rest_.empty()) {
      const char next = rest_.front();
      rest_.remove_prefix(1);
      if (next == '"') return true;
      if (next != '\\') {
        text.push_back(next);
      } else if (!take_escape(text)) {
        return false;
      }
    }
    return false;
  }
  // A number, true, false or null.
  bool take_word(std::string& word) {
    skip_space();
    word = rest_.substr(0, rest_.find_first_of(",]} \t\r\n"));
    rest_.remove_prefix(word.size());
    return !word.empty() && word.find_first_of("\"[{:") == std::string::npos;
  }
  // A list or an object, whatever is in it.
  bool skip_nested() {
    std::size_t depth = 0;
    do {
      skip_space();
      if (rest_.empty()) return false;
      std::string ignored;
      const char next = rest_.front();
      if (next == '"') {
        if (!take_text(ignored)) return false;
        continue;
      }
      rest_.remove_prefix(1);
      if (next == '[' || next == '{') ++depth;
      if (next == ']' || next == '}') --depth;
    } while (depth > 0);
    return true;
  }
  bool nested() {
    skip_space();
    return rest_.starts_with('[') || rest_.starts_with('{');
  }
  bool is_text() {
    skip_space();
    return rest_.starts_with('"');
  }
  bool at_end() {
    skip_space();
    return rest_.empty();
  }

 private:
  void skip_space() {
    const std::size_t space = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(space == std::string_view::npos ? rest_.size() : space);
  }
  bool take_escape(std::string& text) {
    if (rest_.empty()) return false;
    const char next = rest_.front();
    rest_.remove_prefix(1);
    constexpr std::string_view kLetters = "bfnrt";
    constexpr std::string_view kMeant = "\b\f\n\r\t";
    if (next == 'u') return take_number(text);
    const std::size_t known = kLetters.find(next);
    text.push_back(known == std::string_view::npos ? next : kMeant[known]);
    return true;
  }
  // Of what is written so, our lines have control characters alone; anything else is shown as it was written.
  bool take_number(std::string& text) {
    constexpr std::size_t kDigits = 4;
    if (rest_.size() < kDigits) return false;
    const std::string_view digits = rest_.substr(0, kDigits);
    rest_.remove_prefix(kDigits);
    unsigned value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (error != std::errc{} || end != digits.data() + digits.size()) return false;
    if (value < 0x80) {
      text.push_back(static_cast<char>(value));
    } else {
      text.append("\\u").append(digits);
    }
    return true;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<ReportLine> ReportLine::read(std::string_view line) {
  ReportLine found;
  JsonRest rest{line};
  if (!rest.take('{')) return std::nullopt;
  if (rest.take('}')) return rest.at_end() ? std::optional{found} : std::nullopt;
  do {
    std::string name;
    std::string value;
    if (!rest.take_text(name) || !rest.take(':')) return std::nullopt;
    if (rest.nested()) {
      if (!rest.skip_nested()) return std::nullopt;
      continue;
    }
    if (!(rest.is_text() ? rest.take_text(value) : rest.take_word(value))) return std::nullopt;
    found.fields_.emplace_back(std::move(name), std::move(value));
  } while (rest.take(','));
  if (!rest.take('}') || !rest.at_end()) return std::nullopt;
  return found;
}

std::string_view ReportLine::text(std::string_view name) const noexcept {
  for (const auto& [known, value] : fields_) {
    if (known == name) return value;
  }
  return {};
}

std::uint64_t ReportLine::number(std::string_view name) const noexcept {
  const std::string_view value = text(name);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  return error == std::errc{} && end == value.data() + value.size() ? number : 0;
}

}  // namespace sluice::command
