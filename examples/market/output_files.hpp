// SPDX-License-Identifier: Apache-2.0
// The files of the output: their names, and how rows become one of them.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "market/events.hpp"

namespace market {

// "event_counts", ...
std::string_view name_of(Output output);

// Writes the rows of an output, sorted, below its header: into a new file that then takes the place of the
// old one, so that it can be repeated. A row is a key, a separator and its text, as RowText makes them.
// Throws sluice::Error.
void write_sorted(const std::filesystem::path& directory, Output output, std::vector<std::string_view> rows);

// Creates the directory if need be. Throws sluice::Error when it cannot be written.
void prepare_output(const std::filesystem::path& directory);

}  // namespace market
