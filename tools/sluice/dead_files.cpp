// SPDX-License-Identifier: Apache-2.0
#include "dead_files.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::command {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_of_letters(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{directory, error}) {
    if (entry.path().extension() == ".dead") files.push_back(entry.path());
  }
  if (error) {
    throw Error{
        {"list the directory", printable(directory.string()), error.message(), "name one that can be read"}};
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The directory itself, or the only one in it that has letters.
fs::path place_of(const std::string& path) {
  std::error_code none;
  if (!fs::is_directory(path, none) || !files_of_letters(path).empty()) return path;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator{path, none}) {
    if (entry.is_directory(none) && !files_of_letters(entry.path()).empty()) found.push_back(entry.path());
  }
  if (found.empty()) return path;
  if (found.size() == 1) return found.front();
  std::sort(found.begin(), found.end());
  std::string names;
  for (const fs::path& each : found)
    names += (names.empty() ? "" : ", ") + printable(each.string());
  throw Error{{"find dead letters in", printable(path), "there are none, but in directories below it",
               "name one of them: " + names}};
}

}  // namespace

void require_regular(const fs::path& file, const char* what, const std::string& remedy) {
  std::error_code none;
  if (fs::is_regular_file(file, none) || !fs::exists(file, none)) return;
  throw Error{{fmt::format("read {} from", what), printable(file.string()), "it is no regular file", remedy}};
}

DeadLetter Letters::read(std::size_t number) const {
  const Place& at = all.at(number - 1);
  return detail::letter_at(files.at(at.file), at.place.offset);
}

Letters letters_in(const std::string& path) {
  Letters letters{.place = place_of(path), .files = {}, .all = {}, .unreadable = {}};
  std::error_code none;
  const auto read = [&letters](const fs::path& file) {
    require_regular(file, "dead letters", "name a file of dead letters, or a directory of them");
    for (const detail::PlacedLetter& place : detail::placed_letters(file))
      letters.all.push_back({letters.files.size(), place});
    letters.files.push_back(file);
  };
  if (!fs::is_directory(letters.place, none)) {
    read(letters.place);
  } else {
    for (const fs::path& file : files_of_letters(letters.place)) {
      try {
        read(file);
      } catch (const Error& error) {
        letters.unreadable.emplace_back(error.what());
      }
    }
    std::stable_sort(letters.all.begin(), letters.all.end(),
                     [](const Letters::Place& one, const Letters::Place& other) {
                       return one.place.order_ns < other.place.order_ns;
                     });
  }
  if (letters.all.empty() && letters.unreadable.empty()) {
    throw Error{
        {"find dead letters in", path, "there are none", "name the directory that the pipeline told"}};
  }
  return letters;
}

void refuse_unreadable(const Letters& letters) {
  if (letters.unreadable.empty()) return;
  std::string why;
  for (const std::string& each : letters.unreadable)
    why += (why.empty() ? "" : "; ") + each;
  throw Error{
      {"read all of", printable(letters.place.string()), why, "move what is no file of letters away"}};
}

DeadLetter letter_numbered(const Letters& letters, std::size_t number, const char* tried) {
  if (number != 0 && number <= letters.all.size()) return letters.read(number);
  throw Error{{tried, std::to_string(number),
               fmt::format("there {} {} in {}", letters.all.size() == 1 ? "is" : "are", letters.all.size(),
                           printable(letters.place.string())),
               "name the number that `sluice dead list` gives it"}};
}

}  // namespace sluice::command
