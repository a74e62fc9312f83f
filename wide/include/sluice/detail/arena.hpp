// SPDX-License-Identifier: Apache-2.0
// Arena: threads of one worker that do the parts of a job together, on the units that the worker may run on.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace sluice::detail {

// Made and used by the worker's main thread, in the worker's own process: never before a fork.
class Arena {
 public:
  virtual ~Arena() = default;
  // Calls job(0) to job(parts - 1), each once, several at a time; the caller takes part. Returns when all are done. What a
  // job throws comes out of it, once none runs any more; parts that have not begun are then left out.
  virtual void run(std::size_t parts, const std::function<void(std::size_t)>& job) = 0;
};

// The threads are started by the first job. `threads`: the caller's is one of them; at least 2.
std::unique_ptr<Arena> make_arena(unsigned threads);

}  // namespace sluice::detail
