// SPDX-License-Identifier: Apache-2.0
// Unavailable: what a handler, a flush, a source or their constructor throws when the outside is away: a database that
// does not answer, a lock that is held, a file system that is gone for a while.
//
// Nothing is at fault then, neither the event nor the worker. What was not committed is undone, as after a death; the
// worker waits and makes its handler anew, with pauses that grow to a second, until it works. Meanwhile its lanes fill
// and the stages before it wait; what() and since when is shown by `sluice stats`. The setting outside.patience says when
// to give up.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace sluice {

class Unavailable : public std::runtime_error {
 public:
  // `what` names what is away and how that is known: "the database bank@db1: connection refused".
  // `reached`, where it is known: how far the outside has come, a number that grows with what it takes. When it has grown
  // since the last try, the outside works between its failures: outside.patience and the pauses begin anew, as they do
  // after each commit.
  explicit Unavailable(const std::string& what, std::uint64_t reached = 0)
      : std::runtime_error{what}, reached_{reached} {}
  std::uint64_t reached() const noexcept { return reached_; }

 private:
  std::uint64_t reached_;
};

}  // namespace sluice
