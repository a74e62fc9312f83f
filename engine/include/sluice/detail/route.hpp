// SPDX-License-Identifier: Apache-2.0
// Routes: which worker of the next stage gets an event.
//
// By key: the same key goes to the same worker, in order. Round-robin and least-loaded keep no order between
// events. Broadcast: every worker gets every event. A route is chosen on the stream, before to<>().
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <sluice/detail/event_type.hpp>
#include <sluice/detail/no_function.hpp>
#include <sluice/key.hpp>

namespace sluice::detail {

enum class RouteKind { round_robin, by_key, least_loaded, broadcast };

struct Route {
  RouteKind kind = RouteKind::round_robin;
  // By key: the hash of an event's key. The function object lives in `key`.
  std::uint64_t (*hash)(const void* key, const void* event) = nullptr;
  std::shared_ptr<const void> key;
  std::string key_name;  // What a resume compares: the key's type, and the function's type or version.

  template <class T, class F>
  static Route by(F key_of, std::uint32_t version) {
    using K = std::remove_cvref_t<std::invoke_result_t<const F&, const T&>>;
    static_assert(
        Key<K>,
        "a key is an integer, an enumeration, text, or a value without padding; one with padding, or with a "
        "floating-point member, has a member `std::uint64_t hash(std::uint64_t seed) const`");
    std::string name{type_name<K>()};
    if (version != 0) {
      name.append(", version ").append(std::to_string(version));
    } else {
      name.append(" by ").append(type_name<F>());
      // Two members of one type are told apart.
      if constexpr (std::is_member_object_pointer_v<F>)
        name.append(" at ").append(std::to_string(std::bit_cast<std::ptrdiff_t>(key_of)));
    }
    refuse_no_function(key_of, "send events by", name);
    Route route{RouteKind::by_key, nullptr, std::make_shared<const F>(std::move(key_of)), std::move(name)};
    route.hash = [](const void* key, const void* event) {
      if constexpr (Key<K>)
        return hash_key<K>(std::invoke(*static_cast<const F*>(key), *static_cast<const T*>(event)));
      else
        return std::uint64_t{0};
    };
    return route;
  }
};

// Whether an event that goes both ways may be meant for two workers. Two functions of one type may be two keys.
inline bool differ_in_key(const Route& one, const Route& other) noexcept {
  return one.kind == RouteKind::by_key && other.kind == RouteKind::by_key && one.key != other.key;
}

}  // namespace sluice::detail
