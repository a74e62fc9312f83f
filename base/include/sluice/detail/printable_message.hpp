// SPDX-License-Identifier: Apache-2.0
// The last step of a message on its way to a terminal. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice::detail {

// As printable(), but a backslash stays: what of the message printable() has made already is not escaped once more.
std::string printable_message(std::string_view message);

}  // namespace sluice::detail
