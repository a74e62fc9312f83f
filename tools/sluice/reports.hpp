// SPDX-License-Identifier: Apache-2.0
// The reports of a pipeline, deaths.jsonl and the file before it, as `sluice deaths` reads them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/detail/descriptor.hpp>

#include "json_object.hpp"

namespace sluice::command {

// Holds where each of them stands, some 60 bytes, and not what it says.
class Reports {
 public:
  // Of a file, of the files in a directory or, if it has none, in all directories below it. Throws Error if there is none.
  Reports(const std::string& path, const std::function<bool(const JsonObject&)>& wanted);

  // Each has a number, from 1, in order of time.
  std::size_t count() const noexcept { return places_.size(); }
  // The numbers of those that were wanted.
  const std::vector<std::size_t>& wanted() const noexcept { return wanted_; }
  // From its file. Throws Error if it is no longer what it was.
  JsonObject read(std::size_t number) const;

  // What a writer that died or a full disk has left of a line, at the end of a file.
  const std::vector<std::string>& torn() const noexcept { return torn_; }
  // How many lines are no report whatever else, and the first of them, with where and why.
  std::size_t unreadable() const noexcept { return unreadable_; }
  const std::vector<std::string>& first_unreadable() const noexcept { return first_unreadable_; }

 private:
  struct Place {
    std::array<char, 28> time;  // As it stands there, with zeros behind it.
    std::uint64_t offset;
    std::uint32_t bytes;
    bool wanted;
    std::size_t file;
  };
  struct File {
    std::filesystem::path path;
    detail::Descriptor open;
  };
  void read_places(const std::filesystem::path& path, const std::function<bool(const JsonObject&)>& wanted);
  void refuse(const std::string& where, const std::string& why);

  std::vector<File> files_;
  std::vector<Place> places_;
  std::vector<std::size_t> wanted_;
  std::vector<std::string> torn_;
  std::size_t unreadable_ = 0;
  std::vector<std::string> first_unreadable_;
};

// Whether it is of that pipeline, and of that stage or worker; an empty name is any.
bool is_of(const JsonObject& report, std::string_view pipeline, std::string_view stage);

}  // namespace sluice::command
