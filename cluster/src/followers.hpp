// SPDX-License-Identifier: Apache-2.0
// The processes of a host that keep copies of what it does not run, so that it need not fetch it once it does: one for each chain
// of checkpoints that is followed, started by the agent and bound to its life. One that restores what it copies as well becomes the
// process of that partition once it comes here.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "partition_process.hpp"

namespace sluice::detail {

// Where a copy is. One that is `coming` is in memory too, and somebody waits for it.
enum class CopyPlace { disk, memory, coming };

class Followers {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // The words that start one.
  using Arguments = std::function<std::vector<std::string>(unsigned number, CopyPlace place)>;
  using Say = std::function<void(const std::string&)>;

  Followers(Arguments arguments, Say say) : arguments_{std::move(arguments)}, say_{std::move(say)} {}
  ~Followers();
  Followers(const Followers&) = delete;
  Followers& operator=(const Followers&) = delete;

  // These, and no others.
  void want(const std::map<unsigned, CopyPlace>& copies);
  // Ends that one, and does not wait for that: heartbeats are due. Who goes on with its files waits for their lock.
  void stop(unsigned number) noexcept;
  // The process of one that has restored it, told to go on with that epoch; none, and that one is ended, if there is no such.
  std::optional<PartitionProcess> hand_over(unsigned number, std::uint64_t epoch) noexcept;
  // One that ends by itself, and has nothing more to say.
  void let_end(PartitionProcess process) { dying_.push_back(std::move(process)); }
  // Starts those that are missing, and hears what they say.
  void look(Time now);
  // Those that have everything that is stored, or cannot have it, and whether that is in memory: nobody needs to wait for these.
  std::map<unsigned, bool> ready() const;

 private:
  struct Follower {
    CopyPlace place = CopyPlace::disk;
    std::optional<PartitionProcess> process{};
    bool ready = false;
    bool failed = false;
    std::chrono::nanoseconds pause{};
    Time not_before{};
  };

  void start(unsigned number, Follower& follower, Time now);
  void fail(unsigned number, Follower& follower, Time now);

  Arguments arguments_;
  Say say_;
  std::map<unsigned, Follower> followers_;
  std::vector<PartitionProcess> dying_;
};

}  // namespace sluice::detail
