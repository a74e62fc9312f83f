// SPDX-License-Identifier: Apache-2.0
// Where a process belongs now, in the master's register: the plan's place, until the master has to plan anew.
//
// The master writes it, and a replacement, the host and observers read it. They may read it while it is written: what
// follows from that is a binding that the master puts right at its next look.
#pragma once

#include <atomic>
#include <cstdint>

#include <sluice/pinning/masks.hpp>
#include <sluice/pinning/place.hpp>

namespace sluice::detail {

using SharedMask = std::atomic<pinning::CpuSet::Word>[pinning::kMaskWords];

struct PlaceEntry {
  // Written by the master only.
  SharedMask units;  // Empty until it is entered, and for a place with units that no mask can hold.
  std::atomic<std::int32_t> numa_node;
  std::atomic<std::uint32_t> shared;
  std::atomic<std::uint32_t> displaced;     // How often its process was found on other units.
  std::atomic<std::uint32_t> put_back;      // How often it was put back.
  std::atomic<std::uint32_t> planned_anew;  // How often it was given another place.
  std::atomic<std::int32_t> refused;  // Why it could not be put back: errno; 0 while nothing refuses it.
};

void store_mask(SharedMask& shared, const pinning::Mask& mask) noexcept;
pinning::Mask load_mask(const SharedMask& shared) noexcept;

void enter_place(PlaceEntry& entry, const pinning::Mask& units, int numa_node, bool shared) noexcept;
void enter_place(PlaceEntry& entry, const pinning::Place& place) noexcept;
// `planned` where nothing is entered. Allocates.
pinning::Place place_in(const PlaceEntry& entry, const pinning::Place& planned);

}  // namespace sluice::detail
