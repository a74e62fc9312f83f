// SPDX-License-Identifier: Apache-2.0
// All that there is counts as changed, piece by piece: what a chain of checkpoints is renewed with (checkpoint_store.hpp).
#include <algorithm>

#include "checkpoint/shadow.hpp"

namespace sluice::detail {

std::size_t Shadow::bytes_present() const noexcept {
  return (present_.size() + untouched_.size()) * kPageBytes;
}

// As copy_restored().
void Shadow::copy_untouched(std::size_t page) noexcept {
  for (const WorkerIndex worker : wiring_.workers()) {
    const std::size_t first = state_page(worker);
    if (page < first || page >= first + wiring_.worker(worker).page_stamps().size()) continue;
    copy_page(page, wiring_.worker(worker).state().data() + (page - first) * kPageBytes, true);
  }
  untouched_.remove(page);
}

bool Shadow::renew(std::size_t bytes) noexcept {
  const std::size_t end = image_.bytes() / kPageBytes;
  for (std::size_t pages = std::max<std::size_t>(bytes / kPageBytes, 1); pages != 0 && renewed_to_ < end;
       ++renewed_to_) {
    if (untouched_.has(renewed_to_)) copy_untouched(renewed_to_);
    if (!present_.has(renewed_to_)) continue;
    changed_.add(renewed_to_);
    --pages;
  }
  if (renewed_to_ < end) return false;
  is_whole_ = true;
  for (Ring& ring : rings_)
    ring.saved = 0;
  return true;
}

}  // namespace sluice::detail
