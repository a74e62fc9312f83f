// SPDX-License-Identifier: Apache-2.0
// Creation and mapping of the segment; see the header for who may call what.
#include "sluice/ipc/segment.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/far_fence.hpp>

#include "memory_limits.hpp"
#include "segment_file.hpp"

namespace sluice::ipc {
namespace {

// More than any address space has, so that sums of sizes cannot wrap.
constexpr std::size_t kMostBytes = std::size_t{1} << 46;

}  // namespace

Segment::Segment(const std::string& name, std::span<const RegionSpec> regions) : name_{name} {
  join_far_fences();
  lay_out(regions, 0);
  try {
    create_memory();
    reserve_addresses();
    map_everything();
    // What is mapped now can be made writable by its owner; no descriptor, wherever it gets to, can be mapped
    // so anew.
    seal(F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
  } catch (...) {
    release();
    throw;
  }
}

Segment::Segment(const std::string& name, std::span<const RegionSpec> regions, const NamedFile& file)
    : name_{name}, file_{std::make_unique<SegmentFile>(file.path, file.shape)} {
  join_far_fences();
  lay_out(regions, file_->header_bytes());
  reserve_addresses();
}

Segment::Segment(const std::string& name, std::span<const RegionSpec> regions, const ForeignMemory& memory)
    : name_{name}, fd_{memory.fd} {
  try {
    lay_out(regions, memory.first_byte);
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
  if (fd_ >= 0 && file_ == nullptr) ::close(fd_);
}

bool Segment::open() {
  if (file_ == nullptr) return false;
  const bool taken_over = file_->take_over(file_bytes_);
  if (!taken_over) {
    refuse_more_than_there_is();
    file_->make(file_bytes_);
  }
  fd_ = file_->fd();
  map_everything();
  return taken_over;
}

void Segment::show_to_children(bool shown) {
  if (::madvise(base_, address_bytes_, shown ? MADV_DOFORK : MADV_DONTFORK) != 0) {
    throw Error{{"choose the processes that have the segment of", name_, errno_text(), ""}};
  }
}

void Segment::let_go() noexcept {
  if (file_ != nullptr) {
    file_->close();
  } else if (fd_ >= 0) {
    ::close(fd_);
  }
  fd_ = -1;
  base_ = nullptr;
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
  std::size_t address = 0;
  std::size_t file = first_byte;
  for (const RegionSpec& spec : regions) {
    Region region{address, file, whole_pages(std::max<std::size_t>(spec.plain_bytes, 1)), 0, {}};
    address += region.plain_bytes;
    file += region.plain_bytes;
    for (const std::size_t asked : spec.ring_bytes) {
      const std::size_t capacity = std::bit_ceil(std::max(asked, page_bytes()));
      region.rings.push_back({address, file, capacity});
      address += 2 * capacity;
      file += capacity;
    }
    region.address_bytes = address - region.address_offset;
    regions_.push_back(std::move(region));
  }
  file_bytes_ = file;
  // The last ring, too, has readable bytes behind it.
  static_assert(kReadableBeyond <= 4096);
  address_bytes_ = address + page_bytes();
}

// Beyond the end of a file a mapping is a SIGBUS.
void Segment::refuse_another_size() const {
  struct stat found {};
  if (::fstat(fd_, &found) != 0) throw Error{{"look at the segment of", name_, errno_text(), ""}};
  if (!S_ISREG(found.st_mode) || static_cast<std::uint64_t>(found.st_size) != file_bytes_) {
    throw Error{{"map the segment of", name_,
                 fmt::format("it has {} bytes, and its description says {}", found.st_size, file_bytes_),
                 ""}};
  }
}

int Segment::open_read_only() const {
  const std::string path = fmt::format("/proc/self/fd/{}", fd_);
  const int fd = sluice::detail::above_standard(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd < 0) throw Error{{"open for reading the segment of", name_, errno_text(), "mount /proc"}};
  return fd;
}

void Segment::refuse_more_than_there_is() const {
  std::size_t mappings = 0;
  for (const Region& region : regions_)
    mappings += 2 + 2 * region.rings.size();  // The plain part in two: keep_out_of_cores().
  refuse_more_memory_than_there_is(name_, file_bytes_, mappings);
}

void Segment::create_memory() {
  refuse_more_than_there_is();
  fd_ = sluice::detail::above_standard(
      ::memfd_create(("sluice:" + name_).substr(0, 240).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd_ < 0) throw Error{{"create the segment of", name_, errno_text(), ""}};
  if (::ftruncate(fd_, static_cast<off_t>(file_bytes_)) != 0) {
    throw Error{{"size the segment of", name_, errno_text(), kTakeLessMemory}};
  }
  seal(F_SEAL_SHRINK | F_SEAL_GROW);
}

void Segment::seal(int seals) {
  if (::fcntl(fd_, F_ADD_SEALS, seals) != 0) {
    throw Error{{"seal the segment of", name_, errno_text(), ""}};
  }
}

void Segment::reserve_addresses() {
  void* base = ::mmap(nullptr, address_bytes_, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    throw Error{{"reserve addresses for the segment of", name_, errno_text(), kTakeLessMemory}};
  }
  base_ = static_cast<std::byte*>(base);
}

void Segment::map_everything() {
  for (const Region& region : regions_) {
    map_piece(region.address_offset, region.file_offset, region.plain_bytes);
    for (const Ring& ring : region.rings) {
      map_piece(ring.address_offset, ring.file_offset, ring.capacity_bytes);
      map_piece(ring.address_offset + ring.capacity_bytes, ring.file_offset, ring.capacity_bytes);
    }
  }
}

void Segment::map_piece(std::size_t address_offset, std::size_t file_offset, std::size_t bytes) {
  void* wanted = base_ + address_offset;
  void* mapped =
      ::mmap(wanted, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd_, static_cast<off_t>(file_offset));
  if (mapped == MAP_FAILED) {
    throw Error{
        {"map the segment of", name_, errno_text(), "raise vm.max_map_count: every lane takes two mappings"}};
  }
}

void Segment::prefault() {
  int result = 0;
  do {
    result = ::fallocate(fd_, 0, 0, static_cast<off_t>(file_bytes_));
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    throw Error{{"allocate the memory of", name_, fmt::format("{} MiB: {}", file_bytes_ >> 20, errno_text()),
                 kTakeLessMemory}};
  }
  if (file_ != nullptr) file_->publish();
}

void Segment::keep_out_of_cores(std::size_t region, std::size_t first_byte) noexcept {
  const Region& found = regions_[region];
  const std::size_t kept = std::min(whole_pages(first_byte), found.plain_bytes);
  // A kernel that refuses writes larger cores, and that is all.
  ::madvise(base_ + found.address_offset + kept, found.address_bytes - kept, MADV_DONTDUMP);
}

void Segment::protect(std::size_t address_offset, std::size_t bytes, int protection) {
  if (::mprotect(base_ + address_offset, bytes, protection) != 0) {
    throw Error{{"change the protection of the segment of", name_, errno_text(), ""}};
  }
}

void Segment::own(std::size_t region) {
  SLUICE_ASSERT(region < regions_.size());
  if (owned_ == region) return;
  own_nothing();
  protect(regions_[region].address_offset, regions_[region].address_bytes, PROT_READ | PROT_WRITE);
  owned_ = region;
}

void Segment::own_nothing() {
  if (owned_ == kEverything) {
    protect(0, address_bytes_ - page_bytes(), PROT_READ);
  } else if (owned_ != kNothing) {
    protect(regions_[owned_].address_offset, regions_[owned_].address_bytes, PROT_READ);
  }
  owned_ = kNothing;
}

void Segment::own_everything() {
  protect(0, address_bytes_ - page_bytes(), PROT_READ | PROT_WRITE);
  owned_ = kEverything;
}

std::span<std::byte> Segment::plain(std::size_t region) const noexcept {
  SLUICE_ASSERT(region < regions_.size());
  const Region& found = regions_[region];
  return {base_ + found.address_offset, found.plain_bytes};
}

RingView Segment::ring(std::size_t region, std::size_t index) const noexcept {
  SLUICE_ASSERT(region < regions_.size() && index < regions_[region].rings.size());
  const Ring& found = regions_[region].rings[index];
  return {base_ + found.address_offset, found.capacity_bytes};
}

std::span<std::byte> Segment::addresses(std::size_t region) const noexcept {
  SLUICE_ASSERT(region < regions_.size());
  const Region& found = regions_[region];
  return {base_ + found.address_offset, found.address_bytes};
}

}  // namespace sluice::ipc
