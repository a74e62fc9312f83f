// SPDX-License-Identifier: Apache-2.0
// Which process has the mappings of which rings, and which bytes it may write.
//
// Where there are many rings, the file of small pages is mapped once as a whole, and the two mappings of a ring are made
// of that one when somebody asks for them. They have its rights, so that no descriptor is needed that could be written through.
#include <algorithm>
#include <sys/mman.h>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/pages.hpp>
#include <sluice/error.hpp>

#include "memory_limits.hpp"
#include "sluice/ipc/segment.hpp"

namespace sluice::ipc {

void Segment::lay_out_whole() {
  for (Region& region : regions_)
    region.mapped.assign(region.rings.size(), false);
  // On whole huge pages, as the file is, and large enough for what huge files do not give (put_into_small_pages()).
  whole_offset_ = sluice::detail::round_up(address_bytes_, kHugePageBytes[kTwoMib]);
  whole_bytes_ = memory_bytes();
  address_bytes_ = whole_offset_ + whole_bytes_;
}

void* Segment::map_again(std::size_t from, std::size_t bytes, std::size_t to) const noexcept {
  // An old size of 0: what is there stays, and is mapped a second time.
  return ::mremap(base_ + from, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, base_ + to);
}

void Segment::map_ring(std::size_t region, std::size_t index) {
  SLUICE_ASSERT(region < regions_.size() && index < regions_[region].rings.size());
  Region& found = regions_[region];
  if (!on_demand_ || found.mapped[index]) return;
  const Piece& ring = found.rings[index];
  for (const std::size_t to : {ring.address_offset, ring.address_offset + ring.bytes}) {
    if (map_again(once_at(ring), ring.bytes, to) == MAP_FAILED) {
      throw Error{{"map a lane of", name_, "mremap: " + errno_text(),
                   "raise vm.max_map_count: every lane takes two mappings in the processes that use it"}};
    }
  }
  found.mapped[index] = true;
  if (owned_ == region || owned_ == kEverything)
    protect(ring.address_offset, 2 * ring.bytes, PROT_READ | PROT_WRITE);
}

void Segment::unmap_rings() noexcept {
  for (Region& region : regions_) {
    for (std::size_t i = 0; i < region.mapped.size(); ++i) {
      if (!region.mapped[i]) continue;
      const Piece& ring = region.rings[i];
      // A kernel that has no room for that leaves it where it is.
      region.mapped[i] = ::mmap(base_ + ring.address_offset, 2 * ring.bytes, PROT_READ,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED;
    }
  }
}

RingView Segment::ring(std::size_t region, std::size_t index) const noexcept {
  SLUICE_ASSERT(region < regions_.size() && index < regions_[region].rings.size());
  const Piece& found = regions_[region].rings[index];
  return {base_ + found.address_offset, found.bytes};
}

std::span<std::byte> Segment::ring_memory(std::size_t region, std::size_t index) const noexcept {
  SLUICE_ASSERT(region < regions_.size() && index < regions_[region].rings.size());
  const Piece& found = regions_[region].rings[index];
  return {base_ + once_at(found), found.bytes};
}

std::span<std::byte> Segment::plain_memory(std::size_t region) const noexcept {
  SLUICE_ASSERT(region < regions_.size());
  const Piece& found = regions_[region].plain;
  const bool in_whole = on_demand_ && found.parts[0].bytes == found.bytes;
  return {base_ + (in_whole ? whole_offset_ + found.parts[0].file_offset : found.address_offset),
          found.bytes};
}

bool Segment::holds(std::size_t region, const void* address) const noexcept {
  const Region& found = regions_[region];
  const auto at = static_cast<std::size_t>(static_cast<const std::byte*>(address) - base_);
  const auto lies_in = [at](std::size_t first, std::size_t end) { return at >= first && at < end; };
  return lies_in(found.plain.address_offset, found.plain.address_offset + found.plain.bytes) ||
         (!found.rings.empty() && lies_in(found.rings.front().address_offset, end_of_rings(found)));
}

void Segment::protect(std::size_t address_offset, std::size_t bytes, int protection) {
  if (::mprotect(base_ + address_offset, bytes, protection) != 0) {
    throw Error{{"change the protection of the segment of", name_, errno_text(),
                 sluice::detail::remedy_for_call(errno, "mprotect")}};
  }
}

// What lies between two pieces belongs to none, and neither does a ring that is not mapped.
void Segment::protect(const Region& region, int protection) {
  std::size_t first = region.plain.address_offset;
  std::size_t end = first + region.plain.bytes;
  for (std::size_t i = 0; i < region.rings.size(); ++i) {
    if (on_demand_ && !region.mapped[i]) continue;
    const Piece& ring = region.rings[i];
    if (ring.address_offset != end) {
      protect(first, end - first, protection);
      first = ring.address_offset;
    }
    end = ring.address_offset + 2 * ring.bytes;
  }
  protect(first, end - first, protection);
}

void Segment::protect_everything(int protection) {
  for (const Region& region : regions_)
    protect(region, protection);
  if (on_demand_) protect(whole_offset_, files_[0].bytes, protection);
}

void Segment::own(std::size_t region) {
  SLUICE_ASSERT(region < regions_.size());
  if (owned_ == region) return;
  own_nothing();
  protect(regions_[region], PROT_READ | PROT_WRITE);
  owned_ = region;
}

void Segment::own_nothing() {
  if (owned_ == kEverything) {
    protect_everything(PROT_READ);
  } else if (owned_ != kNothing) {
    protect(regions_[owned_], PROT_READ);
  }
  owned_ = kNothing;
}

void Segment::own_everything() {
  protect_everything(PROT_READ | PROT_WRITE);
  owned_ = kEverything;
}

}  // namespace sluice::ipc
