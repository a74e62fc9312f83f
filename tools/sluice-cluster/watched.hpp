// SPDX-License-Identifier: Apache-2.0
// The cluster as it is seen by one who looks at it for a while: who lives is known after a lease.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "members.hpp"
#include "owners.hpp"

namespace sluice::command {

class Watched {
 public:
  // Throws Unavailable, as all that follows does, and Error: there is no such cluster.
  Watched(const NatsServer& server, const std::string& cluster);

  void look_for_a_lease();
  // Until `done` says so; Error after `patience`.
  void wait_until(const std::function<bool()>& done, const std::string& what,
                  std::chrono::nanoseconds patience);

  detail::Owners& owners() noexcept { return owners_; }
  detail::Hosts living() const { return members_.living(std::chrono::steady_clock::now()); }
  unsigned partitions() const { return shape_.partitions; }

 private:
  void look(std::chrono::milliseconds limit);

  detail::Owners owners_;
  detail::ClusterShape shape_;
  detail::Members members_;
};

}  // namespace sluice::command
