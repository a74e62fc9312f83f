// SPDX-License-Identifier: Apache-2.0
// Which files of a directory go together, and which of them are whole.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_format.hpp"

namespace sluice::detail {

// A base and the deltas between it and the next one, by their names; the first may be none, of a chain that was renewed, or whose
// base somebody has taken away.
struct CheckpointChain {
  std::vector<CheckpointName> files;  // One at least.
};

// Of names in order, the oldest chain first; names with .part are none.
std::vector<CheckpointChain> chains_of(const std::vector<CheckpointName>& names);

// The newest of the chain that is whole: each file is read from its first to its last byte, or only these. None when neither its
// base nor any deltas that are one are whole.
// What is left out is told, and whether a file was gone when it was to be read.
struct WholePart {
  std::optional<FoundCheckpoint> found;
  std::vector<std::string> passed_over;
  bool missed_one = false;
  std::string other{};  // The one of those that another version has made, if any: why it cannot be read.
};
WholePart whole_part_of(const std::shared_ptr<const OwnDirectory>& directory, const CheckpointChain& chain,
                        CheckpointReading reading);

// The pipeline that one of the checkpoints says it belongs to, if that is another than this one.
std::optional<std::string> other_pipeline(const OwnDirectory& directory,
                                          const std::vector<CheckpointName>& names,
                                          const std::string& pipeline);

}  // namespace sluice::detail
