// SPDX-License-Identifier: Apache-2.0
// The files of the project that `sluice new` makes: pure. What stands in them is built and tested against an installed
// Sluice by tests/consumer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::command {

struct ProjectFile {
  std::string path;  // Relative to the project's directory.
  std::string text;
};

// Why `name` cannot be that of a project, of a pipeline and of a target of CMake; empty if it can.
std::string fault_of_name(std::string_view name);

std::vector<ProjectFile> project_files(const std::string& name, const std::string& version);

}  // namespace sluice::command
