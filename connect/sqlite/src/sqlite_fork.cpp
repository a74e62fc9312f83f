// SPDX-License-Identifier: Apache-2.0
#include "sqlite_fork.hpp"

#include <pthread.h>
#include <sqlite3.h>

namespace sluice::detail {

namespace {

// Without a connection SQLite uses none; a host may hold a text that SQLite made. A connection takes far
// more.
constexpr sqlite3_int64 kLessThanAConnectionBytes = 4096;

bool was_open_at_fork = false;

// In the parent, before the fork: there the question waits for no lock that another thread might have had.
void look_before_fork() noexcept {
  was_open_at_fork = ::sqlite3_memory_used() >= kLessThanAConnectionBytes;
}

// What SQLite uses in a child still holds what it has inherited, so that the answer stays true in
// grandchildren.
[[maybe_unused]] const int registered = ::pthread_atfork(look_before_fork, nullptr, nullptr);

}  // namespace

bool sqlite_was_open_at_fork() noexcept {
  return was_open_at_fork;
}

}  // namespace sluice::detail
