// SPDX-License-Identifier: Apache-2.0
// The file of a database as it is before SQLite opens it, and that it is still the same one later.
#pragma once

#include <string>
#include <sys/types.h>

namespace sluice::detail {

// The path from the root on, with no link among its directories. Throws Error for what SQLite would take for
// something else than a path, for a directory that is missing or cannot be written, for a link, for what is
// no regular file and, unless it `may_be_missing`, for what is not there. SQLite makes two more files beside
// it, named by it: hence the directory.
std::string checked_database(const std::string& path, bool may_be_missing);

// Which file has a name.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
// Throws Error when there is none.
FileIdentity identity_of(const std::string& path);

}  // namespace sluice::detail
