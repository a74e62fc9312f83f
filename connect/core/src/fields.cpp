// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/fields.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

constexpr std::size_t kShownBytes = 40;  // Of a wrong value in a fault.
constexpr int kMostDigits = 18;

std::string shown(std::string_view text) {
  const std::string_view cut = cut_text(text, kShownBytes);
  std::string shown = printable(cut);
  if (cut.size() < text.size()) shown += "...";
  return shown;
}

// A number of type Number from all of `text`.
template <class Number>
bool store_all(std::string_view text, std::byte* into) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  std::memcpy(into, &value, sizeof(value));
  return true;
}

bool store_signed(std::string_view text, std::size_t bytes, std::byte* into) {
  switch (bytes) {
    case 1:
      return store_all<std::int8_t>(text, into);
    case 2:
      return store_all<std::int16_t>(text, into);
    case 4:
      return store_all<std::int32_t>(text, into);
    default:
      return store_all<std::int64_t>(text, into);
  }
}

bool store_unsigned(std::string_view text, std::size_t bytes, std::byte* into) {
  switch (bytes) {
    case 1:
      return store_all<std::uint8_t>(text, into);
    case 2:
      return store_all<std::uint16_t>(text, into);
    case 4:
      return store_all<std::uint32_t>(text, into);
    default:
      return store_all<std::uint64_t>(text, into);
  }
}

std::size_t digits_at(std::string_view text, std::size_t begin) noexcept {
  std::size_t end = begin;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9')
    ++end;
  return end - begin;
}

// std::from_chars alone takes "nan", "inf", "1." and ".5", too.
bool store_number(std::string_view text, std::size_t bytes, std::byte* into) {
  if (!is_number(text)) return false;
  return bytes == sizeof(float) ? store_all<float>(text, into) : store_all<double>(text, into);
}

// [-]digits[.digits] as units of 10^-digits; what is wrong, nullptr if nothing is.
const char* store_scaled(std::string_view text, int digits, std::byte* into) {
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string units{text.substr(0, point)};
  std::string_view fraction = text.substr(std::min(point + 1, text.size()));
  if (point < text.size() && fraction.empty()) return "is no number";
  const auto is_digit = [](char byte) { return byte >= '0' && byte <= '9'; };
  const std::string_view whole = std::string_view{units}.substr(units.starts_with('-') ? 1 : 0);
  if (whole.empty() || !std::all_of(whole.begin(), whole.end(), is_digit) ||
      !std::all_of(fraction.begin(), fraction.end(), is_digit)) {
    return "is no number without an exponent";
  }
  const auto wanted = static_cast<std::size_t>(digits);
  if (fraction.size() > wanted) {
    if (fraction.find_first_not_of('0', wanted) != std::string_view::npos)
      return "has too many digits behind the point";
    fraction = fraction.substr(0, wanted);
  }
  units.append(fraction);
  units.append(wanted - fraction.size(), '0');
  return store_all<std::int64_t>(units, into) ? nullptr : "is too large";
}

std::string store_characters(const FieldPlace& place, std::string_view text, std::byte* into) {
  if (text.size() > place.bytes)
    return fmt::format("{} bytes, more than {}: {}", text.size(), place.bytes, shown(text));
  if (text.find('\0') != std::string_view::npos) return "it holds a zero byte";
  std::memset(into, 0, place.bytes);
  if (!text.empty()) std::memcpy(into, text.data(), text.size());
  return {};
}

std::string store_integer(const FieldPlace& place, std::string_view text, std::byte* into) {
  const bool is_signed = place.kind == FieldKind::signed_integer;
  if (is_signed ? store_signed(text, place.bytes, into) : store_unsigned(text, place.bytes, into)) return {};
  return fmt::format("no whole number of {} bits{}: {}", 8 * place.bytes,
                     is_signed ? "" : " and not negative", shown(text));
}

}  // namespace

void check_fields(const std::vector<NamedField>& fields) {
  for (const NamedField& field : fields) {
    const auto same = [&](const NamedField& other) { return other.name == field.name; };
    if (std::count_if(fields.begin(), fields.end(), same) > 1)
      throw Error{{"declare the field", field.name, "it is declared twice", "declare each once"}};
    if (field.place.digits < 0 || field.place.digits > kMostDigits) {
      throw Error{{"declare the field", field.name, fmt::format("it has {} digits", field.place.digits),
                   "use 0 to 18"}};
    }
  }
}

bool is_number(std::string_view text) noexcept {
  std::size_t at = text.starts_with('-') ? 1 : 0;
  const std::size_t whole = digits_at(text, at);
  if (whole == 0) return false;
  at += whole;
  if (at < text.size() && text[at] == '.') {
    const std::size_t behind = digits_at(text, at + 1);
    if (behind == 0) return false;
    at += 1 + behind;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t exponent = digits_at(text, at);
    if (exponent == 0) return false;
    at += exponent;
  }
  return at == text.size();
}

std::string store_text(const FieldPlace& place, std::string_view text, std::byte* object) {
  std::byte* into = object + place.offset;
  switch (place.kind) {
    case FieldKind::text:
      return store_characters(place, text, into);
    case FieldKind::signed_integer:
    case FieldKind::unsigned_integer:
      return store_integer(place, text, into);
    case FieldKind::scaled: {
      const char* wrong = store_scaled(text, place.digits, into);
      if (wrong == nullptr) return {};
      return fmt::format("it {} ({} are kept): {}", wrong, place.digits, shown(text));
    }
    case FieldKind::boolean:
      if (text != "true" && text != "false" && text != "1" && text != "0")
        return fmt::format("it is not true or false: {}", shown(text));
      store_flag(place, text == "true" || text == "1", object);
      return {};
    case FieldKind::number:
      if (store_number(text, place.bytes, into)) return {};
      return fmt::format("it is no number that {} bits hold: {}", 8 * place.bytes, shown(text));
  }
  return "it is of no kind";
}

void store_flag(const FieldPlace& place, bool flag, std::byte* object) {
  std::memcpy(object + place.offset, &flag, sizeof(flag));
}

}  // namespace sluice::detail
