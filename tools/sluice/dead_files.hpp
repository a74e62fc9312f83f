// SPDX-License-Identifier: Apache-2.0
// Where the reports and dead letters of a pipeline lie, for the commands that read them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <sluice/dead_letter.hpp>

#include "worker/letters_there.hpp"

namespace sluice::command {

// Holds where each letter stands, and not the letter.
struct Letters {
  struct Place {
    std::size_t file;
    detail::PlacedLetter place;
  };

  std::filesystem::path place;  // A file, or the directory that they lie in.
  std::vector<std::filesystem::path> files;
  std::vector<Place> all;               // In order of time.
  std::vector<std::string> unreadable;  // Why, for each file that is none of them.

  // The letter of that number, which begins with 1.
  DeadLetter read(std::size_t number) const;
};

// A pipe would be waited for, and a device has no end: throws Error for either. `what` is read from it, `remedy` says what to
// name instead.
void require_regular(const std::filesystem::path& file, const char* what, const std::string& remedy);

// Of a file, of a directory or, since each run has one of its own, of the only one below it that has some. Throws Error
// if there are none, or several such.
Letters letters_in(const std::string& path);
void refuse_unreadable(const Letters& letters);
// Throws Error if there is none of that number. `tried` is what was to be done with it.
DeadLetter letter_numbered(const Letters& letters, std::size_t number, const char* tried);

}  // namespace sluice::command
