// SPDX-License-Identifier: Apache-2.0
// Bits flip in the region of a dead worker, at every kind of moment it can have died: nobody crashes, hangs
// or reads what is not there, and whoever finds out says so in an Error that names the worker, stage or lane.
//
// What a flip in plain bytes of state or of events does is not promised to be found: then the answers differ.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <string>
#include <sys/mman.h>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/detail/sanitizers.hpp>
#include <sluice/error.hpp>

#include "ipc/child.hpp"
#include "scene.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using ipc::test::Child;

constexpr std::uint64_t kRoundsPerMoment = SLUICE_ADDRESS_SANITIZER ? 1'000 : 10'000;

// So that seeds that are neighbours share no round.
constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15U;

// The same in every run, so that a failure can be repeated; another one with WALLS_SEED.
std::uint64_t seed() {
  const char* text = std::getenv("WALLS_SEED");
  return text == nullptr ? 20'240'229 : std::strtoull(text, nullptr, 10);
}

// The death of one worker.
struct Moment {
  std::string name;
  ProcessIndex dead;
  Image image;
};

struct Stop {};

// Runs `split` until `hook` fires for the `nth` time; the segment as it is then.
Image image_at(Scene& scene, std::function<void()> Scene::*hook, int nth) {
  Image image;
  scene.*hook = [&] {
    if (--nth != 0) return;
    image = scene.image();
    throw Stop{};
  };
  try {
    const ProcessIndex split = scene.process("split/0");
    for (int i = 0; i < 1000; ++i)
      scene.step(split);
  } catch (const Stop&) {
  }
  scene.*hook = nullptr;
  return image;
}

// Between the second and the third step of the commit: all has happened, and no cursor has moved.
Image committed_not_applied(Scene& scene) {
  const ProcessIndex split = scene.process("split/0");
  const ProcessMemory view = scene.wiring().process(split);
  std::vector<std::uint64_t> cursors(view.cursors().size());
  std::vector<std::byte> undo(sizeof(view.undo()));
  std::uint64_t applied = 0;
  int commits = 0;
  scene.before_commit = [&] {
    if (++commits != 2) return;
    std::memcpy(cursors.data(), view.cursors().data(), view.cursors().size_bytes());
    std::memcpy(undo.data(), &view.undo(), undo.size());
    applied = view.commit().applied.load();
  };
  for (int i = 0; i < 2; ++i)
    scene.step(split);
  scene.before_commit = nullptr;
  std::memcpy(static_cast<void*>(view.cursors().data()), cursors.data(), view.cursors().size_bytes());
  std::memcpy(static_cast<void*>(&view.undo()), undo.data(), undo.size());
  view.commit().applied.store(applied);
  return scene.image();
}

void settle(Scene& scene) {
  while (scene.turn()) {
  }
}

std::vector<Moment> moments(Scene& scene) {
  const Image fresh = scene.image();
  const ProcessIndex split = scene.process("split/0");
  const ProcessIndex count = scene.process("count/1");
  std::vector<Moment> all;
  const auto begin = [&](std::uint32_t settled, std::uint32_t waiting) {
    scene.restore(fresh);
    scene.reopen(kHostProcess);
    scene.push(settled);
    settle(scene);
    scene.push(waiting);
  };
  begin(100, 0);
  all.push_back({"idle", split, scene.image()});
  all.push_back({"idle, the last stage", count, scene.image()});
  begin(100, 300);
  all.push_back({"with much to do", split, scene.image()});
  all.push_back({"half-way through a batch", split, image_at(scene, &Scene::in_event, 27)});
  begin(100, 300);
  all.push_back({"about to commit", split, image_at(scene, &Scene::before_commit, 3)});
  begin(100, 300);
  all.push_back({"committed, not applied", split, committed_not_applied(scene)});
  begin(100, 400);
  all.push_back({"waiting for room", split, image_at(scene, &Scene::in_wait, 1)});
  begin(100, 60);
  for (int i = 0; i < 3; ++i)
    scene.step(split);
  all.push_back({"with full lanes before it", count, scene.image()});
  scene.finish();
  all.push_back({"finished", split, scene.image()});
  all.push_back({"finished, the last stage", count, scene.image()});
  return all;
}

struct Part {
  std::string name;
  std::span<std::byte> bytes;
};

// The parts of a region, so that the small ones are hit as often as the large ones.
std::vector<Part> parts_of(const Scene& scene, ProcessIndex process) {
  const ProcessLayout& layout = scene.wiring().layout().processes[process];
  const auto part = [&](std::size_t offset, std::size_t bytes) { return scene.part(process, offset, bytes); };
  const std::size_t directory = StateArea::overhead_bytes();
  constexpr std::size_t kPiecesBytes = 64 + 3 * 256;  // The count, and the entries of the first pieces.
  std::vector<Part> parts{
      {"control", part(0, sizeof(ipc::Control))},
      {"cursors", part(layout.cursors, layout.cursor_words * sizeof(std::uint64_t))},
      {"commit", part(layout.commit, sizeof(ipc::CommitHeader))},
      {"record", part(layout.record, 8 * sizeof(ipc::RedoEntry))},
      {"undo", part(layout.undo, sizeof(ipc::UndoHeader))},
      {"counters", part(layout.counters, sizeof(ipc::Counters))},
      {"undo entries", part(layout.entries, 1024)},
      {"state directory", part(layout.state, directory)},
      {"pieces in use", part(layout.state, kPiecesBytes)},
      {"state", part(layout.state + directory, layout.state_bytes - directory)},
  };
  for (std::size_t ring = 0; ring < layout.lanes_out.size(); ++ring) {
    const ipc::RingView view = scene.wiring().segment().ring(process.value(), ring);
    parts.push_back({"ring " + std::to_string(ring), {view.data, view.capacity_bytes}});
  }
  return parts;
}

enum Outcome : std::size_t { kExact, kDifferent, kRefused, kOutcomes };
constexpr const char* kOutcomeNames[kOutcomes] = {"exact", "different", "refused"};

// What a child tells its parent, whatever becomes of it.
struct Tally {
  std::atomic<std::uint64_t> round;
  std::atomic<std::uint64_t> flips;
  std::atomic<std::uint64_t> outcomes[16][kOutcomes];  // By part.
  char text[512];
};

class Shared {
 public:
  Shared()
      : tally_{static_cast<Tally*>(
            ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))} {}
  ~Shared() { ::munmap(tally_, sizeof(Tally)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  Tally* operator->() const { return tally_; }

 private:
  Tally* tally_;
};

struct Answers {
  std::vector<Item> odd;
  std::vector<Counted> counted;
  friend bool operator==(const Answers&, const Answers&) = default;
};

// Neighbours, recovery, and everybody to the end. What is caught out throws Error.
Answers go_on(Scene& scene, ProcessIndex dead) {
  for (int i = 0; i < 3; ++i)
    scene.turn();
  scene.push(3);
  static_cast<void>(to_text(scene.host().stats(), {}, 0));
  scene.take_over(dead);
  static_cast<void>(to_text(scene.host().stats(), {}, 0));
  scene.push(20);
  scene.finish();
  static_cast<void>(to_text(scene.host().stats(), {}, 0));
  return {sorted(scene.odd()), sorted(scene.counted())};
}

bool names_somebody(const std::string& text) {
  return text.find("split") != std::string::npos || text.find("count") != std::string::npos;
}

// False when nobody can go on, or an error says too little.
bool play(Scene& scene, const Moment& moment, const std::vector<Part>& parts, const Answers& exact,
          std::mt19937_64& random, Tally& tally) {
  const auto below = [&random](std::uint64_t limit) { return random() % limit; };
  scene.restore(moment.image);
  scene.reopen(moment.dead);
  const std::size_t part = below(parts.size());
  const std::uint64_t flips = 1 + below(8);
  for (std::uint64_t i = 0; i < flips; ++i) {
    // Mostly in one part, where they can work together.
    const std::span<std::byte> bytes = parts[below(4) == 0 ? below(parts.size()) : part].bytes;
    bytes[below(bytes.size())] ^= std::byte{1} << below(8);
  }
  tally.flips += flips;
  Outcome outcome = kRefused;
  try {
    outcome = go_on(scene, moment.dead) == exact ? kExact : kDifferent;
  } catch (const Error& error) {
    if (!names_somebody(error.what())) {
      std::snprintf(tally.text, sizeof(tally.text), "an Error that names nobody: %s", error.what());
      return false;
    }
  } catch (const Scene::Stuck&) {
    std::snprintf(tally.text, sizeof(tally.text), "nobody can go on, and nobody says why");
    return false;
  }
  ++tally.outcomes[part][outcome];
  return true;
}

class BitFlips : public testing::Test {
 protected:
  // A child of its own for each moment: a crash or a hang names it.
  void run(Scene& scene, const Moment& moment, std::uint64_t number, Tally& total) {
    const Shared shared;
    const std::uint64_t first = seed() * kSpread + number * kRoundsPerMoment;
    const std::vector<Part> parts = parts_of(scene, moment.dead);
    scene.restore(moment.image);
    scene.reopen(moment.dead);
    const Answers exact = go_on(scene, moment.dead);
    Child child{[&] {
      for (std::uint64_t round = 0; round < kRoundsPerMoment; ++round) {
        shared->round = round;
        std::mt19937_64 random{first + round};
        if (!play(scene, moment, parts, exact, random, *shared.operator->())) return 1;
      }
      return 0;
    }};
    EXPECT_EQ(child.ending(), "exit 0")
        << moment.name << ", seed " << seed() << ", round " << shared->round << ": " << shared->text;
    for (std::size_t part = 0; part < parts.size(); ++part) {
      for (std::size_t outcome = 0; outcome < kOutcomes; ++outcome) {
        total.outcomes[part][outcome] += shared->outcomes[part][outcome];
      }
    }
    total.flips += shared->flips;
  }
};

TEST_F(BitFlips, InADeadWorkersRegionCrashAndHangNobody) {
  Scene scene;
  const std::vector<Moment> all = moments(scene);
  const Shared total;
  std::cout << "seed " << seed() << "\n";
  for (std::size_t i = 0; i < all.size(); ++i)
    run(scene, all[i], i, *total.operator->());
  const std::vector<Part> parts = parts_of(scene, scene.process("split/0"));
  std::cout << total->flips << " flips in " << all.size() * kRoundsPerMoment << " deaths\n";
  for (std::size_t part = 0; part < parts.size(); ++part) {
    std::cout << "  " << parts[part].name << ":";
    for (std::size_t outcome = 0; outcome < kOutcomes; ++outcome)
      std::cout << " " << kOutcomeNames[outcome] << " " << total->outcomes[part][outcome];
    std::cout << "\n";
  }
  EXPECT_GE(total->flips, all.size() * kRoundsPerMoment);
}

}  // namespace
}  // namespace sluice::test
