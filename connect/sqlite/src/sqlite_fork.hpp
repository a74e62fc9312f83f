// SPDX-License-Identifier: Apache-2.0
// Whether SQLite can be trusted in this process, which may have been forked.
//
// SQLite remembers in its process's memory which locks that process has, for all connections to a file
// together. A fork copies that memory and not the locks: a connection that was open then makes SQLite believe
// in the child, for connections of the child's own too, that it has locks that it has not, and that
// descriptors are its own which are closed there or something else's. So a store is refused in a process that
// was forked while a connection was open.
#pragma once

namespace sluice::detail {

// Whether a connection was open when this process, or one that it comes from, was forked.
bool sqlite_was_open_at_fork() noexcept;

}  // namespace sluice::detail
