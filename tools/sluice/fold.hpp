// SPDX-License-Identifier: Apache-2.0
// What commands print, on a terminal that has fewer columns than their lines.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::command {

// The line on so many columns: what is longer goes on below, a little further in, behind a blank or, in a table, behind one of
// its `fields`: the columns behind each, the same in all lines of the table, so that what stands one below the other still
// does. 0 columns: as it is.
std::vector<std::string> fold(std::string_view line, std::size_t columns,
                              std::span<const std::size_t> fields = {});

// For people: lines to standard output, folded where that is a terminal.
void print(std::string_view text, std::span<const std::size_t> fields = {});
// The same for sentences with tables among them: sentences are folded in a pipe, too, on as many columns as a terminal has that
// nobody has made wider. A row of a table, which has two blanks between its fields, is whole there, for programs cut it up.
void print_prose(std::string_view text);
// For programs, and for people who copy it: as it is.
void print_exactly(std::string_view text);

// Of the terminal that standard output goes to; 0 where it goes to a pipe or a file, whose reader wants whole lines.
std::size_t columns_of_output() noexcept;

}  // namespace sluice::command
