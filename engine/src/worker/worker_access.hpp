// SPDX-License-Identifier: Apache-2.0
// WorkerAccess: what the worker loop can do with a Worker and its handler cannot: make it, and run what is to
// be done before a commit.
#pragma once

#include <memory>
#include <utility>

#include <sluice/worker.hpp>

namespace sluice::detail {

struct WorkerAccess {
  static std::unique_ptr<Worker> make(WorkerIdentity identity, StateArea& area, const EventId& event) {
    return std::unique_ptr<Worker>{new Worker{std::move(identity), area, event}};
  }
  static void act_before_commit(const Worker& worker) {
    for (const auto& action : worker.before_commit_)
      action();
  }
};

}  // namespace sluice::detail
