// SPDX-License-Identifier: Apache-2.0
#include "layout/place_entry.hpp"

#include "layout/relaxed.hpp"

// relaxed throughout: the header says what follows from a place that is read while it is written.
namespace sluice::detail {

void store_mask(SharedMask& shared, const pinning::Mask& mask) noexcept {
  for (std::size_t word = 0; word < mask.size(); ++word)
    shared[word].store(mask[word], kRelaxed);
}

pinning::Mask load_mask(const SharedMask& shared) noexcept {
  pinning::Mask mask;
  for (std::size_t word = 0; word < mask.size(); ++word)
    mask[word] = shared[word].load(kRelaxed);
  return mask;
}

void enter_place(PlaceEntry& entry, const pinning::Mask& units, int numa_node, bool shared) noexcept {
  store_mask(entry.units, units);
  entry.numa_node.store(numa_node, kRelaxed);
  entry.shared.store(shared ? 1 : 0, kRelaxed);
}

void enter_place(PlaceEntry& entry, const pinning::Place& place) noexcept {
  enter_place(entry, pinning::mask_of(place.units), place.numa_node, place.shared);
}

pinning::Place place_in(const PlaceEntry& entry, const pinning::Place& planned) {
  const pinning::Mask units = load_mask(entry.units);
  if (pinning::is_empty(units)) return planned;
  return {pinning::set_of(units), entry.numa_node.load(kRelaxed), entry.shared.load(kRelaxed) != 0};
}

}  // namespace sluice::detail
