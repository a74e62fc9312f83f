// SPDX-License-Identifier: Apache-2.0
#include "master/page_sample.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/pages.hpp>

#include "layout/place_entry.hpp"
#include "layout/relaxed.hpp"

// relaxed throughout: counts for people, written by the master alone.
namespace sluice::detail {
namespace {

// Another page of a piece each round, spread over it.
std::size_t page_of(std::size_t round, std::size_t pages) noexcept {
  constexpr std::size_t kStride = 7919;  // A prime that divides no power of two.
  return round * kStride % pages;
}

}  // namespace

PageSample::PageSample(const Wiring& wiring, const Placement& placement)
    : wiring_{wiring}, placement_{placement} {
  if (placement.topology.nodes.size() < 2) return;
  const Layout& layout = wiring.layout();
  for (const ProcessIndex process : layout.processes.indices())
    add(wiring.segment().plain(process.value()), process);
  for (const LaneIndex lane : wiring.lanes())
    add(wiring.ring(lane), layout.lanes[lane].consumer);
}

void PageSample::add(std::span<const std::byte> memory, ProcessIndex reader) {
  if (!memory.empty()) pieces_.push_back({.memory = memory, .reader = reader.value()});
}

// Of a place that was not entered, and of the host, which nobody moves, the plan's.
int PageSample::node_of(ProcessIndex process) const noexcept {
  const pinning::Place& planned = place_of(placement_, process);
  if (process == kHostProcess) return planned.numa_node;
  const PlaceEntry& entry =
      process == kMasterProcess ? wiring_.master().place : wiring_.entry(worker_of(process)).place;
  return pinning::is_empty(load_mask(entry.units)) ? planned.numa_node : entry.numa_node.load(kRelaxed);
}

bool PageSample::any_to_move() const noexcept {
  return std::any_of(pieces_.begin(), pieces_.end(), [](const PagePiece& piece) { return piece.elsewhere; });
}

int PageSample::look() noexcept {
  std::array<void*, kPagesAsked> pages{};
  std::array<PagePiece*, kPagesAsked> asked{};
  std::array<int, kPagesAsked> found{};
  const std::size_t count = std::min(kPagesAsked, pieces_.size());
  for (std::size_t i = 0; i < count; ++i) {
    PagePiece& piece = pieces_[next_piece_];
    const int node = node_of(ProcessIndex{piece.reader});
    if (node != std::exchange(piece.node, node)) piece.pause = piece.not_before = std::chrono::nanoseconds{0};
    const std::size_t in_piece = page_of(round_, std::max<std::size_t>(piece.memory.size() / kPageBytes, 1));
    const std::byte* page = piece.memory.data() + in_piece * kPageBytes;
    // The kernel tells of pages that this process has mapped: it looks at it once.
    static_cast<void>(*static_cast<const volatile std::byte*>(page));
    pages[i] = const_cast<std::byte*>(page);
    asked[i] = &piece;
    found[i] = -ENOENT;
    if (++next_piece_ == pieces_.size()) {
      next_piece_ = 0;
      ++round_;
    }
  }
  if (::syscall(SYS_move_pages, 0, count, pages.data(), nullptr, found.data(), 0) != 0) {
    pieces_.clear();
    return errno;
  }
  const std::chrono::nanoseconds now = monotonic_now();
  std::uint64_t elsewhere = 0;
  for (std::size_t i = 0; i < count; ++i) {
    PagePiece& piece = *asked[i];
    if (found[i] < 0 || piece.node < 0 || found[i] == piece.node) continue;
    ++elsewhere;
    piece.elsewhere = now >= piece.not_before;
  }
  MasterRegister& own = wiring_.master();
  own.pages_looked_at.store(own.pages_looked_at.load(kRelaxed) + count, kRelaxed);
  own.pages_elsewhere.store(own.pages_elsewhere.load(kRelaxed) + elsewhere, kRelaxed);
  return 0;
}

}  // namespace sluice::detail
