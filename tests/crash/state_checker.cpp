// SPDX-License-Identifier: Apache-2.0
// Copies of states, and the lives of replacements in them.
#include "state_checker.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string_view>

#include "worker/left_commit.hpp"

namespace sluice::test {

using namespace detail;
namespace {

// The worker's steps of one life are far fewer.
constexpr std::uint64_t kMostSteps = 100'000;

Script with_file(Script script, const std::filesystem::path& file) {
  if (!script.file.empty()) script.file = file;
  if (!script.dead_letters.empty()) script.dead_letters = file;
  return script;
}

std::uint64_t committed(const Scene& scene) {
  return scene.view().commit().committed.load();
}

void note_commits(const Scene& scene, Undisturbed& run) {
  while (run.cursors.size() <= committed(scene))
    run.cursors.push_back(scene.cursors());
}

}  // namespace

Life::Life(Scene& scene, std::function<void()> before_wait)
    : begun_{scene},
      waiter_{scene, std::move(before_wait)},
      loop_{scene.wiring(), Scene::kWorkload, waiter_} {}

bool Life::run(const std::function<void()>& after_step) {
  for (std::uint64_t step = 0; step < kMostSteps; ++step) {
    const WorkerLoop::Step done = loop_.step();
    if (after_step) after_step();
    if (done == WorkerLoop::Step::finished) return true;
    if (done == WorkerLoop::Step::nothing) loop_.wait_for_input();
  }
  return false;
}

Undisturbed run_undisturbed(const Script& script) {
  Scene scene{script};
  Undisturbed run;
  const auto note = [&] { note_commits(scene, run); };
  note();
  scene.feed();
  try {
    // A commit in the midst of an event is followed by a wait.
    Life{scene, note}.run(note);
    run.of_first_life = committed(scene);
  } catch (const std::exception&) {
    note();
    run.of_first_life = committed(scene);
    Life{scene, note}.run(note);
  }
  return run;
}

void Coverage::print(const char* what) const {
  std::printf(
      "%s: %llu instructions, %llu distinct states, %llu of them with something to recover, %llu with a "
      "commit "
      "to finish, %llu within an event committed in parts; %llu commits\n",
      what, static_cast<unsigned long long>(instructions), static_cast<unsigned long long>(states),
      static_cast<unsigned long long>(to_recover), static_cast<unsigned long long>(finishing),
      static_cast<unsigned long long>(split), static_cast<unsigned long long>(commits));
  std::fflush(stdout);
}

StateChecker::StateChecker(const Script& script, const std::filesystem::path& aside)
    : script_{script},
      copy_{with_file(script, aside)},
      undisturbed_{run_undisturbed(with_file(script, aside))},
      last_{last_oracle(script)} {}

bool Watcher::changed(const Scene& live) {
  const std::uint64_t file_bytes = live.file_bytes();
  const bool first = region_.empty();
  if (!first && file_bytes == file_bytes_ && live.region_is(region_)) return false;
  region_ = live.region();
  file_bytes_before_ = first ? file_bytes : file_bytes_;
  file_bytes_ = file_bytes;
  return true;
}

bool StateChecker::look(const Scene& live, const Watcher& watcher) {
  const WorkerMemory view = live.view();
  found_ = {is_new(live, watcher), view.commit().applied.load() != view.commit().committed.load(),
            view.undo().tail.load() != view.undo().base.load()};
  judge_torn_writes(live, watcher);
  if (found_.is_new && wrong_.empty()) judge(live);
  return wrong_.empty();
}

// A process that is killed within a write may have written less of it.
void StateChecker::judge_torn_writes(const Scene& live, const Watcher& watcher) {
  const std::uint64_t whole = live.file_bytes();
  for (std::uint64_t bytes = watcher.file_bytes_before(); bytes < whole && wrong_.empty(); ++bytes) {
    ++coverage.states;
    copy_.copy_from(live);
    copy_.truncate_file(bytes);
    wrong_ = verdict(live);
  }
}

bool StateChecker::is_new(const Scene& live, const Watcher& watcher) {
  // When a life began says nothing about what it left behind.
  constexpr std::size_t kLives = offsetof(ipc::Control, lives);
  constexpr std::size_t kAfterLives = kLives + sizeof(ipc::Control::lives);
  const std::string_view bytes{reinterpret_cast<const char*>(watcher.region().data()),
                               watcher.region().size()};
  const std::hash<std::string_view> hash;
  std::size_t key = mix(hash(bytes.substr(0, kLives)) + live.file_bytes());
  key = mix(key + hash(bytes.substr(kAfterLives)));
  // The neighbours have moved between two equal states of the worker.
  key = mix(key + live.neighbours().waits);
  return seen_.insert(key).second;
}

void StateChecker::judge(const Scene& live) {
  ++coverage.states;
  coverage.to_recover += found_.finishing || found_.undoing ? 1 : 0;
  coverage.finishing += found_.finishing ? 1 : 0;
  coverage.split += live.view().undo().base.load() != 0 ? 1 : 0;
  coverage.commits = std::max(coverage.commits, committed(live));
  // A file has what no commit holds until somebody takes the worker over.
  const bool has_file = !script_.file.empty() || !script_.dead_letters.empty();
  if (!has_file && (found_.finishing || found_.undoing)) {
    copy_.copy_from(live);
    wrong_ = verdict_without_replacement(live);
    if (!wrong_.empty()) return;
  }
  copy_.copy_from(live);
  wrong_ = verdict(live);
}

std::string StateChecker::verdict_without_replacement(const Scene& live) {
  const std::uint64_t commits = committed(live);
  const std::string state = "state " + std::to_string(coverage.states) + ", after commit " +
                            std::to_string(commits) + ", without a replacement: ";
  if (!finish_left_commit(copy_.wiring(), Scene::kWorkload)) return state + "its memory is damaged";
  if (commits <= undisturbed_.of_first_life && copy_.cursors() != undisturbed_.cursors[commits])
    return state + "the cursors are not those after this commit";
  const std::string wrong = audit(copy_, now_);
  return wrong.empty() ? wrong : state + wrong;
}

std::string StateChecker::verdict(const Scene& live) {
  const std::uint64_t commits = committed(live);
  const std::string state =
      "state " + std::to_string(coverage.states) + ", after commit " + std::to_string(commits) + ": ";
  try {
    Life life{copy_};
    if (committed(copy_) != commits) return state + "recovery moved the count of commits";
    // After the first life of a handler that throws, batches may end elsewhere.
    if (commits <= undisturbed_.of_first_life && copy_.cursors() != undisturbed_.cursors[commits]) {
      return state + "the cursors are not those after this commit";
    }
    const std::string wrong = audit(copy_, now_);
    if (!wrong.empty()) return state + wrong;
    const std::string wrong_later = verdict_on_the_rest(life);
    return wrong_later.empty() ? wrong_later : state + wrong_later;
  } catch (const std::exception& error) {
    return state + error.what();
  }
}

std::string StateChecker::verdict_on_the_rest(Life& life) {
  constexpr const char* kNoEnd = "its replacement does not come to its end";
  try {
    if (!life.run()) return kNoEnd;
  } catch (const std::runtime_error&) {
    if (!script_.fails) throw;
    // It died before it had taken the region: the handler threw only now.
    Life another{copy_};
    Oracle before_its_event = now_;
    const std::string wrong = audit(copy_, before_its_event);
    if (!wrong.empty()) return "after the handler threw: " + wrong;
    if (!another.run()) return kNoEnd;
  }
  copy_.take();
  const std::string wrong = audit(copy_, last_);
  return wrong.empty() ? wrong : "at its end: " + wrong;
}

}  // namespace sluice::test
