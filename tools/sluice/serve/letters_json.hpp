// SPDX-License-Identifier: Apache-2.0
// The dead letters of a directory as JSON, for the page: what they died of and where, without what they held.
#pragma once

#include <string>

namespace sluice::command {

// One object: `path`, `count`, the last of them as `letters`, the newest first, with the `number` that `sluice dead`
// gives each; `error`, empty or why they cannot be told. Reads the files, as long as they are few and small.
std::string letters_json(const std::string& directory);

}  // namespace sluice::command
