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
// Where there are many rings, these mappings would take more of the kernel's memory, and of a fork's time, than all else: then a
// process has those of the rings that it asks for (map_ring()), and sees all others as they lie in the memory only (ring_memory()).
//
// The memory is anonymous and ends with its processes; or it is a file, which outlives them and is taken over
// by the next start. Nothing in a segment is an address: the next start may map it elsewhere.
//
// Large pieces can lie in huge pages. Those of the machine's pool (hugetlb) come from files of their own, one for each
// size, so that nothing is rounded up: a piece has small pages first, whole huge ones behind them. The others get
// huge pages behind the start, from the kernel's page cache: collapse().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice::ipc {

inline constexpr std::size_t kReadableBeyond = 64;
// Each process has the mappings of so many rings, two each, whether it uses them or not: half a megabyte of the kernel's memory.
inline constexpr std::size_t kRingsMappedAhead = 1024;

// The sizes of huge pages that there may be, of which kTwoMib and kOneGib are the indices.
inline constexpr std::array<std::size_t, 2> kHugePageBytes{std::size_t{2} << 20U, std::size_t{1} << 30U};
inline constexpr std::size_t kTwoMib = 0;
inline constexpr std::size_t kOneGib = 1;

// Of an anonymous segment: who can map it for writing. Those that its maker forks, which inherit the mappings, and no process
// anew, whatever descriptor it gets hold of; or also a process that is executed and given a descriptor, and any other that
// gets one which can be written through: then only this user can open one anew, and only after a change of the file's mode.
enum class Writable : std::uint8_t { where_inherited, where_mapped_anew };

// What a region needs, in bytes; both are rounded up, rings to a power of two of at least one page.
struct RegionSpec {
  std::size_t plain_bytes = 0;
  std::vector<std::size_t> ring_bytes;
  std::size_t small_bytes = 0;  // Of the plain part's front: these lie in small pages, whatever is asked for.
};

// What is to lie in pages of the machine's pool of huge pages. For each size:
struct HugePages {
  std::array<std::size_t, 2>
      from{};  // As much of a piece as has at least so many bytes of whole pages; 0: none.
  std::array<bool, 2> required{};  // What cannot be had is an Error. Otherwise smaller pages take its place.
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
  int fd = -1;                          // Of a file that this process may read. Its owner is the Segment.
  std::size_t first_byte = 0;           // Where the first region begins in it.
  std::array<int, 2> huge_fds{-1, -1};  // The same of the files of huge pages; others where there are none.
  HugePages huge;                       // As Segment::huge_pages() says where it was made.
  bool named = false;                   // It is the file of a named segment.
};

// Where something begins in the memory of a segment: in which of its files, and at which byte.
struct InFile {
  std::size_t file = 0;  // Of Segment::descriptors().
  std::size_t first_byte = 0;
};

class SegmentFile;

class Segment {
 public:
  // Reserves addresses and creates the memory without touching it; huge pages are reserved. Throws Error when the
  // machine has less memory available than the segment takes, or not the huge pages that are required. `name` shows in
  // /proc/PID/maps.
  Segment(const std::string& name, std::span<const RegionSpec> regions, const HugePages& huge = {},
          Writable writable = Writable::where_inherited);
  // Reserves addresses; they read as zeros until open().
  Segment(const std::string& name, std::span<const RegionSpec> regions, const NamedFile& file);
  // Maps what others made. For looking; or, in a process that was executed to own a region, with descriptors that can be
  // written through, of memory that was made to be mapped anew. Throws Error when the file is not as large as `regions` say.
  Segment(const std::string& name, std::span<const RegionSpec> regions, const ForeignMemory& memory);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  // Of a named segment, before anything else: takes the file over as its last processes left it, true; or
  // makes it anew, false. Throws Error when it is in use, or was made in another boot, by another version or
  // for another shape; the file is as before then. An anonymous segment has nothing to open: false.
  bool open();
  // Allocates every huge page, under the memory policies bound to the addresses before. False: they are not to be had
  // any more, and all is in small pages now, mapped anew: what was said of the mappings (policies, children, core
  // dumps) has to be said again. Throws Error when they are required.
  bool populate_huge();
  // Allocates every page as prefault() does, and gives a file made anew no name yet: for who fills it before.
  void allocate();
  // Allocates every page, under the memory policies bound to the addresses before; a file made anew has its
  // name from here on. A full memory file system is an Error here and never a SIGBUS later.
  void prefault();
  // What lies in huge pages of the pool.
  const HugePages& huge_pages() const noexcept { return huge_; }
  std::size_t huge_bytes(std::size_t size) const noexcept { return files_[1 + size].bytes; }
  // Why there are fewer huge pages of the pool than were asked for; empty if there are not.
  const std::string& huge_remark() const noexcept { return huge_remark_; }

  // Of the pieces in small pages that are as large as `least_bytes`, what lies on whole huge pages of 2 MiB.
  std::size_t collapsible(std::size_t least_bytes) const;
  // Has the kernel put huge pages of 2 MiB in the place of these small ones, whose content stays; other processes may be
  // at work in them meanwhile, and wait for the copy of the page that they touch. Blocks: up to a millisecond a page.
  // No page is asked for that is not there already, so that nothing can end in a SIGBUS; what the kernel does not do is
  // left in small pages.
  struct Collapsed {
    std::size_t bytes = 0;
    int error = 0;  // Of the last page that could not be had; 0 if there was none.
  };
  Collapsed collapse(std::size_t least_bytes) const;

  // Throws Error, which names the limit, when RLIMIT_MEMLOCK does not let this process lock the segment.
  void refuse_lock_beyond_limit() const;
  // Keeps all pages in memory while this process lives; its children do not. Again after collapse(): the new pages
  // are not locked. Blocks while the pages are mapped into this process. Gives errno.
  int lock() const noexcept;
  // Core dumps of this process and those it forks hold of the region's plain part what comes before `first_byte`,
  // and none of its rings. After open().
  void keep_out_of_cores(std::size_t region, std::size_t first_byte) noexcept;
  // The pipeline has come to its end, and no start will go on with the file. Nothing for an anonymous
  // segment.
  void remove_file() noexcept;
  bool named() const noexcept { return file_ != nullptr || others_named_; }
  // Of a named segment that was prefaulted: no start finds its file any more. It was removed, or another file stands in its
  // place. Any process of the pipeline. A system call.
  bool lost_its_file() const noexcept;
  // Of a named segment: absolute.
  const std::string& file_path() const noexcept;
  // The descriptors of the memory, small pages first, for a process that closes all but what it knows; -1 for those that
  // there are not.
  std::array<int, 3> descriptors() const noexcept { return {files_[0].fd, files_[1].fd, files_[2].fd}; }
  // In a process that makes no other of the pipeline: what of memory that can be mapped anew it has no use for any more. Its
  // mappings stay.
  void close_files() noexcept;
  // Where a region's plain part begins.
  InFile in_file(std::size_t region) const noexcept;
  // New descriptors of the memory that cannot be written through. Throws Error.
  std::array<int, 3> open_read_only() const;
  // Where the first region begins in the memory.
  std::size_t first_byte() const noexcept { return regions_.front().plain.parts[0].file_offset; }

  // Whether a process that this one forks from now on has the segment: it has it at the same addresses, or
  // nothing at them. Throws Error.
  void show_to_children(bool shown);
  // Before this process uses ring(), which reads as zeros until then: maps it, if it is not mapped yet. Costs some microseconds.
  // Throws Error.
  void map_ring(std::size_t region, std::size_t index);
  // In a child that has no use for the rings that its parent asked for.
  void unmap_rings() noexcept;
  // In a child that has nothing to do with the pipeline any more, and has mapped nothing since it was forked: nothing of the memory
  // is kept by it, nor the lock of its file, which a mapping holds as well. Call nothing else afterwards.
  void unmap() noexcept;
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
  // The bytes of a ring, for who looks at it from outside: without the second mapping, and there in every process. Who owns
  // everything may write them.
  std::span<std::byte> ring_memory(std::size_t region, std::size_t index) const noexcept;
  // The same of a plain part. Policies that are bound here do not cut the mappings of plain() into pieces.
  std::span<std::byte> plain_memory(std::size_t region) const noexcept;
  // Whether an address is in a region: in its plain part, its rings or their second mappings. Async-signal-safe.
  bool holds(std::size_t region, const void* address) const noexcept;
  // Bytes of memory behind the segment (the second mapping of a ring costs none).
  std::size_t memory_bytes() const noexcept { return files_[0].bytes + files_[1].bytes + files_[2].bytes; }

 private:
  // Of small pages, of those of 2 MiB, of those of 1 GiB.
  static constexpr std::size_t kFiles = 1 + kHugePageBytes.size();
  struct File {
    int fd = -1;
    std::size_t bytes = 0;
  };
  struct Part {
    std::size_t file_offset = 0;
    std::size_t bytes = 0;
  };
  // A plain part or a ring: its parts lie in this order at its addresses, each from its file.
  struct Piece {
    std::size_t address_offset = 0;
    std::size_t bytes = 0;
    std::array<Part, kFiles> parts;
  };
  struct Region {
    Piece plain;
    std::vector<Piece> rings;
    std::vector<bool> mapped;  // Of each ring, if they are mapped on demand.
  };

  void refuse_absurd(std::span<const RegionSpec> regions) const;
  void lay_out(std::span<const RegionSpec> regions, std::size_t first_byte);
  std::size_t lay_out_rings(Region& region, std::span<const std::size_t> asked, std::size_t address);
  Piece lay_out_piece(std::size_t bytes, std::size_t small_bytes, std::size_t address);
  std::size_t in_huge_pages(std::size_t bytes, std::size_t size) const noexcept;
  void take_huge_pages(std::span<const RegionSpec> regions);
  std::string make_huge_file(std::size_t size);
  void give_up_huge_pages(std::size_t size, const std::string& why, const std::string& remedy);
  void put_into_small_pages();
  void close_file(std::size_t file) noexcept;
  void refuse_another_size() const;
  void refuse_more_than_there_is() const;
  void create_memory();
  void reserve_addresses();
  void map_everything();
  void map_piece(const Piece& piece, std::size_t address_offset);
  void seal_everything();
  void protect(std::size_t address_offset, std::size_t bytes, int protection);
  void protect(const Region& region, int protection);
  void protect_everything(int protection);
  // Gives a file's number, data and bytes of each part; of a ring as it lies in the memory.
  template <class Visit>
  void for_each_part(const Region& region, Visit visit) const {
    const auto parts_of = [this, &visit](const Piece& piece, std::size_t address_offset) {
      std::byte* data = base_ + address_offset;
      for (std::size_t file = 0; file < kFiles; ++file) {
        if (piece.parts[file].bytes != 0) visit(file, data, piece.parts[file].bytes);
        data += piece.parts[file].bytes;
      }
    };
    parts_of(region.plain, region.plain.address_offset);
    for (const Piece& ring : region.rings)
      parts_of(ring, once_at(ring));
  }
  std::vector<std::span<std::byte>> whole_huge_pages(std::size_t least_bytes) const;
  bool maps_on_demand(std::span<const RegionSpec> regions) const noexcept;
  void lay_out_whole();
  void* map_again(std::size_t from, std::size_t bytes, std::size_t to) const noexcept;
  static std::size_t end_of_rings(const Region& region) noexcept {
    return region.rings.back().address_offset + 2 * region.rings.back().bytes;
  }
  // Where a ring lies in the memory: in the first of its mappings, if all are mapped.
  std::size_t once_at(const Piece& ring) const noexcept {
    return on_demand_ ? whole_offset_ + ring.parts[0].file_offset : ring.address_offset;
  }
  void release() noexcept;

  std::string name_;
  std::vector<Region> regions_;
  std::byte* base_ = nullptr;
  std::size_t address_bytes_ = 0;
  std::size_t mappings_ = 0;
  std::array<File, kFiles> files_;
  HugePages huge_;
  std::string huge_remark_;
  Writable writable_ = Writable::where_inherited;
  bool others_named_ = false;          // A file that others took over.
  std::unique_ptr<SegmentFile> file_;  // Of a named segment; that of small pages is its descriptor then.
  static constexpr std::size_t kNothing = static_cast<std::size_t>(-1);
  static constexpr std::size_t kEverything = kNothing - 1;
  // Rings are mapped on demand, and here lies all of the file of small pages, in which they are.
  bool on_demand_ = false;
  std::size_t whole_offset_ = 0;
  std::size_t whole_bytes_ = 0;
  std::size_t owned_ = kNothing;  // The region that is writable in this process, also when inherited by fork.
};

// Throws Error, which names what there is, when there is no room for `bytes` of memory more: on the machine, or in a control
// group. `action` and `remedy` are the Error's.
void refuse_memory(const std::string& action, const std::string& name, std::size_t bytes,
                   const std::string& remedy);

}  // namespace sluice::ipc
