// SPDX-License-Identifier: Apache-2.0
// A start that finds no memory to go on with, and a checkpoint.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sluice/settings.hpp>

#include "checkpoint/checkpoint_store.hpp"
#include "layout/wiring.hpp"

namespace sluice::detail {

// What a segment was restored from.
struct Restored {
  std::string text;  // For people.
  std::optional<CheckpointTip>
      tip;  // Nothing: it came into larger lanes, state or tables, and no delta goes with it.
  std::vector<FoundCheckpoint::File> files;
};

// Fills the segment, which has all its memory and nothing in it, with the newest whole checkpoint of
// `checkpoint.path`. For the host, before its first fork, while it may write everything. Nothing if
// there is none. One of smaller lanes, undo logs, state or tables is taken along as enlarge_segment() does. `before` is in it already: only what has come since is restored if the chain is the same, else all is anew. Throws
// Error for one of another pipeline or shape, when there are checkpoints and none of them is whole: to begin anew is for the
// user to say; and when there are none any more.
std::optional<Restored> restore_checkpoint(const Wiring& wiring, const Restored* before = nullptr);

// For with_worker_counts(): the shape of what these settings have kept. Throws Error.
std::function<std::optional<std::string>()> kept_shape(const Settings& settings);

// Of a segment that is gone on with: throws Error when there is a whole checkpoint of the same run that is newer than what the
// segment knows of. A start without the segment has gone on in between; which of the two counts is for the user to say.
void refuse_newer_checkpoint(const Wiring& wiring, const std::string& segment_path);

// Removes the file of a named segment of another boot of this machine, of which nothing is left, if there is a checkpoint to
// go on with in its place. Throws Error.
void make_way_for_checkpoint(const std::string& segment_path, const std::string& checkpoint_path);

}  // namespace sluice::detail
