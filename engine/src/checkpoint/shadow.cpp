// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/shadow.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/standard_streams.hpp>
#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "layout/relaxed.hpp"

namespace sluice::detail {
namespace {

bool is_zero(const std::byte* page) noexcept {
  static constexpr std::byte kZeros[kPageBytes]{};
  return std::memcmp(page, kZeros, kPageBytes) == 0;
}

// Of a copy: nobody writes it.
const ipc::CommitHeader& commit_in(const std::byte* at) noexcept {
  return *reinterpret_cast<const ipc::CommitHeader*>(at);
}

}  // namespace

Shadow::Shadow(const Wiring& wiring, std::string_view shape, Begins begins)
    : wiring_{wiring},
      restored_{begins == Begins::restored},
      is_whole_{!restored_},
      image_{wiring.layout(), shape},
      base_{static_cast<std::byte*>(::mmap(nullptr, image_.bytes(), PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))},
      present_{image_.bytes() / kPageBytes},
      changed_{image_.bytes() / kPageBytes},
      behind_{image_.bytes() / kPageBytes},
      untouched_{image_.bytes() / kPageBytes},
      carried_{image_.bytes() / kPageBytes},
      rings_(wiring.layout().lanes.size()) {
  if (base_ == MAP_FAILED) {
    throw Error{{"copy the segment of", wiring.graph().name,
                 format_bytes(image_.bytes()) + " of addresses: " + errno_text(),
                 "allow this user more memory (ulimit -v), or take no checkpoints"}};
  }
  ::madvise(base_, image_.bytes(), MADV_DONTDUMP);
  ImageMap::write_shape({base_, image_.bytes()}, shape);
  for (std::size_t page = 0; page * kPageBytes < image_.plain(kHostProcess); ++page) {
    present_.add(page);
    if (!restored_) changed_.add(page);
  }
  if (restored_) add_all_but_state();
  for (const WorkerIndex worker : wiring_.workers()) {
    in_an_event_.push_back(false);
    begin_with(worker);
  }
}

Shadow::~Shadow() {
  ::munmap(base_, image_.bytes());
}

void Shadow::begin_with(WorkerIndex worker) noexcept {
  const std::size_t first = state_page(worker);
  const std::span<const ipc::PageStamp> stamps = wiring_.worker(worker).page_stamps();
  // The last one may be none of state alone.
  const std::size_t whole_pages = wiring_.worker(worker).state().size() / kPageBytes;
  for (std::size_t page = 0; page < stamps.size(); ++page) {
    // relaxed: one that is stamped from here on is collected with its round, which is not over.
    const bool untouched = restored_ && page < whole_pages && stamps[page].load(kRelaxed) == 0;
    (untouched ? untouched_ : behind_).add(first + page);
  }
}

// What was not zero in the checkpoint may be now, and is not found by comparing.
void Shadow::add_all_but_state() noexcept {
  for (const ProcessIndex process : wiring_.processes()) {
    const ProcessLayout& layout = wiring_.layout().processes[process];
    const std::size_t bytes = layout.state_bytes == 0 ? layout.plain_bytes : layout.entries;
    const std::size_t first = image_.plain(process) / kPageBytes;
    for (std::size_t page = first; page * kPageBytes < image_.plain(process) + bytes; ++page)
      changed_.add(page);
  }
}

std::uint32_t Shadow::round() const noexcept {
  // relaxed: the master counts it on only while this process has nothing to do with it.
  return wiring_.master().checkpoint_round.load(kRelaxed);
}

std::size_t Shadow::state_page(WorkerIndex worker) const noexcept {
  const ProcessIndex process = process_of(worker);
  return (image_.plain(process) + wiring_.layout().processes[process].state) / kPageBytes;
}

void Shadow::collect(WorkerIndex worker) noexcept {
  const std::uint32_t now = round();
  const std::size_t first = state_page(worker);
  const std::span<const ipc::PageStamp> stamps = wiring_.worker(worker).page_stamps();
  for (std::size_t page = 0; page < stamps.size(); ++page) {
    // relaxed: what counts is read while the worker stands still.
    if (stamps[page].load(kRelaxed) >= now) behind_.add(first + page);
  }
  carried_.for_each(first, first + stamps.size(), [this](std::size_t page) { behind_.add(page); });
}

std::size_t Shadow::bytes_behind() noexcept {
  std::size_t pages = 0;
  for (const WorkerIndex worker : wiring_.workers()) {
    collect(worker);
    const std::size_t first = state_page(worker);
    behind_.for_each(first, first + wiring_.worker(worker).page_stamps().size(),
                     [&pages](std::size_t) { ++pages; });
  }
  return pages * kPageBytes;
}

void Shadow::end_round() noexcept {
  for (const WorkerIndex worker : wiring_.workers()) {
    collect(worker);
    // relaxed: it stands still. Whoever is in the midst of an event has noted something, or changes nothing.
    const bool in_an_event = wiring_.worker(worker).undo().tail.load(kRelaxed) != 0;
    const std::size_t first = state_page(worker);
    const std::size_t end = first + wiring_.worker(worker).page_stamps().size();
    if (in_an_event) {
      behind_.for_each(first, end, [this](std::size_t page) { carried_.add(page); });
    } else if (in_an_event_[worker.value()]) {
      carried_.for_each(first, end, [this](std::size_t page) { carried_.remove(page); });
    }
    in_an_event_[worker.value()] = in_an_event;
  }
}

void Shadow::copy_page(std::size_t page, const std::byte* from, bool as_restored) noexcept {
  const bool stays_zero = !present_.has(page) && is_zero(from);
  // What the checkpoint had there is not known.
  if (restored_ && !as_restored) changed_.add(page);
  if (stays_zero) return;
  std::memcpy(base_ + page * kPageBytes, from, kPageBytes);
  present_.add(page);
  if (!restored_) changed_.add(page);
}

void Shadow::copy_restored() noexcept {
  if (is_whole_) return;
  for (const WorkerIndex worker : wiring_.workers()) {
    const std::size_t first = state_page(worker);
    const std::span<const std::byte> state = wiring_.worker(worker).state();
    // What is stamped meanwhile is copied again, and counts as changed then.
    untouched_.for_each(first, first + wiring_.worker(worker).page_stamps().size(), [&](std::size_t page) {
      copy_page(page, state.data() + (page - first) * kPageBytes, true);
      untouched_.remove(page);
    });
  }
  is_whole_ = true;
}

void Shadow::copy_state(WorkerIndex worker) noexcept {
  const std::size_t first = state_page(worker);
  const std::span<const std::byte> state = wiring_.worker(worker).state();
  const std::span<const ipc::PageStamp> stamps = wiring_.worker(worker).page_stamps();
  behind_.for_each(first, first + stamps.size(), [&](std::size_t page) {
    const std::size_t at = (page - first) * kPageBytes;
    // relaxed: one that is stamped from here on is copied again while its worker stands still.
    const bool as_restored = restored_ && stamps[page - first].load(kRelaxed) == 0;
    if (state.size() - at >= kPageBytes) {
      copy_page(page, state.data() + at, as_restored);
    } else {
      if (restored_) changed_.add(page);
      copy_compared(page * kPageBytes, state.subspan(at));
    }
    behind_.remove(page);
    untouched_.remove(page);
  });
}

void Shadow::copy_state_ahead() noexcept {
  for (const WorkerIndex worker : wiring_.workers())
    copy_state(worker);
}

void Shadow::copy_lanes_ahead() noexcept {
  for (const LaneIndex lane : wiring_.lanes()) {
    const ipc::LaneMemory memory = wiring_.lane(lane);
    // [lane.tail] [lane.head] acquire: the slots before the tail, and what the head gave free is not needed.
    const std::uint64_t tail = memory.producer->tail.load(std::memory_order_acquire);
    copy_ring(lane, memory.consumer->head.load(std::memory_order_acquire), tail);
  }
}

// The pages of [offset, offset + size) that are not as they were.
void Shadow::copy_compared(std::size_t offset, std::span<const std::byte> from) noexcept {
  for (std::size_t done = 0; done < from.size();) {
    const std::size_t at = offset + done;
    const std::size_t bytes = std::min(kPageBytes - at % kPageBytes, from.size() - done);
    if (std::memcmp(base_ + at, from.data() + done, bytes) != 0) {
      std::memcpy(base_ + at, from.data() + done, bytes);
      present_.add(at / kPageBytes);
      changed_.add(at / kPageBytes);
    }
    done += bytes;
  }
}

// All but the stamps, which count rounds of this life, and what of the undo log is not in use.
void Shadow::copy_worker(WorkerIndex worker) noexcept {
  const ProcessIndex process = process_of(worker);
  const WorkerMemory memory = wiring_.worker(worker);
  const std::size_t at = image_.plain(process);
  const std::span<const std::byte> plain = wiring_.segment().plain(process.value());
  copy_compared(at, plain.first(memory.layout().entries));
  // relaxed: it stands still.
  const std::uint64_t tail = memory.undo().tail.load(kRelaxed);
  copy_compared(at + memory.layout().entries,
                memory.undo_entries().first(std::min<std::uint64_t>(tail, memory.layout().undo_bytes)));
  copy_state(worker);
}

// Between two commits nothing moves; in the midst of one the record stands, and a recovery stores the cursors from it.
bool Shadow::copy_end(const EndLayout& end) noexcept {
  constexpr int kMostTries = 10'000;
  const std::size_t at = image_.plain(kHostProcess);
  const std::span<const std::byte> plain = wiring_.segment().plain(kHostProcess.value());
  const ipc::CommitHeader& commit = wiring_.end(end.node).commit;
  const std::span<std::atomic<std::uint64_t>> cursors = wiring_.host().cursors();
  const std::size_t cursors_at = wiring_.layout().processes[kHostProcess].cursors;
  const auto copy_word = [&](std::uint64_t word) {
    // [lane.tail] [lane.head] [lane.ended] acquire: the commit that it belongs to is seen as begun, then.
    const std::uint64_t value = cursors[word].load(std::memory_order_acquire);
    copy_compared(at + cursors_at + word * sizeof(value), std::as_bytes(std::span{&value, 1}));
  };
  for (int tries = 0; tries < kMostTries; ++tries) {
    // [commit.committed] [commit.applied] acquire: the record before the one, the cursors before the other.
    const std::uint64_t applied = commit.applied.load(std::memory_order_acquire);
    const std::uint64_t committed = commit.committed.load(std::memory_order_acquire);
    copy_compared(at + end.commit, plain.subspan(end.commit, sizeof(ipc::CommitHeader)));
    copy_compared(at + end.record, plain.subspan(end.record, end.entries * sizeof(ipc::RedoEntry)));
    copy_word(end.count_word);
    for (const LaneLayout& lane : wiring_.layout().lanes) {
      if (wiring_.edge(lane).from == end.node) {
        copy_word(lane.producer_word);
        copy_word(lane.producer_word + offsetof(ipc::ProducerLine, ended) / sizeof(std::uint64_t));
      }
      if (wiring_.edge(lane).to == end.node) copy_word(lane.consumer_word);
    }
    // [commit.committed] acquire: all that was copied before both are looked at again.
    std::atomic_thread_fence(std::memory_order_acquire);
    const ipc::CommitHeader& copied = commit_in(base_ + at + end.commit);
    if (commit.committed.load(kRelaxed) == committed && commit.applied.load(kRelaxed) == applied &&
        copied.committed.load(kRelaxed) == committed && copied.applied.load(kRelaxed) == applied) {
      return true;
    }
  }
  return false;
}

bool Shadow::copy_host() noexcept {
  const std::span<const std::byte> plain = wiring_.segment().plain(kHostProcess.value());
  copy_compared(image_.plain(kHostProcess), plain);
  const std::vector<EndLayout>& ends = wiring_.layout().ends;
  return std::all_of(ends.begin(), ends.end(), [this](const EndLayout& end) { return copy_end(end); });
}

std::uint64_t Shadow::cursor(ProcessIndex process, const std::byte* commit, const std::byte* record,
                             std::uint64_t word) const noexcept {
  const ProcessLayout& layout = wiring_.layout().processes[process];
  const std::byte* cursors = base_ + image_.plain(process) + layout.cursors;
  std::uint64_t value = 0;
  std::memcpy(&value, cursors + word * sizeof(value), sizeof(value));
  const ipc::CommitHeader& header = commit_in(commit);
  if (header.committed.load(kRelaxed) == header.applied.load(kRelaxed)) return value;
  const auto* entries = reinterpret_cast<const ipc::RedoEntry*>(record);
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(header.count, layout.cursor_words); ++i) {
    if (entries[i].word == word) value = entries[i].value;
  }
  return value;
}

std::uint64_t Shadow::cursor(ProcessIndex process, NodeIndex node, std::uint64_t word) const noexcept {
  const std::byte* plain = base_ + image_.plain(process);
  if (process != kHostProcess) {
    const ProcessLayout& layout = wiring_.layout().processes[process];
    return cursor(process, plain + layout.commit, plain + layout.record, word);
  }
  const std::vector<EndLayout>& ends = wiring_.layout().ends;
  const auto end =
      std::find_if(ends.begin(), ends.end(), [node](const EndLayout& each) { return each.node == node; });
  return cursor(process, plain + end->commit, plain + end->record, word);
}

std::uint64_t Shadow::commits(WorkerIndex worker) const noexcept {
  const ProcessIndex process = process_of(worker);
  // relaxed: a copy.
  return commit_in(base_ + image_.plain(process) + wiring_.layout().processes[process].commit)
      .committed.load(kRelaxed);
}

std::uint64_t Shadow::state_word(WorkerIndex worker, std::size_t offset) const noexcept {
  std::uint64_t word = 0;
  const bool is_copied = !untouched_.has(state_page(worker) + offset / kPageBytes);
  const ProcessIndex process = process_of(worker);
  const std::byte* const copy = base_ + image_.plain(process) + wiring_.layout().processes[process].state;
  const std::byte* const state = is_copied ? copy : wiring_.worker(worker).state().data();
  std::memcpy(&word, state + offset, sizeof(word));
  return word;
}

std::uint64_t Shadow::events(const EndLayout& end) const noexcept {
  return cursor(kHostProcess, end.node, end.count_word);
}

// What lies between the two positions and is not in the shadow yet. A lane whose cursors a stray store has hit has nothing
// that could be copied; its workers find that out, and stop.
void Shadow::copy_ring(LaneIndex lane, std::uint64_t head, std::uint64_t tail) noexcept {
  const std::span<const std::byte> from = wiring_.ring(lane);
  Ring& ring = rings_[lane];
  if (tail < head || tail - head > from.size()) return;
  std::byte* const to = base_ + image_.ring(lane);
  for (std::uint64_t at = std::max(ring.copied, head); at < tail;) {
    const std::uint64_t offset = at & (from.size() - 1);
    const std::uint64_t bytes = std::min<std::uint64_t>(tail - at, from.size() - offset);
    std::memcpy(to + offset, from.data() + offset, bytes);
    at += bytes;
  }
  ring.copied = std::max(ring.copied, tail);
}

void Shadow::take_rings() noexcept {
  for (const LaneIndex lane : wiring_.lanes()) {
    const LaneLayout& layout = wiring_.layout().lanes[lane];
    const Edge& edge = wiring_.edge(layout);
    Ring& ring = rings_[lane];
    ring.head = cursor(layout.consumer, edge.to, layout.consumer_word);
    ring.tail = cursor(layout.producer, edge.from, layout.producer_word);
    copy_ring(lane, ring.head, ring.tail);
  }
}

bool Shadow::take() noexcept {
  end_round();
  if (!copy_host()) return false;
  copy_compared(image_.plain(kMasterProcess), wiring_.segment().plain(kMasterProcess.value()));
  for (const WorkerIndex worker : wiring_.workers())
    copy_worker(worker);
  take_rings();
  return true;
}

std::vector<Extent> Shadow::extents(const PageSet& pages, bool whole_rings) const {
  std::vector<Extent> found;
  const auto add = [&found](const std::byte* base, std::size_t offset, std::size_t bytes) {
    if (!found.empty() && found.back().offset + found.back().bytes.size() == offset) {
      found.back().bytes = {found.back().bytes.data(), found.back().bytes.size() + bytes};
    } else {
      found.push_back({offset, {base + offset, bytes}});
    }
  };
  pages.for_each(0, image_.bytes() / kPageBytes,
                 [&](std::size_t page) { add(base_, page * kPageBytes, kPageBytes); });
  for (const LaneIndex lane : wiring_.lanes()) {
    const Ring& ring = rings_[lane];
    const std::uint64_t capacity = wiring_.layout().lanes[lane].capacity_bytes;
    if (ring.tail < ring.head || ring.tail - ring.head > capacity) continue;
    for (std::uint64_t at = whole_rings ? ring.head : std::max(ring.saved, ring.head); at < ring.tail;) {
      const std::uint64_t offset = at & (capacity - 1);
      const std::uint64_t bytes = std::min(ring.tail - at, capacity - offset);
      add(base_, image_.ring(lane) + offset, bytes);
      at += bytes;
    }
  }
  // What lies in a ring begins behind its end.
  std::sort(found.begin(), found.end(), [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  return found;
}

std::vector<Extent> Shadow::everything() const {
  SLUICE_ASSERT(is_whole_);
  return extents(present_, true);
}

std::vector<Extent> Shadow::changes() const {
  return extents(changed_, false);
}

void Shadow::saved() noexcept {
  changed_.clear();
  for (Ring& ring : rings_)
    ring.saved = ring.tail;
}

}  // namespace sluice::detail
