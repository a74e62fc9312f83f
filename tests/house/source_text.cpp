// SPDX-License-Identifier: Apache-2.0
#include "source_text.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace sluice::house {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Replaces text[from, to) by spaces, but for line breaks.
void blank(std::string& text, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < std::min(to, text.size()); ++i) {
    if (text[i] != '\n') text[i] = ' ';
  }
}

// Behind the end of what begins at `from` and ends with `close`.
std::size_t behind(std::string_view text, std::string_view close, std::size_t from) {
  const std::size_t at = text.find(close, from);
  return at == std::string_view::npos ? text.size() : at + close.size();
}

// Behind the quote that ends the literal whose first quote is at `open`.
std::size_t behind_literal(std::string_view text, std::size_t open) {
  for (std::size_t i = open + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == text[open])
      return i + 1;
  }
  return text.size();
}

// Behind a preprocessor line and the lines that continue it.
std::size_t behind_directive(std::string_view text, std::size_t from) {
  std::size_t end = text.find('\n', from);
  while (end != std::string_view::npos && text[end - 1] == '\\')
    end = text.find('\n', end + 1);
  return std::min(end, text.size());
}

// How far what stands at `at` and is no code goes: `at` itself if it is code.
std::size_t end_of_no_code(std::string_view text, std::size_t at, bool line_begins) {
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("//")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) return behind(text, "*/", at + 2);
  if (rest.front() == '#' && line_begins) return behind_directive(text, at);
  if (rest.front() == '"') {
    if (at == 0 || text[at - 1] != 'R') return behind_literal(text, at);
    const std::size_t paren = text.find('(', at);
    std::string close{")"};
    close.append(text.substr(at + 1, paren - at - 1)).push_back('"');
    return behind(text, close, paren);
  }
  // Between digits it is a separator: 50'000.
  if (rest.front() == '\'' && (at == 0 || !is_word(text[at - 1]))) return behind_literal(text, at);
  return at;
}

// Follows the braces of a file, and remembers the statement that a brace may belong to.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_{text}, code_{code_of(text)} {}

  std::vector<Function> functions() {
    for (at_ = 0; at_ < code_.size(); ++at_)
      take(code_[at_]);
    return found_;
  }

 private:
  enum class Kind { scope, function, other };

  void take(char c) {
    const bool in_scope = open_.empty() || open_.back() == Kind::scope;
    if (c == '{') {
      const Kind kind = in_scope && parens_ == 0 ? kind_of_brace() : Kind::other;
      open_.push_back(kind);
      if (kind == Kind::scope) begin_ = std::string::npos;
    } else if (c == '}') {
      close();
    } else if (in_scope) {
      take_in_scope(c);
    }
  }

  void take_in_scope(char c) {
    if (begin_ == std::string::npos && std::isspace(static_cast<unsigned char>(c)) == 0) begin_ = at_;
    if (c == '(') ++parens_;
    if (c == ')') --parens_;
    if (parens_ == 0 && (c == ';' || (c == ':' && ends_an_access_specifier()))) begin_ = std::string::npos;
  }

  void close() {
    if (open_.empty()) return;
    const Kind kind = open_.back();
    open_.pop_back();
    if (!open_.empty() && open_.back() != Kind::scope) return;
    if (kind == Kind::scope) begin_ = std::string::npos;
    if (kind != Kind::function) return;
    // A member that a constructor initializes, in front of the next or of the body.
    const std::size_t next = code_.find_first_not_of(" \n", at_ + 1);
    if (next != std::string::npos && (code_[next] == ',' || code_[next] == '{')) return;
    const std::size_t first = line_of(begin_);
    found_.push_back({std::string{text_.substr(begin_, text_.find('\n', begin_) - begin_)}, first,
                      line_of(at_) - first + 1});
    begin_ = std::string::npos;
  }

  std::string_view statement() const {
    return begin_ == std::string::npos ? std::string_view{}
                                       : std::string_view{code_}.substr(begin_, at_ - begin_);
  }

  bool ends_an_access_specifier() const {
    const std::string_view words = statement();
    return words == "public" || words == "private" || words == "protected";
  }

  // What the brace at `at_` begins, by the statement in front of it.
  Kind kind_of_brace() const {
    const std::string_view words = without_template_head(statement());
    for (const std::string_view word :
         std::array<std::string_view, 5>{"namespace", "inline namespace", "class", "struct", "union"}) {
      if (words.starts_with(word) && !is_word(words.substr(word.size()).front())) return Kind::scope;
    }
    const std::size_t paren = words.find('(');
    if (words.starts_with("extern") && paren == std::string_view::npos) return Kind::scope;
    if (paren == std::string_view::npos || words.starts_with("enum")) return Kind::other;
    const bool initializer = words.substr(0, paren).find('=') != std::string_view::npos;
    return initializer && words.find("operator") == std::string_view::npos ? Kind::other : Kind::function;
  }

  static std::string_view without_template_head(std::string_view words) {
    while (words.starts_with("template")) {
      int depth = 0;
      std::size_t end = words.find('<');
      for (; end < words.size(); ++end) {
        if (words[end] == '<') ++depth;
        if (words[end] == '>' && --depth == 0) break;
      }
      const std::size_t next = words.find_first_not_of(" \n", std::min(end, words.size() - 1) + 1);
      words.remove_prefix(std::min(next, words.size()));
    }
    return words;
  }

  std::size_t line_of(std::size_t position) const {
    return 1 + static_cast<std::size_t>(
                   std::count(code_.begin(), code_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
  }

  std::string_view text_;
  std::string code_;
  std::size_t at_ = 0;
  std::size_t begin_ = std::string::npos;  // Of the statement that has begun in the scope.
  int parens_ = 0;
  std::vector<Kind> open_;
  std::vector<Function> found_;
};

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string code_of(std::string_view text) {
  std::string code{text};
  bool line_begins = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = end_of_no_code(text, at, line_begins);
    if (end > at) {
      blank(code, at, end);
      at = end;
      continue;
    }
    if (text[at] == '\n')
      line_begins = true;
    else if (std::isspace(static_cast<unsigned char>(text[at])) == 0)
      line_begins = false;
    ++at;
  }
  return code;
}

std::vector<Function> functions_of(std::string_view text) {
  return Scanner{text}.functions();
}

}  // namespace sluice::house
