// SPDX-License-Identifier: Apache-2.0
// The pipelines that `sluice serve` tells of: those that were named, or all of this user's that run at the moment.
//
// Nothing is done between two requests. A pipeline is attached to once, its numbers are then read from its segment; each
// request connects to its socket to see that it lives, which costs its master some microseconds. One thread.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <sluice/observer.hpp>

#include "serve/metrics_text.hpp"

namespace sluice::command {

class WatchedPipelines {
 public:
  // Names as Observer::attach() takes them; none: all that run.
  explicit WatchedPipelines(std::vector<std::string> names) : names_{std::move(names)} {}

  // What runs now. Does not wait for a pipeline whose master does not answer.
  std::vector<Exposed> look();
  // Of those that were named, which ones do not run.
  const std::vector<std::string>& missing() const noexcept { return missing_; }

 private:
  // By their sockets.
  std::vector<std::string> sockets();
  struct Look {
    std::chrono::nanoseconds at{0};
    Stats stats;
  };
  struct Watched {
    Observer observer;
    std::vector<Look> looks;  // The oldest first; of those before the window of bottlenecks, one.
  };
  static Exposed exposed(Watched& watched);
  // Gives nothing for one that does not answer.
  Watched* attached(const std::string& socket);

  std::vector<std::string> names_;
  std::vector<std::string> missing_;
  std::map<std::string, Watched> watched_;
};

}  // namespace sluice::command
