// SPDX-License-Identifier: Apache-2.0
// The neighbours of the worker under test, and copies of the segment.
#include "scene.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <sys/stat.h>

#include <sluice/detail/pages.hpp>

#include "layout/standstill.hpp"

namespace sluice::test {

using namespace detail;
namespace {

Settings small_settings(const Script& script) {
  Settings settings;
  for (const auto& [key, value] : {std::pair{"batch.events", "4"},
                                   {"lane.slots", "2"},
                                   {"lane.bytes", "4096"},
                                   // The batches of a source are full, however slow the steps are.
                                   {"batch.linger", "1h"}}) {
    settings.set(key, value);
  }
  if (!script.dead_letters.empty()) settings.set("report.path", script.dead_letters.string());
  return settings;
}

std::uint64_t stride_of(const Script& script, const Item& item) {
  return script.records ? Wire<Record<Item>>::stride(record_of(item)) : sizeof(Item);
}

// Reads what lies between the cursors of a lane without taking it.
std::vector<std::string> payloads(ipc::LaneConsumer& lane, bool records, std::uint64_t bytes) {
  std::vector<std::string> found;
  while (lane.readable() != 0) {
    std::span<const std::byte> payload{lane.data(), bytes};
    if (records) payload = ipc::peek_record(lane);
    if (lane.corrupt() || lane.readable() < payload.size()) return {"corrupt"};
    found.emplace_back(reinterpret_cast<const char*>(payload.data()), payload.size());
    lane.advance(records ? ipc::record_stride(payload.size()) : bytes);
  }
  if (lane.corrupt()) return {"corrupt"};
  return found;
}

}  // namespace

Scene::Scene(const Script& script)
    : script_{script}, host_{workload_pipeline(script).graph(), small_settings(script)} {
  wiring().segment().prefault();
  wiring().segment().own_everything();
  for (std::size_t lane = 0; lane < kInputs; ++lane) {
    positions_[lane].push_back(0);
    for (std::uint64_t number = 1; number <= script.items[lane]; ++number)
      positions_[lane].push_back(positions_[lane].back() + stride_of(script, {lane, number}));
  }
  if (!script.dead_letters.empty()) blame_poison();
  if (script.rounds) wiring().master().checkpoint_round.store(1);
}

ipc::LaneMemory Scene::input(std::size_t lane) const {
  return wiring().lane(view().layout().lanes_in[lane]);
}
ipc::LaneMemory Scene::output(std::size_t lane) const {
  return wiring().lane(view().layout().lanes_out[lane]);
}

void Scene::attend() {
  if (neighbours_.waits++ % 2 == 0) return;
  if (script_.rounds) ask_or_release();
  take();
  feed();
}

void Scene::ask_or_release() {
  std::atomic<std::uint32_t>& standstill = wiring().master().standstill;
  const std::uint32_t number = standstill.load();
  if (asks_to_stand(number)) {
    if (view().control().standing.load() >> 32U != number) return;
    end_round();
  }
  standstill.store(number + 1);
}

// Whoever copies the state by its stamps must find each page that has changed.
void Scene::end_round() {
  std::atomic<std::uint32_t>& round = wiring().master().checkpoint_round;
  const std::span<const std::byte> state = view().state();
  std::vector<std::byte>& before = neighbours_.state;
  const auto stamps = view().page_stamps();
  for (std::size_t page = 0; !before.empty() && page < stamps.size(); ++page) {
    const std::size_t at = page * kPageBytes;
    const std::size_t bytes = std::min(kPageBytes, state.size() - std::min(at, state.size()));
    const bool same = std::memcmp(state.data() + at, before.data() + at, bytes) == 0;
    if (!same && stamps[page].load() < round.load() && !neighbours_.in_an_event)
      neighbours_.wrong += "page " + std::to_string(page) + " has changed and has no stamp of its round; ";
  }
  before.assign(state.begin(), state.end());
  neighbours_.in_an_event = view().undo().tail.load() != 0;
  ++neighbours_.rounds;
  round.store(round.load() + 1);
}

void Scene::feed() {
  for (std::size_t lane = 0; lane < inputs(); ++lane)
    feed_lane(lane);
}

void Scene::feed_lane(std::size_t index) {
  ipc::LaneProducer lane{input(index)};
  std::uint64_t& fed = neighbours_.fed[index];
  for (std::uint64_t i = 0; i < script_.portion && fed < script_.items[index]; ++i) {
    const Item item{index, fed + 1};
    std::byte* at = lane.reserve(stride_of(script_, item));
    if (at == nullptr) break;
    if (script_.records) {
      Wire<Record<Item>>::write(at, record_of(item));
    } else {
      Wire<Item>::write(at, item);
    }
    lane.advance(stride_of(script_, item));
    ++fed;
  }
  if (fed == script_.items[index] && !neighbours_.closed[index]) {
    lane.end();
    neighbours_.closed[index] = true;
  }
  lane.publish();
}

void Scene::take() {
  for (std::size_t index = 0; index < kOutputs; ++index) {
    ipc::LaneConsumer lane{output(index)};
    for (std::string& payload : payloads(lane, index == kNotes, sizeof(Fact)))
      neighbours_.taken[index].push_back(std::move(payload));
    neighbours_.ended[index] = lane.at_end();
    lane.publish();
  }
}

void Scene::copy_from(const Scene& other) {
  for (const ProcessIndex process : wiring().processes()) {
    const std::size_t region = process.value();
    const std::span<std::byte> from = other.wiring().segment().plain(region);
    std::memcpy(wiring().segment().plain(region).data(), from.data(), from.size());
    for (std::size_t ring = 0; ring < wiring().layout().processes[process].lanes_out.size(); ++ring) {
      const ipc::RingView source = other.wiring().segment().ring(region, ring);
      std::memcpy(wiring().segment().ring(region, ring).data, source.data, source.capacity_bytes);
    }
  }
  neighbours_ = other.neighbours_;
  if (const std::filesystem::path before = file(); !before.empty()) std::filesystem::remove(before);
  const std::filesystem::path from = other.file();
  if (from.empty() || !std::filesystem::exists(from)) return;
  // The name of a file of dead letters is drawn by its run, which goes on here.
  const std::filesystem::path to =
      script_.dead_letters.empty() ? script_.file : script_.dead_letters / from.filename();
  std::filesystem::create_directories(to.parent_path());
  std::filesystem::copy_file(from, to);
  know_file(to);
}

// The state names the file by its inode, as AppendFile keeps it: length, mark of what it begins with, inode.
void Scene::know_file(const std::filesystem::path& file) {
  struct Known {
    std::uint64_t length_bytes, mark, inode;
  };
  // Behind these three, what a file of dead letters has besides.
  constexpr std::size_t kOfLetters = sizeof(Known) + 24;
  const std::span<std::byte> area = view().state();
  const std::byte* piece = script_.dead_letters.empty() ? StateArea::find(area, "file", sizeof(Known))
                                                        : StateArea::find(area, "sluice.letters", kOfLetters);
  struct stat status {};
  if (piece == nullptr || ::stat(file.c_str(), &status) != 0) return;
  auto& known = *reinterpret_cast<Known*>(area.data() + (piece - area.data()));
  known.inode = status.st_ino;
}

std::vector<std::byte> Scene::region() const {
  const std::span<std::byte> plain = wiring().segment().plain(process_of(kWorkload).value());
  std::vector<std::byte> bytes(plain.begin(), plain.end());
  for (std::size_t index = 0; index < kOutputs; ++index) {
    const ipc::RingView ring = wiring().segment().ring(process_of(kWorkload).value(), index);
    bytes.insert(bytes.end(), ring.data, ring.data + ring.capacity_bytes);
  }
  return bytes;
}

bool Scene::region_is(const std::vector<std::byte>& bytes) const noexcept {
  const std::span<std::byte> plain = wiring().segment().plain(process_of(kWorkload).value());
  if (std::memcmp(plain.data(), bytes.data(), plain.size()) != 0) return false;
  const std::byte* at = bytes.data() + plain.size();
  for (std::size_t index = 0; index < kOutputs; ++index) {
    const ipc::RingView ring = wiring().segment().ring(process_of(kWorkload).value(), index);
    if (std::memcmp(ring.data, at, ring.capacity_bytes) != 0) return false;
    at += ring.capacity_bytes;
  }
  return true;
}

std::vector<std::uint64_t> Scene::cursors() const {
  const ProcessMemory region = view();
  std::vector<std::uint64_t> words{region.cursors()[kEventsIn].load(), region.cursors()[kEventsOut].load(),
                                   region.cursors()[kFinished].load()};
  for (std::size_t lane = 0; lane < inputs(); ++lane) {
    words.push_back(input(lane).consumer->head.load());
  }
  for (std::size_t lane = 0; lane < kOutputs; ++lane) {
    words.push_back(output(lane).producer->tail.load());
    words.push_back(output(lane).producer->ended.load());
  }
  return words;
}

std::uint64_t Scene::consumed(std::size_t lane) const {
  if (script_.source) {
    using Made = std::array<std::uint64_t, kInputs>;
    const auto* made = reinterpret_cast<const Made*>(StateArea::find(view().state(), "made", sizeof(Made)));
    return made != nullptr ? (*made)[lane] : 0;
  }
  if (lane >= inputs()) return 0;
  const std::uint64_t head = input(lane).consumer->head.load();
  const auto& positions = positions_[lane];
  const auto found = std::lower_bound(positions.begin(), positions.end(), head);
  const bool between = found == positions.end() || *found != head;
  return between ? ~std::uint64_t{0} : static_cast<std::uint64_t>(found - positions.begin());
}

std::vector<std::string> Scene::published(std::size_t index, bool& ended) const {
  std::vector<std::string> all = neighbours_.taken[index];
  ipc::LaneConsumer lane{output(index)};
  for (std::string& payload : payloads(lane, index == kNotes, sizeof(Fact)))
    all.push_back(std::move(payload));
  ended = lane.at_end();
  return all;
}

std::string Scene::lane_problems() const {
  std::string problems = neighbours_.wrong;
  for (const LaneIndex id : wiring().lanes()) {
    const ipc::LaneMemory lane = wiring().lane(id);
    const std::uint64_t head = lane.consumer->head.load();
    const std::uint64_t tail = lane.producer->tail.load();
    const std::uint64_t ended = lane.producer->ended.load();
    const std::string name = "lane " + std::to_string(id.value()) + ": ";
    if (head > tail || tail > head + lane.capacity_bytes) problems += name + "head, tail; ";
    if (ended != ipc::kGoesOn && ended != ipc::kEnded) problems += name + "ended; ";
  }
  return problems;
}

// The file of dead letters has the name of its run, and there is one at most.
std::filesystem::path Scene::file() const {
  if (script_.dead_letters.empty()) return script_.file;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator{script_.dead_letters, none})
    return entry.path();
  return {};
}

std::uint64_t Scene::file_bytes() const {
  if (file().empty()) return 0;
  std::error_code none;
  const auto bytes = std::filesystem::file_size(file(), none);
  return none ? 0 : bytes;
}

void Scene::truncate_file(std::uint64_t bytes) const {
  std::filesystem::resize_file(file(), bytes);
}

void Scene::blame_poison() {
  WorkerEntry& entry = view().entry();
  std::size_t blame = 0;
  for (std::size_t lane = 0; lane < kInputs; ++lane) {
    for (std::uint64_t number = 1; number <= script_.items[lane]; ++number) {
      if (!is_poison(script_, {lane, number})) continue;
      const std::uint64_t position = positions_[lane][number - 1];
      entry.blames[blame].cause.store(Cause::crashed);
      entry.blames[blame].signal.store(SIGSEGV);
      entry.blames[blame].attempts.store({3, 0});
      entry.blames[blame].lane.store(static_cast<std::uint32_t>(lane));
      entry.blames[blame++].event.store(event_word(position));
    }
  }
}

void begin_life(const Scene& scene) {
  ipc::Control& control = scene.view().control();
  control.incarnation.store(control.incarnation.load() + 1);
  ipc::nobody_sleeps(control);
}

ipc::Woken Attended::wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds) {
  if (before_) before_();
  scene_.attend();
  return ready() ? ipc::Woken::ready : ipc::Woken::bound;
}

}  // namespace sluice::test
