// SPDX-License-Identifier: Apache-2.0
// The way from the disk back: the newest whole checkpoint, and its copy into a segment.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "checkpoint/checkpoint_chain.hpp"
#include "checkpoint/checkpoint_input.hpp"

namespace sluice::detail {
namespace {

// False when a writer was at work meanwhile, and took away what was looked for: it has newer ones.
bool search(const std::shared_ptr<const OwnDirectory>& directory, CheckpointSearch& search) {
  const std::vector<CheckpointName> names = checkpoint_names(*directory);
  const std::vector<CheckpointChain> chains = chains_of(names);
  bool missed_one = false;
  search = {};
  for (auto chain = chains.rbegin(); chain != chains.rend() && !search.found; ++chain) {
    WholePart part = whole_part_of(directory, *chain);
    search.found = std::move(part.found);
    search.passed_over.insert(search.passed_over.end(), part.passed_over.begin(), part.passed_over.end());
    missed_one |= part.missed_one;
  }
  // Names that come and go while a directory is read need not be among those that are read.
  return !missed_one && (search.found || names == checkpoint_names(*directory));
}

void copy(const OwnDirectory& directory, const FoundCheckpoint::File& wanted, ChunkDecoder& decoder) {
  const std::optional<Descriptor> file = directory.open_to_read(wanted.name);
  if (!file) throw NotWhole{"it is gone"};
  CheckpointInput input{*file};
  input.read(&decoder);
  if (input.checksum() != wanted.checksum) throw NotWhole{"another file has taken its place"};
}

}  // namespace

CheckpointSearch newest_checkpoint(const std::string& directory) {
  constexpr int kMostTries = 10;
  CheckpointSearch found;
  std::optional<OwnDirectory> own = OwnDirectory::if_there(directory, kCheckpointSetting);
  if (!own) return found;
  const auto shared = std::make_shared<const OwnDirectory>(std::move(*own));
  for (int tries = 0; tries < kMostTries && !search(shared, found); ++tries) {
  }
  return found;
}

void restore(const FoundCheckpoint& checkpoint, std::span<std::byte> segment) {
  const auto fail = [&checkpoint](const std::string& name, const std::string& why) {
    throw Error{{"restore", (checkpoint.directory->path() / name).string(), why,
                 "start again, and the newest one that is whole is looked for once more"}};
  };
  if (segment.size() != checkpoint.identity.segment_bytes)
    fail(checkpoint.files.back().name, fmt::format("it is one of a segment of {} bytes, and this one has {}",
                                                   checkpoint.identity.segment_bytes, segment.size()));
  ChunkDecoder decoder{segment};
  for (const FoundCheckpoint::File& file : checkpoint.files) {
    try {
      copy(*checkpoint.directory, file, decoder);
    } catch (const NotWhole& reason) {
      fail(file.name, reason.why);
    }
  }
}

}  // namespace sluice::detail
