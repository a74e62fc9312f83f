// SPDX-License-Identifier: Apache-2.0
#include "worker/left_commit.hpp"

#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/undo.hpp>

namespace sluice::detail {

bool finish_left_commit(const Wiring& wiring, WorkerIndex worker) noexcept {
  const WorkerMemory memory = wiring.worker(worker);
  ipc::UndoLog log{memory.undo(),
                   memory.undo_entries(),
                   memory.state(),
                   {memory.page_stamps(), wiring.master().checkpoint_round}};
  ipc::Commit commit{memory.commit(), memory.record(), memory.cursors(), log};
  return commit.recover();
}

}  // namespace sluice::detail
