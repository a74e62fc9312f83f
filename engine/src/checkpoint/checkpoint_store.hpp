// SPDX-License-Identifier: Apache-2.0
// Where checkpoints are kept: a directory with a file for each, bases and the deltas that go with them.
//
// A checkpoint is bytes at offsets of a segment; what they mean is not known here. A base stands alone, a delta goes with
// its base and all deltas between them. A large base would hold up what waits for the next checkpoint, so that a chain can be
// renewed instead: each delta carries a piece of everything beside what has changed, until all pieces are there.
//
//     base 1   delta 2   delta 3 + a piece   delta 4 + a piece   delta 5 + the last piece   delta 6
//                        `------------- a base from here on ---------------'     1 and 2 go
//
// A file is written beside its place, brought to the disk and then renamed: what
// has a name without .part is whole, or was damaged later, which its checksums tell. One process writes, any may read.
// Everything may allocate, blocks for as long as the disk does, and is no thread's but the caller's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/own_directory.hpp>

namespace sluice::detail {

enum class CheckpointKind : std::uint32_t { base = 1, delta = 2 };

// What a checkpoint is one of. Run and size are the same for a base and its deltas; the rest is told to who restores.
struct CheckpointIdentity {
  std::array<std::uint64_t, 2> run{};
  std::uint64_t segment_bytes = 0;
  std::string pipeline;
  std::string version;
};

struct Extent {
  std::uint64_t offset = 0;
  std::span<const std::byte> bytes;
};

struct CheckpointOptions {
  // How many of the newest checkpoints can be restored, each with all that it needs; 0 is 1.
  unsigned keep = 1;
  // Published is what is on the disk. Without it files are as they were left when a process dies, and any of them may
  // be found damaged after a power cut: the newest whole one counts then, and there may be none.
  bool sync = true;
};

struct WrittenCheckpoint {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;      // Of the file.
  std::uint64_t raw_bytes = 0;  // Of the extents.
  // From that number on it stands alone, with all of them: its own, of a base. 0: it needs what is before it.
  std::uint64_t whole_from = 0;
  std::string not_removed;  // Why a file that is needed no more is still there; empty mostly.
};

// Takes the directory for one pipeline, from before it looks for what to go on with: for as long as the descriptor is open,
// or a copy of it in a child. Makes it if need be, for this user alone. Waits a moment for processes that are about to be
// gone. Throws Error when others have it, and when it is no place for checkpoints.
Descriptor lock_checkpoints(const std::string& directory);

// Where a chain ends: what the next delta goes with.
struct CheckpointTip {
  std::array<std::uint64_t, 2> run{};
  std::uint64_t segment_bytes = 0;
  std::uint64_t number = 0;
  std::uint64_t checksum = 0;  // Of that file.
  std::uint64_t base = 0;
  std::uint64_t base_bytes = 0;
  std::uint64_t delta_bytes = 0;
  unsigned deltas = 0;
  bool renewed = false;  // Its base is deltas.
};

class CheckpointWriter {
 public:
  // Makes the directory if need be, for this user alone, and locks it for as long as the writer lives, unless it is the one
  // that `locked` has; removes what dead writers left half written. Throws Error when another process writes there, when it
  // holds checkpoints of another pipeline, and when it is no place for them.
  CheckpointWriter(const std::string& directory, CheckpointIdentity identity, CheckpointOptions options,
                   int locked = -1);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // The segment was restored from there: the next may be a delta. Not if anything newer lies in the directory, or if that
  // was another run: a base comes first then.
  void go_on_after(const CheckpointTip& tip);

  // Whether the next one should be a base: nothing was written yet, the last try failed, or the deltas are as large as
  // their base or too many to be read in a hurry. In the first two cases it has to be; otherwise the chain may be renewed.
  bool wants_base() const noexcept;
  bool needs_base() const noexcept;
  // From the next delta on each carries a piece of everything, until write() is told that it has the last one. A base or a failure
  // ends that.
  void begin_renewal() noexcept;
  bool is_renewing() const noexcept;

  // Writes and publishes one, then removes what is needed no more. The extents lie within the segment, in
  // the order of their offsets, and do not overlap. Memory: some MiB, whatever their size. Throws Error, of a full disk as of anything
  // else: what was published before is as it was, and the writer goes on with a base.
  enum class Renewal { goes_on, ends };
  WrittenCheckpoint write(CheckpointKind kind, std::uint64_t time_ns, std::span<const Extent> extents,
                          Renewal renewal = Renewal::goes_on);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// A checkpoint that was found, and everything that it needs.
struct FoundCheckpoint {
  struct File {
    std::string name;
    std::uint64_t checksum = 0;  // Of all of it.
    std::uint64_t bytes = 0;
  };

  CheckpointIdentity identity;
  std::uint64_t number = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t bytes = 0;      // Of all files.
  std::uint64_t raw_bytes = 0;  // To be copied.
  std::shared_ptr<const OwnDirectory> directory;
  std::vector<File> files;  // The base, or the deltas that are one, then its deltas.
  std::size_t base_files = 0;
};

// Of one that was found; it has a base.
CheckpointTip tip_of(const FoundCheckpoint& found);

struct CheckpointSearch {
  std::optional<FoundCheckpoint> found;
  std::vector<std::string> passed_over;  // What is newer and not whole: "NAME: why", the newest first.
  // The one of those that is whole, as far as its head tells, and another version of Sluice can read: nobody steps back behind it.
  // Empty: there is none.
  std::string other_version{};
};

// From the first to the last byte; or only head and end of each file, which tell what is cut off, missing or of another chain,
// and nothing of what lies between them: restore() finds that.
enum class CheckpointReading { whole, ends };

// The newest checkpoint that is whole; none when there is no directory either. While a writer is at work it is one that was
// the newest a moment ago. Throws Error when the directory is a link or another user's, and CannotRead when it or a file in it cannot be
// read, which says nothing of what is whole: a storage that is away for a moment is waited for.
CheckpointSearch newest_checkpoint(const std::string& directory,
                                   CheckpointReading reading = CheckpointReading::whole);

// Where bytes of the segment go: the first `bytes` of those that were asked for, at least one. No address: nowhere.
struct CheckpointPlace {
  std::byte* to = nullptr;
  std::size_t bytes = 0;
};
// Asked for so many bytes from an offset on, by several threads at once.
using CheckpointPlaces = std::function<CheckpointPlace(std::uint64_t offset, std::size_t bytes)>;

// Copies it to where its bytes belong; those that no extent has stay as they are, and what goes nowhere is not even
// decompressed. By several threads, which are gone when it returns. Everything is checked on its way, whatever was read
// before. Throws Error: the places hold anything then.
void restore(const FoundCheckpoint& checkpoint, const CheckpointPlaces& places);
// The first bytes of the segment, as its base has them: deltas do not change the shape that stands there. Throws as restore().
std::vector<std::byte> front_of(const FoundCheckpoint& checkpoint, std::size_t bytes);
// Into a segment of the size that it says.
void restore(const FoundCheckpoint& checkpoint, std::span<std::byte> segment);

// Removes all checkpoints, and what is half written: the pipeline has ended and has no use for them. Whoever dies over it leaves
// a mark, by which there are none any more, and the next writer removes the rest. Throws Error as the writer does.
void remove_checkpoints(const std::string& directory, const std::string& pipeline);

}  // namespace sluice::detail
