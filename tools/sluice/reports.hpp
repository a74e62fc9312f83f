// SPDX-License-Identifier: Apache-2.0
// The reports of a pipeline, deaths.jsonl and the file before it, as `sluice deaths` reads them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "json_object.hpp"

namespace sluice::command {

struct Report {
  std::size_t number = 0;  // Among all that are there, from 1, in order of time.
  JsonObject fields;
};

struct Reports {
  std::vector<Report> all;
  std::vector<std::string>
      torn;  // What a writer that died or a full disk has left of a line, at the end of a file.
  std::vector<std::string> unreadable;  // Whatever else is no report, and where.
};

// Of a file, of the files in a directory or, if it has none, in all directories below it. Throws Error if there is none.
Reports reports_in(const std::string& path);

// Whether it is of that pipeline, and of that stage or worker; an empty name is any.
bool is_of(const Report& report, std::string_view pipeline, std::string_view stage);

}  // namespace sluice::command
