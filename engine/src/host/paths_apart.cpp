// SPDX-License-Identifier: Apache-2.0
#include "host/paths_apart.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/detail/path.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

namespace fs = std::filesystem;

struct NamedPath {
  const char* setting;
  fs::path path;  // Absolute; empty for none.
};

NamedPath named(const char* setting, const std::string& path) {
  return {setting, path.empty() ? fs::path{} : absolute_path(path).lexically_normal()};
}

// Or the same.
bool lies_below(const fs::path& path, const fs::path& file) {
  return std::mismatch(file.begin(), file.end(), path.begin(), path.end()).first == file.end();
}

}  // namespace

void refuse_paths_in_the_way(const std::string& pipeline, const PipelineSettings& settings,
                             const std::string& segment_path, const fs::path& reports) {
  const NamedPath files[] = {named("segment.path", segment_path),
                             named("observe.socket", settings.observers.path)};
  // That of reports may be beside the other, by default: the other is what somebody has set.
  const NamedPath directories[] = {named("checkpoint.path", settings.checkpoints.path),
                                   named("report.path", reports.string())};
  for (const NamedPath& file : files) {
    for (const NamedPath& directory : directories) {
      if (file.path.empty() || directory.path.empty() || !lies_below(directory.path, file.path)) continue;
      throw Error{{"start the pipeline", pipeline,
                   fmt::format("{}, a directory, is {}, and {} is to be a file there", directory.setting,
                               printable(directory.path.string()), file.setting),
                   fmt::format("set {} to another path", directory.setting)}};
    }
  }
}

}  // namespace sluice::detail
