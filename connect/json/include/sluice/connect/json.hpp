// SPDX-License-Identifier: Apache-2.0
// Json<T>: how a JSON object becomes an event, declared once: its members, their names, and which must be there.
//
//     struct Payment { std::uint64_t number; std::int64_t cents; char account[16]; };
//     const sluice::Json<Payment> kPayment{{"number", &Payment::number},
//                                          {"amount", sluice::scaled(&Payment::cents, 2)},
//                                          {"account", &Payment::account}};
//     lines.to<sluice::FromJson<Payment>>("parse", kPayment);
//
// What a member may be, and what is refused:
//   integers       a number without fraction and exponent that fits; nothing is rounded
//   scaled()       an integer that counts units of 10^-digits: 12.34 and "12.34" with two digits are 1234, exactly; more
//                  digits than that are refused, unless they are zeros
//   Decimal        the same with eight digits
//   bool, double, float
//   char[N], std::array<char, N>   text of at most N bytes, without a zero byte; zeros behind it
//
// Every object is checked whole, also what no member takes: text that is not UTF-8, a broken value, something behind the
// object. Members that are not declared are passed over; of two of one name the last counts. null is as if it were not
// there. Sizes are in bytes. On simdjson: up to 4 GB of one object, 1,024 levels deep.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <sluice/connect/decimal.hpp>
#include <sluice/event.hpp>
#include <sluice/output.hpp>
#include <sluice/refused.hpp>

namespace sluice {

namespace detail {

enum class JsonKind : std::uint8_t { signed_integer, unsigned_integer, scaled, boolean, number, text };

// Where a member lies in its struct, and how it is written.
struct JsonMember {
  JsonKind kind;
  std::size_t offset;
  std::size_t bytes;
  int digits;  // Of JsonKind::scaled.
};

template <class M>
constexpr bool is_text = false;
template <std::size_t kSize>
constexpr bool is_text<char[kSize]> = true;
template <std::size_t kSize>
constexpr bool is_text<std::array<char, kSize>> = true;

template <class M>
constexpr JsonKind json_kind() {
  if constexpr (std::same_as<M, bool>) {
    return JsonKind::boolean;
  } else if constexpr (std::same_as<M, Decimal>) {
    return JsonKind::scaled;
  } else if constexpr (std::integral<M>) {
    return std::signed_integral<M> ? JsonKind::signed_integer : JsonKind::unsigned_integer;
  } else if constexpr (std::floating_point<M>) {
    return JsonKind::number;
  } else {
    static_assert(is_text<M>,
                  "a member that JSON fills is an integer, a Decimal, bool, float, double or char[N]");
    return JsonKind::text;
  }
}

template <class T, class M>
std::size_t offset_of(M T::*member) {
  static const T object{};
  return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&(object.*member)) -
                                  reinterpret_cast<const std::byte*>(&object));
}

struct JsonField {
  std::string name;
  JsonMember member;
  bool required = true;
};

// One thread uses it.
class JsonReader {
 public:
  explicit JsonReader(std::vector<JsonField> fields);
  ~JsonReader();

  // Fills `object`, which is zeros before, from `json`; whether all of it is as it should be, or why not: valid until the next call.
  bool read(std::string_view json, std::byte* object);
  const std::string& fault() const noexcept { return fault_; }

 private:
  class Parser;
  std::vector<JsonField> fields_;
  std::unique_ptr<Parser> parser_;
  std::string fault_;
};

}  // namespace detail

// An integer member that counts units of 10^-digits, 0 to 18.
template <class T>
detail::JsonMember scaled(std::int64_t T::*member, int digits) {
  return {detail::JsonKind::scaled, detail::offset_of(member), sizeof(std::int64_t), digits};
}

// What an object must have to become a T. A value; copies are the same.
template <class T>
class Json {
  static_assert(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T>,
                "what JSON is read into is an event or the head of a record: a trivially copyable value");

 public:
  struct Member {
    template <class M>
    Member(std::string name, M T::*member, bool required = true)
        : field{std::move(name),
                {detail::json_kind<M>(), detail::offset_of(member), sizeof(M), kDecimalDigits},
                required} {}
    Member(std::string name, detail::JsonMember member, bool required = true)
        : field{std::move(name), member, required} {}

    detail::JsonField field;
  };

  // A member that is not `required` keeps the value it has in T{} when it is missing.
  Json(std::initializer_list<Member> members) {
    for (const Member& member : members)
      fields_.push_back(member.field);
  }

  const std::vector<detail::JsonField>& fields() const noexcept { return fields_; }

 private:
  std::vector<detail::JsonField> fields_;
};

// Reads objects. Used by one thread; allocates when an object is larger than all before it.
template <class T>
class JsonReader {
 public:
  explicit JsonReader(const Json<T>& json) : reader_{json.fields()} {}

  // Whether `json` is a whole object as declared; `into` is then what it says, and otherwise unspecified.
  bool read(std::string_view json, T& into) {
    into = T{};
    return reader_.read(json, reinterpret_cast<std::byte*>(&into));
  }
  // Why the last one was refused: "amount: more than 2 digits behind the point: 1.005".
  const std::string& fault() const noexcept { return reader_.fault(); }

 private:
  detail::JsonReader reader_;
};

// A handler: the JSON in the body of each record becomes a T. What is none is refused: a dead letter with the reason.
template <class T, Event In = Bytes>
class FromJson {
 public:
  explicit FromJson(const Json<T>& json) : reader_{json} {}

  void operator()(const In& record, Output<T>& out) {
    T event;
    if (!reader_.read(record.text(), event)) throw Refused{reader_.fault()};
    out.push(event);
  }

 private:
  JsonReader<T> reader_;
};

}  // namespace sluice
