// SPDX-License-Identifier: Apache-2.0
// Unavailable: what a handler, a flush, a source or their constructor throws when the outside is away: a database that
// does not answer, a lock that is held, a file system that is gone for a while.
//
// Nothing is at fault then, neither the event nor the worker. What was not committed is undone, as after a death; the
// worker waits and makes its handler anew, with pauses that grow to a second, until it works. Meanwhile its lanes fill
// and the stages before it wait; what() and since when is shown by `sluice stats`. The setting outside.patience says when
// to give up.
#pragma once

#include <stdexcept>
#include <string>

namespace sluice {

class Unavailable : public std::runtime_error {
 public:
  // `what` names what is away and how that is known: "the database bank@db1: connection refused".
  explicit Unavailable(const std::string& what) : std::runtime_error{what} {}
};

}  // namespace sluice
