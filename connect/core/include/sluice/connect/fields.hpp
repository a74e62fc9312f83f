// SPDX-License-Identifier: Apache-2.0
// Fields<T>: what a T is made of when it comes as text, declared once for JSON (json.hpp) and CSV (csv.hpp): the names of its
// members, and which must be there.
//
//     struct Payment { std::uint64_t number; std::int64_t cents; sluice::Text<16> account; };
//     const sluice::Fields<Payment> kPayment{{"number", &Payment::number},
//                                            {"amount", sluice::scaled(&Payment::cents, 2)},
//                                            {"account", &Payment::account}};
//
// What a member may be, and what is refused:
//   integers       a whole number that fits; nothing is rounded
//   scaled()       an integer that counts units of 10^-digits: with two digits 12.34 is 1234, exactly; more digits than
//                  that are refused, unless they are zeros
//   Decimal        the same with eight digits
//   double, float  the nearest one to a number of digits, with a fraction and an exponent if there are any, as JSON has them:
//                  neither nan nor inf, no point without a digit on each side; one that is too large or too small is refused
//   bool           true or false; of CSV also 1 or 0
//   Text<N>, char[N], std::array<char, N>   text of at most N bytes, without a zero byte; zeros behind it
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <sluice/connect/decimal.hpp>
#include <sluice/text.hpp>

namespace sluice {

namespace detail {

enum class FieldKind : std::uint8_t { signed_integer, unsigned_integer, scaled, boolean, number, text };

// Where a member lies in its struct, and what it is.
struct FieldPlace {
  FieldKind kind;
  std::size_t offset;
  std::size_t bytes;
  int digits;  // Of FieldKind::scaled.
};

struct NamedField {
  std::string name;
  FieldPlace place;
  bool required = true;
};

template <class M>
inline constexpr bool is_text = false;
template <std::size_t kSize>
inline constexpr bool is_text<char[kSize]> = true;
template <std::size_t kSize>
inline constexpr bool is_text<std::array<char, kSize>> = true;
template <std::size_t kSize>
inline constexpr bool is_text<Text<kSize>> = true;

template <class M>
constexpr FieldKind field_kind() {
  if constexpr (std::same_as<M, bool>) {
    return FieldKind::boolean;
  } else if constexpr (std::same_as<M, Decimal>) {
    return FieldKind::scaled;
  } else if constexpr (std::integral<M> && sizeof(M) <= sizeof(std::int64_t)) {
    return std::signed_integral<M> ? FieldKind::signed_integer : FieldKind::unsigned_integer;
  } else if constexpr (std::same_as<M, float> || std::same_as<M, double>) {
    return FieldKind::number;
  } else {
    static_assert(
        is_text<M>,
        "a member that text fills is an integer of at most 64 bits, a Decimal, bool, float, double or "
        "Text<N>");
    return FieldKind::text;
  }
}

template <class T, class M>
std::size_t offset_of(M T::*member) {
  static const T object{};
  return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&(object.*member)) -
                                  reinterpret_cast<const std::byte*>(&object));
}

// Throws Error for a name that is there twice, and for digits that cannot be.
void check_fields(const std::vector<NamedField>& fields);

// Whether it is all digits, perhaps with a minus, a fraction and an exponent: what all text formats here call a number.
bool is_number(std::string_view text) noexcept;

// Fills the member of the object from all of `text`. What is wrong with it, to be read behind the field's name: "it is no
// number that 64 bits hold: 12x"; empty when nothing is.
std::string store_text(const FieldPlace& place, std::string_view text, std::byte* object);
void store_flag(const FieldPlace& place, bool flag, std::byte* object);

}  // namespace detail

// An integer member that counts units of 10^-digits, 0 to 18.
template <class T>
detail::FieldPlace scaled(std::int64_t T::*member, int digits) {
  return {detail::FieldKind::scaled, detail::offset_of(member), sizeof(std::int64_t), digits};
}

// A value; copies are the same. Throws Error for two fields of one name, and for digits that cannot be.
template <class T>
class Fields {
  static_assert(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T>,
                "what text is read into is an event or the head of a record: a trivially copyable value");

 public:
  struct Field {  // A column of the text, and the member that it is read into.
    template <class M>
    Field(std::string name, M T::*member, bool required = true)
        : named{std::move(name),
                {detail::field_kind<M>(), detail::offset_of(member), sizeof(M), kDecimalDigits},
                required} {}
    Field(std::string name, detail::FieldPlace place, bool required = true)
        : named{std::move(name), place, required} {}

    detail::NamedField named;
  };

  // A field that is not `required` keeps the value it has in T{} when it is missing.
  Fields(std::initializer_list<Field> fields) {
    named_.reserve(fields.size());
    for (const Field& field : fields)
      named_.push_back(field.named);
    detail::check_fields(named_);
  }

  const std::vector<detail::NamedField>& named() const noexcept { return named_; }

 private:
  std::vector<detail::NamedField> named_;
};

}  // namespace sluice
