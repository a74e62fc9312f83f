// SPDX-License-Identifier: Apache-2.0
// What a program says on standard error, with how serious it is where systemd's journal reads that.
#pragma once

#include <string_view>

namespace sluice::detail {

// The journal's numbers: <syslog.h>.
enum class Priority : char { error = '3', warning = '4', notice = '5', info = '6' };

// Whether systemd's journal reads what is written to `descriptor`, as the environment says.
bool is_journal(int descriptor) noexcept;

// Writes whole lines to standard error, in one piece, and in the journal each with its priority. What cannot be written
// is lost. May block, as standard error does; by any thread.
void say(Priority priority, std::string_view lines);

}  // namespace sluice::detail
