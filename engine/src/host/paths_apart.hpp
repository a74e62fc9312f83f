// SPDX-License-Identifier: Apache-2.0
// The paths that settings name for a pipeline's own things, which must not be in each other's way.
#pragma once

#include <filesystem>
#include <string>

#include "layout/resolved_settings.hpp"

namespace sluice::detail {

// Throws Error when the directory of reports or that of checkpoints would be, or would lie below, the file of the segment or
// the observers' socket: none of them may be there yet, and the one that comes first would keep the other away, at the
// latest from the first dead letter. Names are compared, links are not followed.
void refuse_paths_in_the_way(const std::string& pipeline, const PipelineSettings& settings,
                             const std::string& segment_path, const std::filesystem::path& reports);

}  // namespace sluice::detail
