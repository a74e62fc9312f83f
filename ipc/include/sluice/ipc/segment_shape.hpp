// SPDX-License-Identifier: Apache-2.0
// The shape that the file of a named segment was made for, for a start that wants to know before it takes it over.
#pragma once

#include <optional>
#include <string>

namespace sluice::ipc {

// Nothing when there is no such file, or none that this version made in this boot for this user: Segment::open() says
// what is wrong with it. Does not lock and changes nothing. Throws nothing but std::bad_alloc.
std::optional<std::string> shape_in_file(const std::string& path);

}  // namespace sluice::ipc
