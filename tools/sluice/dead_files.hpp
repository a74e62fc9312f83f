// SPDX-License-Identifier: Apache-2.0
// Where the reports and dead letters of a pipeline lie, for the commands that read them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <sluice/dead_letter.hpp>

namespace sluice::command {

struct Letters {
  std::filesystem::path place;  // A file, or the directory that they lie in.
  std::vector<DeadLetter> all;
  std::vector<std::string> unreadable;  // Why, for each file that is none of them.
};

// A pipe would be waited for, and a device has no end: throws Error for either. `what` is read from it.
void require_regular(const std::filesystem::path& file, const char* what);

// Of a file, of a directory or, since each run has one of its own, of the only one below it that has some. Throws Error
// if there are none, or several such.
Letters letters_in(const std::string& path);
void refuse_unreadable(const Letters& letters);
// Throws Error if there is none of that number, which begins with 1. `tried` is what was to be done with it.
const DeadLetter& letter_numbered(const Letters& letters, std::size_t number, const char* tried);

}  // namespace sluice::command
