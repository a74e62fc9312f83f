// SPDX-License-Identifier: Apache-2.0
// The processes of a host that keep copies of what it does not run, so that it need not fetch it once it does: one for each chain
// of checkpoints that is followed, started by the agent and bound to its life.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <sluice/detail/descriptor.hpp>

#include "partition_process.hpp"

namespace sluice::detail {

class Followers {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // The words that start one.
  using Arguments = std::function<std::vector<std::string>(unsigned number)>;
  using Say = std::function<void(const std::string&)>;

  Followers(Arguments arguments, Say say) : arguments_{std::move(arguments)}, say_{std::move(say)} {}
  ~Followers() { want({}); }
  Followers(const Followers&) = delete;
  Followers& operator=(const Followers&) = delete;

  // These, and no others.
  void want(const std::set<unsigned>& numbers);
  // Ends that one; it writes nothing any more once this returns.
  void stop(unsigned number) noexcept;
  // Starts those that are missing, and hears what they say.
  void look(Time now);
  // Has everything that is stored, or cannot have it: nobody needs to wait for it.
  std::set<unsigned> ready() const;

 private:
  struct Follower {
    std::optional<PartitionProcess> process{};
    Descriptor line{};
    bool ready = false;
    std::chrono::nanoseconds pause{};
    Time not_before{};
  };

  void start(unsigned number, Follower& follower, Time now);
  void hear(Follower& follower);
  void fail(unsigned number, Follower& follower, Time now);

  Arguments arguments_;
  Say say_;
  std::map<unsigned, Follower> followers_;
};

// In such a process: that everything is there. False when nobody listens any more.
bool tell_agent_that_all_is_there() noexcept;

}  // namespace sluice::detail
