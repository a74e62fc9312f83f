// SPDX-License-Identifier: Apache-2.0
// The way from the disk back: the newest whole checkpoint, and its copy into a segment.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sched.h>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/storage.hpp>
#include <sluice/error.hpp>

#include "checkpoint/checkpoint_chain.hpp"
#include "checkpoint/checkpoint_copy.hpp"

namespace sluice::detail {
namespace {

// False when a writer was at work meanwhile, and took away what was looked for: it has newer ones.
bool search(const std::shared_ptr<const OwnDirectory>& directory, CheckpointReading reading,
            CheckpointSearch& search) {
  const std::vector<CheckpointName> names = checkpoint_names(*directory);
  const std::vector<CheckpointChain> chains = chains_of(names);
  bool missed_one = false;
  search = {};
  for (auto chain = chains.rbegin(); chain != chains.rend() && !search.found; ++chain) {
    WholePart part = whole_part_of(directory, *chain, reading);
    search.found = std::move(part.found);
    search.passed_over.insert(search.passed_over.end(), part.passed_over.begin(), part.passed_over.end());
    missed_one |= part.missed_one;
    if (search.other_version.empty()) search.other_version = part.other;
  }
  // Names that come and go while a directory is read need not be among those that are read.
  return !missed_one && (search.found || names == checkpoint_names(*directory));
}

CheckpointInput input_of(const OwnDirectory& directory, const std::string& name, const Descriptor& file) {
  return CheckpointInput{file, (directory.path() / name).string()};
}

void copy(const OwnDirectory& directory, const FoundCheckpoint::File& wanted, ChunkCopiers& copiers) {
  const std::optional<Descriptor> file = directory.open_to_read(wanted.name);
  if (!file) throw NotWhole{"it is gone"};
  CheckpointInput input = input_of(directory, wanted.name, *file);
  input.read(&copiers);
  copiers.await();
  if (input.checksum() != wanted.checksum) throw NotWhole{"another file has taken its place"};
}

unsigned units_of_this_process() noexcept {
  cpu_set_t units;
  return ::sched_getaffinity(0, sizeof(units), &units) == 0 ? static_cast<unsigned>(CPU_COUNT(&units)) : 1;
}

[[noreturn]] void fail(const FoundCheckpoint& checkpoint, const std::string& name, const std::string& why) {
  throw Error{{"restore", (checkpoint.directory->path() / name).string(), why,
               "start again, and the newest one that is whole is looked for once more"}};
}

// Of another file than that which was found, no piece is believed to lie within the segment.
CheckpointPlaces within(const FoundCheckpoint& checkpoint, const CheckpointPlaces& places) {
  return [&places, size = checkpoint.identity.segment_bytes](std::uint64_t offset, std::size_t bytes) {
    if (offset > size || bytes > size - offset) throw NotWhole{"it is one of a segment of another size"};
    return places(offset, bytes);
  };
}

}  // namespace

namespace {

CheckpointSearch newest_now(const std::string& directory, CheckpointReading reading) {
  // A writer that publishes as fast as this process reads may take each of the newest away before it is read.
  constexpr int kMostTries = 1000;
  CheckpointSearch found;
  std::optional<OwnDirectory> own = OwnDirectory::if_there(directory, kCheckpointSetting);
  if (!own || is_marked_as_ended(*own)) return found;
  const auto shared = std::make_shared<const OwnDirectory>(std::move(*own));
  for (int tries = 0; tries < kMostTries && !search(shared, reading, found); ++tries) {
  }
  return found;
}

// Of what may do when it is tried again.
bool may_be_there_soon(int reason) noexcept {
  return reason == ENOMEM || reason == ENFILE || is_storage_away(reason);
}

}  // namespace

CheckpointSearch newest_checkpoint(const std::string& directory, CheckpointReading reading) {
  constexpr std::chrono::seconds kPatience{3};
  constexpr std::chrono::milliseconds kPause{50};
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    try {
      return newest_now(directory, reading);
    } catch (const CannotRead& failed) {
      if (!may_be_there_soon(failed.reason()) || std::chrono::steady_clock::now() >= until) throw;
    }
    std::this_thread::sleep_for(kPause);
  }
}

void restore(const FoundCheckpoint& checkpoint, const CheckpointPlaces& places) {
  constexpr unsigned kMostThreads = 8;
  const unsigned units = std::min(units_of_this_process(), kMostThreads);
  const CheckpointPlaces safe_places = within(checkpoint, places);
  ChunkCopiers copiers{safe_places, units > 1 ? units : 0};
  for (const FoundCheckpoint::File& file : checkpoint.files) {
    try {
      copy(*checkpoint.directory, file, copiers);
    } catch (const NotWhole& reason) {
      fail(checkpoint, file.name, reason.why);
    }
  }
}

std::vector<std::byte> front_of(const FoundCheckpoint& checkpoint, std::size_t bytes) {
  struct Enough {};
  std::vector<std::byte> front(std::min<std::size_t>(bytes, checkpoint.identity.segment_bytes));
  const CheckpointPlaces places = [&front](std::uint64_t offset, std::size_t wanted) -> CheckpointPlace {
    if (offset >= front.size()) throw Enough{};  // Pieces are in the order of their offsets.
    return {front.data() + offset, std::min<std::size_t>(wanted, front.size() - offset)};
  };
  const FoundCheckpoint::File& base = checkpoint.files.front();
  try {
    const std::optional<Descriptor> file = checkpoint.directory->open_to_read(base.name);
    if (!file) throw NotWhole{"it is gone"};
    ChunkDecoder decoder{places};
    input_of(*checkpoint.directory, base.name, *file).read(&decoder);
  } catch (const Enough&) {
  } catch (const NotWhole& reason) {
    fail(checkpoint, base.name, reason.why);
  }
  return front;
}

void restore(const FoundCheckpoint& checkpoint, std::span<std::byte> segment) {
  if (segment.size() != checkpoint.identity.segment_bytes) {
    fail(checkpoint, checkpoint.files.back().name,
         fmt::format("it is one of a segment of {} bytes, and this one has {}",
                     checkpoint.identity.segment_bytes, segment.size()));
  }
  restore(checkpoint, [segment](std::uint64_t offset, std::size_t bytes) {
    return CheckpointPlace{segment.data() + offset, bytes};
  });
}

}  // namespace sluice::detail
