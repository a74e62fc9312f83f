// SPDX-License-Identifier: Apache-2.0
// Whether files can be written so: what FileSink is asked for, before it touches anything.
#pragma once

#include <string>

#include <sluice/connect/file_sink.hpp>

namespace sluice::detail {

// `name`: of the files, before their number. Throws Error.
void check_rolling(const RollingFileOptions& options, const std::string& name);

}  // namespace sluice::detail
