// SPDX-License-Identifier: Apache-2.0
// What a death would leave behind, judged: each distinct state of the worker's region is copied, a real
// replacement recovers the copy, and exactly the committed batches must have taken effect; then it goes on to
// the end of its input, which must be the end of an undisturbed run. The same batches must have taken effect where there is no
// replacement, and the master does what is left to do.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "scene.hpp"

namespace sluice::test {

using namespace detail;

// Empty when exactly the items that the cursors of `scene` count have taken effect, otherwise what is wrong.
// For a worker that is between two batches. Brings `oracle`, which must not be ahead, up to them.
std::string audit(const Scene& scene, Oracle& oracle);
// After all items.
Oracle last_oracle(const Script& script);

// A life of the worker in this process: it recovers the region and can go on to its end.
class Life {
 public:
  explicit Life(Scene& scene, std::function<void()> before_wait = {});
  // False when it does not come to its end.
  bool run(const std::function<void()>& after_step = {});

 private:
  struct Begun {  // Before the loop is constructed.
    explicit Begun(const Scene& scene) { begin_life(scene); }
  };
  Begun begun_;
  Attended waiter_;
  WorkerLoop loop_;
};

// A run in which nothing dies: where the cursors stand after each commit.
struct Undisturbed {
  std::vector<std::vector<std::uint64_t>> cursors;
  std::uint64_t of_first_life = 0;  // Commits until the handler throws, or to the end.
};
Undisturbed run_undisturbed(const Script& script);

struct Coverage {
  std::uint64_t instructions = 0;
  std::uint64_t states = 0;      // Distinct ones.
  std::uint64_t to_recover = 0;  // Of them: with a commit to finish or state to undo.
  std::uint64_t finishing = 0;   // Of those: with a commit to finish.
  std::uint64_t split = 0;       // Of the states: in an event that is committed in parts.
  std::uint64_t commits = 0;
  std::uint64_t rounds = 0;

  void print(const char* what) const;
};

// Notices what one instruction after the other changes.
class Watcher {
 public:
  // Whether `live` is not what it was at the last call; always at the first.
  bool changed(const Scene& live);
  // What it was at the last call, and how many bytes its file had had before it grew or shrank to that.
  const std::vector<std::byte>& region() const noexcept { return region_; }
  std::uint64_t file_bytes_before() const noexcept { return file_bytes_before_; }

 private:
  std::vector<std::byte> region_;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t file_bytes_before_ = 0;
};

class StateChecker {
 public:
  // `aside` is where copies of the script's file go, if it has one.
  StateChecker(const Script& script, const std::filesystem::path& aside);

  // What `watcher` has seen to change: judges it if it is new. False once something is wrong.
  bool look(const Scene& live, const Watcher& watcher);
  // Whether the last state looked at was a new one, and what there was to do for a replacement.
  struct Found {
    bool is_new = false;
    bool finishing = false;
    bool undoing = false;
  };
  const Found& found() const noexcept { return found_; }

  const std::string& wrong() const noexcept { return wrong_; }
  const Undisturbed& undisturbed() const noexcept { return undisturbed_; }
  Coverage coverage;

 private:
  bool is_new(const Scene& live, const Watcher& watcher);
  void judge(const Scene& live);
  void judge_torn_writes(const Scene& live, const Watcher& watcher);
  std::string verdict_without_replacement(const Scene& live);
  std::string verdict(const Scene& live);
  std::string verdict_on_the_rest(Life& life);

  Script script_;
  Scene copy_;
  Undisturbed undisturbed_;
  Oracle now_;
  Oracle last_;
  std::unordered_set<std::size_t> seen_;
  Found found_;
  std::string wrong_;
};

}  // namespace sluice::test
