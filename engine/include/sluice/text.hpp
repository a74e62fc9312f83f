// SPDX-License-Identifier: Apache-2.0
// Text<N>: a short text as a value, for members of events, for keys and for rows of tables.
//
//     struct Payment { std::int64_t cents; sluice::Text<24> account; };
//     payments.by(&Payment::account).to<Book>("book");
//
// As many bytes as N, and nothing else: no length, no zero at the end. All bytes behind the text are zero, so that texts that
// are equal are equal bytes, and one with a zero byte in it there is none. Trivially copyable; any process may read one that
// another has written.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>

#include <sluice/printable.hpp>

namespace sluice {

namespace detail {

// Throws Error: the text does not go into so many bytes, or has a zero byte in it.
[[noreturn]] void refuse_text(std::string_view text, std::size_t most_bytes);

// What stands before the first zero byte.
constexpr std::string_view text_in(std::string_view bytes) noexcept {
  std::size_t length = 0;
  while (length < bytes.size() && bytes[length] != '\0')
    ++length;
  return bytes.substr(0, length);
}

}  // namespace detail

template <std::size_t N>
class Text {  // At most N bytes of text. UTF-8 or not: they are compared and kept as they are.
  static_assert(N > 0, "a text that holds nothing is none");

 public:
  constexpr Text() noexcept = default;
  // Throws Error, which says how long it is, for a text of more than N bytes or with a zero byte in it.
  constexpr Text(std::string_view text) {
    if (!fits(text)) detail::refuse_text(text, N);
    text.copy(bytes_, text.size());
  }
  Text(const std::string& text) : Text{std::string_view{text}} {}
  template <std::same_as<char> Char>
  constexpr Text(const Char* const& text) : Text{std::string_view{text}} {}
  // Up to its first zero byte: a text that fills its array has none.
  template <std::size_t kSize>
  constexpr Text(const char (&text)[kSize]) : Text{detail::text_in(std::string_view{text, kSize})} {}

  // Whether a Text can be made of it: it has at most N bytes, and none of them is zero.
  static constexpr bool fits(std::string_view text) noexcept {
    return text.size() <= N && detail::text_in(text).size() == text.size();
  }
  // As much of the text as there is room for, up to its first zero byte. No character of UTF-8 is cut in two.
  static Text truncated(std::string_view text) { return cut_text(detail::text_in(text), N); }

  // Valid as long as this is.
  constexpr std::string_view view() const noexcept { return detail::text_in({bytes_, N}); }
  constexpr operator std::string_view() const noexcept { return view(); }
  constexpr std::size_t size() const noexcept { return view().size(); }
  constexpr bool empty() const noexcept { return bytes_[0] == '\0'; }
  static constexpr std::size_t capacity() noexcept { return N; }

  friend constexpr bool operator==(const Text& one, const Text& other) noexcept = default;
  // As std::string_view has it: by bytes without a sign, and what goes on is behind what has ended.
  friend constexpr std::strong_ordering operator<=>(const Text& one, const Text& other) noexcept {
    return one.view() <=> other.view();
  }
  // With texts of other kinds and lengths, which need not fit.
  template <std::convertible_to<std::string_view> Other>
  friend constexpr bool operator==(const Text& one, const Other& other) noexcept {
    return one.view() == std::string_view{other};
  }
  template <std::convertible_to<std::string_view> Other>
  friend constexpr std::strong_ordering operator<=>(const Text& one, const Other& other) noexcept {
    return one.view() <=> std::string_view{other};
  }
  friend std::ostream& operator<<(std::ostream& out, const Text& text) { return out << text.view(); }

 private:
  char bytes_[N] = {};
};

}  // namespace sluice
