// SPDX-License-Identifier: Apache-2.0
// What SQLite's result codes mean for a pipeline, and the texts that tell it.
#pragma once

#include <string>

namespace sluice::detail {

enum class SqliteTrouble {
  away,      // Nothing is at fault; it may be over in a while.
  event,     // The values that a statement was given.
  unclear,   // The statement or its values: whether it can still be prepared tells.
  hopeless,  // Only a person can mend it.
};

// Pure. `code` is an extended result code.
SqliteTrouble sqlite_trouble(int code) noexcept;

// What a person can do about it; empty where the text of SQLite says enough.
std::string sqlite_remedy(int code);

}  // namespace sluice::detail
