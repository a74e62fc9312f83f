// SPDX-License-Identifier: Apache-2.0
// What a start wants to know of the file of a named segment before it takes it over or makes it: its shape, its boot, its place.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::ipc {

// Nothing when there is no such file, or none that this version made in this boot for this user: Segment::open() says
// what is wrong with it. Does not lock and changes nothing. Throws nothing but std::bad_alloc.
std::optional<std::string> shape_in_file(const std::string& path);

// A file of a segment, of this user and this version, whose memory a restart of the machine has taken: nothing can go on
// with it. Changes nothing. Throws Error when the boot of this machine is not to be had.
bool is_of_another_boot(const std::string& path);

// Throws the Error of Segment::open() for a path where no file of this user is and none can be made. Leaves nothing behind.
void refuse_where_no_segment_can_be(const std::string& path);

// What differs between two shapes, for people: "stage parse: 2 workers in the file, 4 workers now". Empty
// when nothing does.
std::string shape_difference(std::string_view in_file, std::string_view now);

}  // namespace sluice::ipc
