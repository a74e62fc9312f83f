// SPDX-License-Identifier: Apache-2.0
// WorkerAccess: what the engine can do with a Worker and its handler cannot: make it, and run what is to be
// done before a commit.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>

#include <sluice/worker.hpp>

namespace sluice::detail {

struct WorkerAccess {
  static std::unique_ptr<Worker> make(WorkerIdentity identity, StateArea& area, const EventId& event,
                                      WorkerServices& services) {
    return std::unique_ptr<Worker>{new Worker{std::move(identity), area, event, services}};
  }
  static WorkerServices& services(const Worker& worker) noexcept { return worker.services_; }
  // For what takes back itself what an abandoned event did, as AppendFile does: `action` also runs before a commit in
  // the midst of an event.
  static void before_any_commit(Worker& worker, std::function<void()> action) {
    worker.acts_ = true;
    worker.before_any_commit_.push_back(std::move(action));
  }
  static void act_before_any_commit(const Worker& worker) {
    for (const auto& action : worker.before_any_commit_)
      action();
  }
  static bool is_endless(const Worker& worker) noexcept { return worker.endless_; }
  // Whether anything is to be done around its commits.
  static bool acts(const Worker& worker) noexcept { return worker.acts_; }
  static bool acts_after_commits(const Worker& worker) noexcept { return !worker.after_commits_.empty(); }
  static void act_after_commit(const Worker& worker, bool whole) {
    for (const auto& action : worker.after_commits_)
      action(whole);
  }
  static bool acts_when_idle(const Worker& worker) noexcept { return !worker.when_idle_.empty(); }
  static void act_when_idle(const Worker& worker) {
    for (const auto& action : worker.when_idle_)
      action();
  }
  static bool has_flushes(const Worker& worker) noexcept { return !worker.flushes_.empty(); }
  static void flush(const Worker& worker, std::span<const Covered> covered) {
    for (const auto& flush : worker.flushes_)
      flush(covered);
  }
};

}  // namespace sluice::detail
