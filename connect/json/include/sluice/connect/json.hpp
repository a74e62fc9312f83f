// SPDX-License-Identifier: Apache-2.0
// JSON objects as events: FromJson<T> is a handler ready to use, JsonReader<T> reads one object. Fields<T> (fields.hpp) says
// how an object becomes a T; numbers are exact or refused.
//
//     lines.to<sluice::FromJson<Payment>>("parse", kPayment);
//
// A scaled number may also be text: "12.34". An integer has neither fraction nor exponent.
//
// Every object is checked whole, also what no member takes: text that is not UTF-8, a broken value, something behind the
// object. Members that are not declared are passed over; of two of one name the last counts. null is as if it were not
// there, also behind a value of its name. Sizes are in bytes. On simdjson: up to 4 GB of one object, 1,024 levels deep.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/connect/fields.hpp>
#include <sluice/event.hpp>
#include <sluice/output.hpp>
#include <sluice/refused.hpp>

namespace sluice {

namespace detail {

// One thread uses it.
class JsonReader {
 public:
  explicit JsonReader(std::vector<NamedField> fields);
  ~JsonReader();

  // Fills `object`, which is zeros before, from `json`; whether all of it is as it should be, or why not: valid until the next call.
  bool read(std::string_view json, std::byte* object);
  const std::string& fault() const noexcept { return fault_; }

 private:
  class Parser;
  std::vector<NamedField> fields_;
  std::unique_ptr<Parser> parser_;
  std::string fault_;
};

}  // namespace detail

// Reads objects. Used by one thread; allocates when an object is larger than all before it.
template <class T>
class JsonReader {
 public:
  explicit JsonReader(const Fields<T>& fields) : reader_{fields.named()} {}

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
  explicit FromJson(const Fields<T>& fields) : reader_{fields} {}

  void operator()(const In& record, Output<T>& out) {
    T event;
    if (!reader_.read(record.text(), event)) throw Refused{reader_.fault()};
    out.push(event);
  }

 private:
  JsonReader<T> reader_;
};

}  // namespace sluice
