// SPDX-License-Identifier: Apache-2.0
// Creation and mapping of the segment; see the header for who may call what.
#include "sluice/ipc/segment.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/far_fence.hpp>

#include "memory_limits.hpp"
#include "segment_file.hpp"

namespace sluice::ipc {
namespace {

// More than any address space has, so that sums of sizes cannot wrap.
constexpr std::size_t kMostBytes = std::size_t{1} << 46;

std::size_t ring_capacity(std::size_t asked) noexcept {
  return std::bit_ceil(std::max(asked, page_bytes()));
}

}  // namespace

Segment::Segment(const std::string& name, std::span<const RegionSpec> regions, const HugePages& huge,
                 Writable writable)
    : name_{name}, huge_{huge}, writable_{writable} {
  join_far_fences();
  try {
    take_huge_pages(regions);
    lay_out(regions, 0);
    create_memory();
    reserve_addresses();
    map_everything();
    seal_everything();
  } catch (...) {
    release();
    throw;
  }
}

Segment::Segment(const std::string& name, std::span<const RegionSpec> regions, const NamedFile& file)
    : name_{name}, file_{std::make_unique<SegmentFile>(file.path, file.shape)} {
  join_far_fences();
  lay_out(regions, file_->header_bytes());
  // Said before the start; a file that is there takes nothing more.
  if (std::error_code error; !std::filesystem::exists(file.path, error)) refuse_more_than_there_is();
  reserve_addresses();
}

Segment::Segment(const std::string& name, std::span<const RegionSpec> regions, const ForeignMemory& memory)
    : name_{name}, huge_{memory.huge}, others_named_{memory.named} {
  files_[0].fd = memory.fd;
  for (std::size_t size = 0; size < kHugePageBytes.size(); ++size)
    files_[1 + size].fd = memory.huge_fds[size];
  try {
    lay_out(regions, memory.first_byte);
    for (std::size_t file = 1; file < kFiles; ++file) {
      if (files_[file].bytes == 0) close_file(file);
    }
    refuse_another_size();
    reserve_addresses();
    map_everything();
  } catch (...) {
    release();
    throw;
  }
}

Segment::~Segment() {
  release();
}

void Segment::release() noexcept {
  if (base_ != nullptr) ::munmap(base_, address_bytes_);
  for (std::size_t file = file_ == nullptr ? 0 : 1; file < kFiles; ++file)
    close_file(file);
}

void Segment::close_file(std::size_t file) noexcept {
  if (files_[file].fd >= 0) ::close(files_[file].fd);
  files_[file].fd = -1;
}

bool Segment::open() {
  if (file_ == nullptr) return false;
  const bool taken_over = file_->take_over(files_[0].bytes);
  if (!taken_over) {
    refuse_more_than_there_is();
    file_->make(files_[0].bytes);
  }
  files_[0].fd = file_->fd();
  map_everything();
  return taken_over;
}

void Segment::show_to_children(bool shown) {
  if (::madvise(base_, address_bytes_, shown ? MADV_DOFORK : MADV_DONTFORK) != 0) {
    throw Error{{"choose the processes that have the segment of", name_, errno_text(),
                 sluice::detail::remedy_for_call(errno, "madvise")}};
  }
}

void Segment::let_go() noexcept {
  if (file_ != nullptr) {
    file_->close();
    files_[0].fd = -1;
  }
  for (std::size_t file = 0; file < kFiles; ++file)
    close_file(file);
  base_ = nullptr;
}

void Segment::unmap() noexcept {
  if (base_ != nullptr) ::munmap(base_, address_bytes_);
  let_go();
}

void Segment::close_files() noexcept {
  if (named()) return;
  for (std::size_t file = 0; file < kFiles; ++file)
    close_file(file);
}

InFile Segment::in_file(std::size_t region) const noexcept {
  SLUICE_ASSERT(region < regions_.size());
  const Piece& found = regions_[region].plain;
  std::size_t file = 0;
  while (found.parts[file].bytes == 0)
    ++file;
  return {file, found.parts[file].file_offset};
}

bool Segment::lost_its_file() const noexcept {
  return file_ != nullptr && !file_->still_named();
}

const std::string& Segment::file_path() const noexcept {
  return file_->path();
}

void Segment::remove_file() noexcept {
  if (file_ != nullptr) file_->remove();
}

void Segment::refuse_absurd(std::span<const RegionSpec> regions) const {
  std::size_t room = kMostBytes;
  const auto take = [this, &room](std::size_t bytes) {
    if (bytes > room) {
      throw Error{{"create the segment of", name_, fmt::format("it takes more than {} MiB", kMostBytes >> 20),
                   kTakeLessMemory}};
    }
    room -= bytes;
  };
  for (const RegionSpec& spec : regions) {
    take(spec.plain_bytes);
    for (const std::size_t bytes : spec.ring_bytes)
      take(bytes);
  }
}

void Segment::lay_out(std::span<const RegionSpec> regions, std::size_t first_byte) {
  refuse_absurd(regions);
  regions_.clear();
  for (File& file : files_)
    file.bytes = 0;
  files_[0].bytes = first_byte;
  mappings_ = 0;
  on_demand_ = maps_on_demand(regions);
  std::size_t address = 0;
  std::size_t most_rings = 0;
  for (const RegionSpec& spec : regions) {
    const std::size_t plain_bytes = whole_pages(std::max<std::size_t>(spec.plain_bytes, 1));
    Region region{lay_out_piece(plain_bytes, whole_pages(spec.small_bytes), address), {}, {}};
    address = region.plain.address_offset + plain_bytes;
    ++mappings_;  // keep_out_of_cores() makes two of one.
    if (!on_demand_) address = lay_out_rings(region, spec.ring_bytes, address);
    most_rings = std::max(most_rings, spec.ring_bytes.size());
    regions_.push_back(std::move(region));
  }
  // Plain parts that lie together have fewer page tables in the processes that look at all of them.
  const std::size_t mappings_of_plain = mappings_;
  for (std::size_t i = 0; on_demand_ && i < regions.size(); ++i)
    address = lay_out_rings(regions_[i], regions[i].ring_bytes, address);
  // The last ring, too, has readable bytes behind it.
  static_assert(kReadableBeyond <= 4096);
  address_bytes_ = address + page_bytes();
  if (!on_demand_) return;
  lay_out_whole();
  mappings_ = mappings_of_plain + 2 * most_rings + 1;
}

std::size_t Segment::lay_out_rings(Region& region, std::span<const std::size_t> asked, std::size_t address) {
  for (const std::size_t bytes : asked) {
    const std::size_t capacity = ring_capacity(bytes);
    region.rings.push_back(lay_out_piece(capacity, 0, address));
    address = region.rings.back().address_offset + 2 * capacity;
    ++mappings_;
  }
  return address;
}

std::size_t Segment::in_huge_pages(std::size_t bytes, std::size_t size) const noexcept {
  const std::size_t whole = bytes / kHugePageBytes[size] * kHugePageBytes[size];
  return huge_.from[size] == 0 || whole < huge_.from[size] ? 0 : whole;
}

// Rings that are large enough for huge pages of the pool are few.
bool Segment::maps_on_demand(std::span<const RegionSpec> regions) const noexcept {
  std::size_t rings = 0;
  for (const RegionSpec& spec : regions) {
    rings += spec.ring_bytes.size();
    for (const std::size_t bytes : spec.ring_bytes) {
      if (in_huge_pages(ring_capacity(bytes), kTwoMib) != 0 ||
          in_huge_pages(ring_capacity(bytes), kOneGib) != 0)
        return false;
    }
  }
  return rings > kRingsMappedAhead;
}

// Not before `address`, and so that each part lies on pages of its size. A large piece that is all in small pages lies
// in its huge pages as it does in those of the file: otherwise none could be mapped there later.
Segment::Piece Segment::lay_out_piece(std::size_t bytes, std::size_t small_bytes, std::size_t address) {
  Piece piece{0, bytes, {}};
  std::size_t rest = bytes - std::min(bytes, small_bytes);
  std::size_t largest = 0;  // Of the pages it gets.
  for (std::size_t size = kHugePageBytes.size(); size-- > 0;) {
    const std::size_t whole = in_huge_pages(rest, size);
    if (whole == 0) continue;
    piece.parts[1 + size].bytes = whole;
    rest -= whole;
    largest = std::max(largest, kHugePageBytes[size]);
  }
  piece.parts[0].bytes = bytes - piece.parts[1 + kTwoMib].bytes - piece.parts[1 + kOneGib].bytes;
  // What of it comes before its largest pages.
  const std::size_t before =
      largest == kHugePageBytes[kOneGib] ? bytes - piece.parts[1 + kOneGib].bytes : piece.parts[0].bytes;
  std::size_t unit = std::max<std::size_t>(largest, 1);
  std::size_t remainder = (unit - before % unit) % unit;
  if (largest == 0 && bytes >= kHugePageBytes[kTwoMib]) {
    unit = kHugePageBytes[kTwoMib];
    remainder = files_[0].bytes % unit;
  }
  piece.address_offset = address + (unit + remainder - address % unit) % unit;
  for (std::size_t file = 0; file < kFiles; ++file) {
    piece.parts[file].file_offset = files_[file].bytes;
    files_[file].bytes += piece.parts[file].bytes;
    mappings_ += piece.parts[file].bytes == 0 ? 0 : 1;
  }
  mappings_ += piece.address_offset == address ? 0 : 1;
  return piece;
}

// Beyond the end of a file a mapping is a SIGBUS.
void Segment::refuse_another_size() const {
  for (const File& file : files_) {
    if (file.fd < 0 && file.bytes == 0) continue;
    struct stat found {};
    if (::fstat(file.fd, &found) != 0) throw Error{{"look at the segment of", name_, errno_text(), ""}};
    if (!S_ISREG(found.st_mode) || static_cast<std::uint64_t>(found.st_size) != file.bytes) {
      throw Error{{"map the segment of", name_,
                   fmt::format("it has {} bytes, and its description says {}", found.st_size, file.bytes),
                   ""}};
    }
  }
}

std::array<int, 3> Segment::open_read_only() const {
  std::array<int, kFiles> opened{-1, -1, -1};
  for (std::size_t file = 0; file < kFiles; ++file) {
    if (files_[file].fd < 0) continue;
    const std::string path = fmt::format("/proc/self/fd/{}", files_[file].fd);
    opened[file] = sluice::detail::above_standard(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (opened[file] >= 0) continue;
    const std::string why = errno_text();
    for (const int fd : opened) {
      if (fd >= 0) ::close(fd);
    }
    throw Error{{"open for reading the segment of", name_, why, "mount /proc"}};
  }
  return opened;
}

// Huge pages of the pool are no part of what is available.
void Segment::refuse_more_than_there_is() const {
  refuse_more_memory_than_there_is(name_, files_[0].bytes, mappings_);
}

void Segment::create_memory() {
  refuse_more_than_there_is();
  files_[0].fd = sluice::detail::above_standard(
      ::memfd_create(memory_file_name(name_).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (files_[0].fd < 0)
    throw Error{{"create the segment of", name_, errno_text(),
                 sluice::detail::remedy_for_call(errno, "memfd_create")}};
  if (::ftruncate(files_[0].fd, static_cast<off_t>(files_[0].bytes)) != 0) {
    throw Error{{"size the segment of", name_, errno_text(), kTakeLessMemory}};
  }
}

// What is mapped now can be made writable by its owner; no descriptor, wherever it gets to, can be mapped so anew. Where that
// cannot be, no read-only descriptor can at least be opened anew for writing: an owner who is not root has to change the mode.
void Segment::seal_everything() {
  const bool mapped_anew = writable_ == Writable::where_mapped_anew;
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (mapped_anew ? 0 : F_SEAL_FUTURE_WRITE);
  for (const File& file : files_) {
    if (file.fd < 0) continue;
    if (::fcntl(file.fd, F_ADD_SEALS, seals) != 0 || (mapped_anew && ::fchmod(file.fd, S_IRUSR) != 0))
      throw Error{
          {"seal the segment of", name_, errno_text(), sluice::detail::remedy_for_call(errno, "fcntl")}};
  }
}

void Segment::reserve_addresses() {
  // From the start of a huge page on; what is before and behind is given back.
  const std::size_t unit = kHugePageBytes[files_[1 + kOneGib].bytes == 0 ? kTwoMib : kOneGib];
  void* found =
      ::mmap(nullptr, address_bytes_ + unit, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (found == MAP_FAILED) {
    const std::string why = errno_text();
    refuse_addresses(name_, address_bytes_ + unit);
    throw Error{{"reserve addresses for the segment of", name_, why, kTakeLessMemory}};
  }
  auto* first = static_cast<std::byte*>(found);
  const std::size_t before = (unit - reinterpret_cast<std::uintptr_t>(first) % unit) % unit;
  base_ = first + before;
  if (before != 0) ::munmap(first, before);
  ::munmap(base_ + address_bytes_, unit - before);
}

void Segment::map_everything() {
  for (const Region& region : regions_) {
    map_piece(region.plain, region.plain.address_offset);
    if (on_demand_) continue;
    for (const Piece& ring : region.rings) {
      map_piece(ring, ring.address_offset);
      map_piece(ring, ring.address_offset + ring.bytes);
    }
  }
  if (on_demand_)
    map_piece({.address_offset = 0, .bytes = 0, .parts = {Part{0, files_[0].bytes}}}, whole_offset_);
}

void Segment::map_piece(const Piece& piece, std::size_t address_offset) {
  for (std::size_t file = 0; file < kFiles; ++file) {
    const Part& part = piece.parts[file];
    if (part.bytes == 0) continue;
    void* mapped = ::mmap(base_ + address_offset, part.bytes, PROT_READ, MAP_SHARED | MAP_FIXED,
                          files_[file].fd, static_cast<off_t>(part.file_offset));
    if (mapped == MAP_FAILED) {
      throw Error{{"map the segment of", name_, errno_text(),
                   "raise vm.max_map_count: every lane takes two mappings"}};
    }
    address_offset += part.bytes;
  }
}

void Segment::keep_out_of_cores(std::size_t region, std::size_t first_byte) noexcept {
  const Region& found = regions_[region];
  const std::size_t kept = std::min(whole_pages(first_byte), found.plain.bytes);
  const auto leave_out = [this](std::size_t first, std::size_t end) {
    // A kernel that refuses writes larger cores, and that is all.
    if (end > first) ::madvise(base_ + first, end - first, MADV_DONTDUMP);
  };
  leave_out(found.plain.address_offset + kept, found.plain.address_offset + found.plain.bytes);
  // What is mapped of the whole is left out as it is.
  if (on_demand_) return leave_out(whole_offset_, whole_offset_ + whole_bytes_);
  if (!found.rings.empty()) leave_out(found.rings.front().address_offset, end_of_rings(found));
}

std::span<std::byte> Segment::plain(std::size_t region) const noexcept {
  SLUICE_ASSERT(region < regions_.size());
  const Piece& found = regions_[region].plain;
  return {base_ + found.address_offset, found.bytes};
}

}  // namespace sluice::ipc
