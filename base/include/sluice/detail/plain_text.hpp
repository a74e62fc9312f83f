// SPDX-License-Identifier: Apache-2.0
// Text that has nothing to do with people's languages: names, statements, and numbers in files of the kernel's and of our own.
// Whatever locale a program has chosen, by setlocale() or std::locale::global(), letters are those of ASCII, and a blank ends a
// number: where a blank stands between thousands, as in French, an ordinary stream takes two numbers for one.
//
// Called by any thread of any process.
#pragma once

#include <filesystem>
#include <fstream>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>

namespace sluice::detail {

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_small_letter(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_letter(char c) noexcept {
  return is_small_letter(c) || (c >= 'A' && c <= 'Z');
}
// Blanks, tabs, and what ends lines.
constexpr bool is_blank(char c) noexcept {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
constexpr char to_small(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr char to_capital(char c) noexcept {
  return is_small_letter(c) ? static_cast<char>(c - 'a' + 'A') : c;
}

// As protocols compare words: small letters and capitals are the same.
constexpr bool is_same_word(std::string_view one, std::string_view other) noexcept {
  if (one.size() != other.size()) return false;
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (to_small(one[i]) != to_small(other[i])) return false;
  }
  return true;
}

// To read words and numbers from with >>.
inline std::istringstream words_of(std::string text) {
  std::istringstream words{std::move(text)};
  words.imbue(std::locale::classic());
  return words;
}
inline std::ifstream words_of_file(const std::filesystem::path& path) {
  std::ifstream words;
  words.imbue(std::locale::classic());
  words.open(path);
  return words;
}

}  // namespace sluice::detail
