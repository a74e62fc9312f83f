// SPDX-License-Identifier: Apache-2.0
// The segment: the one shared-memory mapping of a pipeline, divided into regions with one writer each.
//
// The process that creates a segment forks the others, so that every process sees every byte at the same
// address. After its fork a process calls own(): it may then write its own region and nothing else, and the
// MMU, not discipline, keeps it so. Calls belong to the control plane: they make system calls, and throw
// Error where nothing else is said. One thread of a process uses a Segment at a time; what it gives
// (addresses, views) any thread may use while it lives.
//
// A region is a plain part (control, cursors, commit record, undo log, state) followed by rings. A ring's
// memory is mapped twice in a row, so that a run of bytes that crosses the ring's end is contiguous in the
// address space: no reader and no writer ever splits an event. At least kReadableBeyond bytes behind any
// byte of a ring can be read (not used), which vectorised parsers ask for.
//
// The memory is anonymous and ends with its processes; or it is a file, which outlives them and is taken over
// by the next start. Nothing in a segment is an address: the next start may map it elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice::ipc {

inline constexpr std::size_t kReadableBeyond = 64;

// What a region needs, in bytes; both are rounded up, rings to a power of two of at least one page.
struct RegionSpec {
  std::size_t plain_bytes = 0;
  std::vector<std::size_t> ring_bytes;
};

struct RingView {
  std::byte* data = nullptr;         // Valid for 2 * capacity bytes; the second half is the first again.
  std::uint64_t capacity_bytes = 0;  // A power of two.
};

// The file of a segment that is to outlive its processes.
struct NamedFile {
  std::string path;
  // What must be the same for the next start to go on, for people too: lines "subject: fact", what the others
  // follow from first.
  std::string shape;
};

// A segment that other processes made.
struct ForeignMemory {
  int fd = -1;                 // Of a file that this process may read. Its owner is the Segment.
  std::size_t first_byte = 0;  // Where the first region begins in it.
};

class SegmentFile;

class Segment {
 public:
  // Reserves addresses and creates the memory without touching it. Throws Error when the machine has less
  // memory available than the segment takes. `name` shows in /proc/PID/maps.
  Segment(const std::string& name, std::span<const RegionSpec> regions);
  // Reserves addresses; they read as zeros until open().
  Segment(const std::string& name, std::span<const RegionSpec> regions, const NamedFile& file);
  // Maps what others made, for looking only: never call own() and what follows it. Throws Error when the file
  // is not as large as `regions` say.
  Segment(const std::string& name, std::span<const RegionSpec> regions, const ForeignMemory& memory);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  // Of a named segment, before anything else: takes the file over as its last processes left it, true; or
  // makes it anew, false. Throws Error when it is in use, or was made in another boot, by another version or
  // for another shape; the file is as before then. An anonymous segment has nothing to open: false.
  bool open();
  // Allocates every page, under the memory policies bound to the addresses before; a file made anew has its
  // name from here on. A full memory file system is an Error here and never a SIGBUS later.
  void prefault();
  // Core dumps of this process and those it forks hold of the region's plain part what comes before `first_byte`,
  // and none of its rings. After open().
  void keep_out_of_cores(std::size_t region, std::size_t first_byte) noexcept;
  // The pipeline has come to its end, and no start will go on with the file. Nothing for an anonymous
  // segment.
  void remove_file() noexcept;
  bool named() const noexcept { return file_ != nullptr; }
  // The descriptor of the memory, for a process that closes all but what it knows.
  int descriptor() const noexcept { return fd_; }
  // A new descriptor of the memory that cannot be written through. Throws Error.
  int open_read_only() const;
  // Where the first region begins in the memory.
  std::size_t first_byte() const noexcept { return regions_.front().file_offset; }

  // Whether a process that this one forks from now on has the segment: it has it at the same addresses, or
  // nothing at them. Throws Error.
  void show_to_children(bool shown);
  // In a child that has nothing to do with the pipeline: closes its descriptor, and forgets addresses that
  // may be another mapping's by now. Call nothing else afterwards.
  void let_go() noexcept;

  // From now on this process may write `region` and no other byte of the segment.
  void own(std::size_t region);
  // This process writes nothing any more.
  void own_nothing();
  // For a pipeline that runs in one process and one thread.
  void own_everything();

  std::size_t region_count() const noexcept { return regions_.size(); }
  // Regions and rings are counted from 0, as they stood in the specs; a number beyond them is a bug of the
  // caller. No system call.
  std::span<std::byte> plain(std::size_t region) const noexcept;
  RingView ring(std::size_t region, std::size_t index) const noexcept;
  // The addresses of a region: plain part, rings and their second mappings.
  std::span<std::byte> addresses(std::size_t region) const noexcept;
  // Bytes of memory behind the segment (the second mapping of a ring costs none).
  std::size_t memory_bytes() const noexcept { return file_bytes_; }

 private:
  struct Ring {
    std::size_t address_offset;
    std::size_t file_offset;
    std::size_t capacity_bytes;
  };
  struct Region {
    std::size_t address_offset;
    std::size_t file_offset;
    std::size_t plain_bytes;
    std::size_t address_bytes;
    std::vector<Ring> rings;
  };

  void refuse_absurd(std::span<const RegionSpec> regions) const;
  void lay_out(std::span<const RegionSpec> regions, std::size_t first_byte);
  void refuse_another_size() const;
  void refuse_more_than_there_is() const;
  void create_memory();
  void reserve_addresses();
  void map_everything();
  void seal(int seals);
  void map_piece(std::size_t address_offset, std::size_t file_offset, std::size_t bytes);
  void protect(std::size_t address_offset, std::size_t bytes, int protection);
  void release() noexcept;

  std::string name_;
  std::vector<Region> regions_;
  std::byte* base_ = nullptr;
  std::size_t address_bytes_ = 0;
  std::size_t file_bytes_ = 0;
  int fd_ = -1;
  std::unique_ptr<SegmentFile> file_;  // Of a named segment; fd_ is its descriptor then.
  static constexpr std::size_t kNothing = static_cast<std::size_t>(-1);
  static constexpr std::size_t kEverything = kNothing - 1;
  std::size_t owned_ = kNothing;  // The region that is writable in this process, also when inherited by fork.
};

}  // namespace sluice::ipc
