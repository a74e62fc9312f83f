// SPDX-License-Identifier: Apache-2.0
// Fields: what a type is, as a text that can be kept beside its bytes and compared when they are read again.
//
// The name as the compiler spells it, the members of an aggregate as far as they can be seen from outside, size and
// alignment. Members are found by trying what initialises them, those of classes and arrays among them one by one, in a
// flat list: numbers and enumerations are told apart. A class with a constructor or private members is "other", a union is
// its first member, and what comes behind so many numbers, or runs of one type, is "...".
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <sluice/detail/elsewhere.hpp>
#include <sluice/detail/event_type.hpp>

namespace sluice::detail {

// Compilers take their time.
inline constexpr std::size_t kNumbersLookedAt = 1024;
inline constexpr std::size_t kRunsLookedAt = 64;

// What has no members to look at.
template <class T>
concept Flat = std::is_scalar_v<T> || !std::is_aggregate_v<T>;

// Stand for the initialisers of a member that is an S, of one that is an enumeration over S, of another number, of a class
// that keeps its members to itself, and of any of these: an aggregate gives up its own members to them.
template <class S>
struct ExactInitialiser {
  template <std::same_as<S> T>
  operator T() const noexcept;
  static std::string name() { return std::string{type_name<S>()}; }
};
template <class S>
struct EnumInitialiser {
  template <class T>
  requires std::is_enum_v<T> && std::same_as<std::underlying_type_t<T>, S>
  operator T() const noexcept;
  static std::string name() { return "enum " + std::string{type_name<S>()}; }
};
struct FlatInitialiser {
  template <Flat T>
  operator T() const noexcept;
  static std::string name() { return "other"; }
};

// Whether the members behind the first ones, as many as there are numbers, exist and are of that kind.
template <class T, class Initialiser, std::size_t... before, std::size_t... behind>
constexpr bool takes(std::index_sequence<before...>, std::index_sequence<behind...>) {
  return requires {
    T{(static_cast<void>(before), FlatInitialiser{})..., (static_cast<void>(behind), Initialiser{})...};
  };
}
template <class T, class Initialiser, std::size_t at, std::size_t count>
inline constexpr bool kTakes = takes<T, Initialiser>(std::make_index_sequence<at>{},
                                                     std::make_index_sequence<count>{});

// How many of a kind there are, of which there are `least`, and fewer than `beyond`.
template <class T, class Initialiser, std::size_t at, std::size_t least, std::size_t beyond>
constexpr std::size_t run_between() {
  constexpr std::size_t kMiddle = (least + beyond) / 2;
  if constexpr (kMiddle == least) {
    return least;
  } else if constexpr (kTakes<T, Initialiser, at, kMiddle>) {
    return run_between<T, Initialiser, at, kMiddle, beyond>();
  } else {
    return run_between<T, Initialiser, at, least, kMiddle>();
  }
}
template <class T, class Initialiser, std::size_t at, std::size_t least = 1>
constexpr std::size_t run() {
  if constexpr (at + 2 * least > kNumbersLookedAt) {
    return run_between<T, Initialiser, at, least, kNumbersLookedAt - at + 1>();
  } else if constexpr (kTakes<T, Initialiser, at, 2 * least>) {
    return run<T, Initialiser, at, 2 * least>();
  } else {
    return run_between<T, Initialiser, at, least, 2 * least>();
  }
}

// What takes anything tells no end of a run.
template <class T, class Initialiser, std::size_t at>
constexpr std::size_t run_of() {
  if constexpr (std::same_as<Initialiser, FlatInitialiser>) {
    return 1;
  } else {
    return run<T, Initialiser, at>();
  }
}

template <class T, std::size_t at, class Candidate, class... Others>
constexpr auto kind_at() {
  if constexpr (sizeof...(Others) == 0 || kTakes<T, Candidate, at, 1>) {
    return Candidate{};
  } else {
    return kind_at<T, at, Others...>();
  }
}
template <class T, std::size_t at, class... Numbers>
constexpr auto kind_of_number_at() {
  return kind_at<T, at, ExactInitialiser<Numbers>..., EnumInitialiser<Numbers>..., FlatInitialiser>();
}

// Calls say(name, count) for each run of members that can be seen.
template <class T, std::size_t at, std::size_t runs, class Say>
void say_members(const Say& say) {
  if constexpr (at < kNumbersLookedAt && runs < kRunsLookedAt && kTakes<T, FlatInitialiser, at, 1>) {
    using Kind = decltype(kind_of_number_at<T, at, unsigned long, long, double, unsigned, int, char,
                                            unsigned char, bool, unsigned short, short, float, signed char,
                                            unsigned long long, long long>());
    constexpr std::size_t kCount = run_of<T, Kind, at>();
    say(Kind::name(), kCount);
    say_members<T, at + kCount, runs + 1>(say);
  } else if constexpr (kTakes<T, AnyInitialiser, at, 1>) {
    say("...", 1);  // An empty class is none that members could be looked for behind, either.
  }
}

// "{long, char x 8}, 16 bytes, aligned to 8"; without the braces for what is no aggregate.
template <class T>
std::string fields_of() {
  std::string text;
  if constexpr (std::is_scalar_v<T>) {
    text.append(type_name<T>()).append(", ");
  } else if constexpr (std::is_class_v<T> && std::is_aggregate_v<T>) {
    say_members<T, 0, 0>([&text](std::string_view name, std::size_t count) {
      text.append(text.empty() ? "{" : ", ").append(name);
      if (count > 1) text.append(" x ").append(std::to_string(count));
    });
    if (!text.empty()) text.append("}, ");
  }
  text.append(std::to_string(sizeof(T))).append(" bytes, aligned to ").append(std::to_string(alignof(T)));
  return text;
}

// What T is: its name, unless the user counts versions of it, and its fields.
template <class T>
std::string kind_of(std::uint32_t version) {
  std::string text;
  if (version == 0) {
    text.append(type_name<T>());
  } else {
    text.append("version ").append(std::to_string(version));
  }
  return text.append(": ").append(fields_of<T>());
}

// Of what travels in a lane.
template <class T>
std::string event_fields() {
  if constexpr (is_record<T>) {
    if constexpr (requires(const T& record) { record.head; }) {
      return fields_of<decltype(T::head)>();
    } else {
      return "no head";
    }
  } else {
    return fields_of<T>();
  }
}

}  // namespace sluice::detail
