// SPDX-License-Identifier: Apache-2.0
// Which units pipelines are bound to, for the next one that is planned on this machine.
//
// A claim is a socket in the abstract namespace whose name has the units; it takes no connection. Every user may read
// the names (/proc/net/unix), no file is left behind, and the kernel releases the claim when the last process that holds
// the socket is gone, however it dies. It does not depend on PID or mount namespaces; processes in different network
// namespaces, as most containers have them, do not see each other's claims.
//
// A claim that is renewed has a higher number in its name, and lower ones of the same mark count no longer: processes that hold
// them need not be told. Should the holder of the higher one die, they count again until the next one renews it.
//
// A claim binds nobody: it is what a plan avoids while there are other units. Whoever makes false ones takes no unit
// from others, but makes them plan worse.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/detail/descriptor.hpp>
#include <sluice/pinning/cpu_set.hpp>
#include <sluice/pinning/request.hpp>

namespace sluice::pinning {

// What this process holds; gone with the last copy of its descriptors.
class HeldClaim {
 public:
  HeldClaim() = default;  // Of no units.
  // Holds none where the kernel gives no socket: then nobody knows of these units.
  HeldClaim(const std::string& pipeline, const CpuSet& units);

  // What tells it from the claims of others; empty when it holds none.
  const std::string& mark() const noexcept { return mark_; }
  std::vector<int> descriptors() const;
  // Claims these instead. `times`: how often that has been done, by whichever process. Keeps what it has where the kernel gives
  // no socket, and claims nothing where nothing was claimed.
  void renew(const CpuSet& units, std::uint64_t times);
  // Units of the pipeline's host, beside these: a claim of its own with the same mark. None if this is none.
  HeldClaim for_host(const CpuSet& units) const;
  // In a process that is not to keep the claim up: closes the descriptors, here alone.
  void let_go() noexcept { sockets_.clear(); }

 private:
  void take(const std::string& marks, const CpuSet& units);

  std::string mark_;
  std::string holder_;  // What stands between the mark and the units.
  std::vector<detail::Descriptor> sockets_;
};

// Between a look at the claims and a claim of one's own no other pipeline of this network namespace plans. Waits for
// another one's plan, not longer than `patience`: then it goes on without.
class ClaimLock {
 public:
  explicit ClaimLock(std::chrono::milliseconds patience);

 private:
  detail::Descriptor socket_;
};

// The claims in the text of /proc/net/unix, one for each pipeline and one for its host, without those of the one that has `own_mark`; what is no claim,
// or a damaged one, is passed over. Pure.
std::vector<Claim> claims_in(std::string_view table, std::string_view own_mark);

// Of this machine, as far as this process sees them; none where /proc cannot be read.
std::vector<Claim> claims_of_others(std::string_view own_mark);

}  // namespace sluice::pinning
