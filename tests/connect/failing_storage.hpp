// SPDX-License-Identifier: Apache-2.0
// A storage that is away for a while, as that of another machine: pread(), pwrite(), fsync(), syncfs(), faccessat() and statx() of
// this program and of all that it forks fail for what lies below a directory. Linked into a program of its own, whose calls it takes.
#pragma once

#include <string>

namespace sluice::test {

enum class FailingCall { any, pread, faccessat };

// From now on, and until `back_again()`, those calls fail with `error`, or one of them.
void take_storage_away(const std::string& directory, int error, FailingCall only = FailingCall::any);
void back_again();
// The next fsync() of a regular file there, or syncfs(), fails with `error`, and never again.
void fail_next_sync(const std::string& directory, int error);
// How often a call has failed so.
unsigned failed_calls();

}  // namespace sluice::test
