// SPDX-License-Identifier: Apache-2.0
// The agent of a host: keeps its heartbeat, watches the others', claims what has no owner, and runs a process for each partition
// that it owns. One thread, and no pipeline of its own.
//
// Whatever it believes wrongly costs time and nothing else: what a partition lets out is fenced by its chain of checkpoints
// (state_log.hpp), not by who thinks that it owns it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "followers.hpp"
#include "members.hpp"
#include "owners.hpp"
#include "partition_process.hpp"

namespace sluice::detail {

struct AgentOptions {
  std::string cluster{};
  unsigned partitions = 1;
  std::string pipeline{};  // The first partition's name.
  std::string host{};
  NatsServer server{};
  std::chrono::nanoseconds lease{};
  bool hurries = true;  // It goes before what else runs, where the user may (master.priority).
  // The words that start the process of a partition.
  std::function<std::vector<std::string>(unsigned number, std::uint64_t epoch)> arguments{};
  // Those that start the process of a copy; none: there are no copies.
  Followers::Arguments copy_arguments{};
  // Of what comes here when another host dies: one that is in memory is only started then.
  CopyPlace copies_in = CopyPlace::memory;
};

class Agent {
 public:
  using Time = Members::Time;

  explicit Agent(AgentOptions options);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Until `leave` says so, all partitions are given away and their processes gone; or at once, with their processes killed, when
  // it says so twice. Throws Error for what only a person can mend, after it has killed them.
  void run(const std::function<unsigned()>& leave);
  // Whether the others can know of this host. For `leave`, which is asked again and again.
  bool has_joined() const noexcept { return beats_ > 0; }

 private:
  struct Child {
    PartitionProcess process;
    std::uint64_t epoch;
    Time started;
    std::string give_to{};  // Once it has parked; nobody in particular if empty.
    bool told_begun = false;
    Time stopped{};  // Since when somebody has, and others wait for it.
  };
  // Why nothing is started in the place of one that failed.
  struct Pause {
    std::chrono::nanoseconds length{};
    Time until{};
  };

  // Between two starts of what fails; and what has been at work for as long does not fail.
  static constexpr std::chrono::nanoseconds kLongestPause = std::chrono::seconds{30};

  void turn(Time now);
  void look_again(Time now);
  void connect();
  void tell_stored();
  void look(Time now);
  void listen_for_itself(Time now);
  [[noreturn]] void refuse_namesake() const;
  bool another_sends_on(Time now) noexcept;
  void beat(Time now);
  void reap(Time now);
  bool holds_up(unsigned number, Child& child, Time now) const;
  void settle(unsigned number, const Child& child, PartitionEnd end, Time now);
  void note_failure(unsigned number, std::uint64_t epoch, const std::string& text);
  static std::string words_of(const PartitionProcess& failed);
  void forget_failures(Time now);
  void forget_hosts(Time now);
  void kill_what_is_lost();
  void tell_begun();
  void tell_refused();
  void look_at_server();
  void act(Time now);
  void pause(unsigned number, PartitionEnd end, Time now);
  void learn_epoch(unsigned number);
  void keep_copies(Time now, const Hosts& hosts, const Partitions& entries);
  void tell_copies();
  std::string successor_of(unsigned number, const Hosts& hosts) const;
  bool waits_for_copy(unsigned number, const std::string& to, Time now);
  bool start(unsigned number, Time now);
  void let_go(unsigned number, const std::string& to, Time now);
  void write(unsigned number, PartitionEntry entry);
  bool all_gone() const;
  void kill_all() noexcept;
  void say(const std::string& text) const;

  AgentOptions options_;
  std::uint64_t life_;
  std::uint64_t beats_ = 0;
  bool leaving_ = false;
  bool told_ = false;  // That a signal was heard.
  Members members_;
  std::unique_ptr<Owners> owners_;
  Time next_beat_{};
  bool is_back_ = false;  // It has sent one since it was away.
  Time last_beat_{};
  Time away_until_{};
  std::uint64_t heard_beat_ = 0;  // The last of its own that came back,
  Time heard_itself_{};           // and when.
  HostBeat another_{};            // The last one by another life.
  Time first_of_another_{};       // Heartbeats of this host by another life,
  Time last_of_another_{};        // of those that came one after the other.
  Time last_turn_{};
  std::string away_;        // What was said of the server last.
  std::string unreadable_;  // And of what is in the bucket.
  std::string harm_;        // And of what somebody has made of it.
  std::map<unsigned, Child> children_;
  std::map<unsigned, Pause> pauses_;
  std::map<unsigned, std::uint64_t> least_epochs_;
  Followers followers_;
  // What the copies that are wanted were decided by.
  Hosts copies_hosts_;
  Partitions copies_entries_;
  std::set<unsigned> copies_wanted_;
  // Of this host's own, in a row.
  std::map<unsigned, unsigned> failures_;
  // Since when a partition waits for the copy of the host that is to have it.
  std::map<unsigned, Time> waiting_;
  // Checkpoints of this host that were refused, and not told yet.
  unsigned refused_ = 0;
  // The bucket that it knew last, and of which partitions checkpoints were stored.
  OwnersMark known_bucket_{};
  std::set<unsigned> known_stored_;
  // What could not be written since the server was away.
  std::map<unsigned, PartitionEntry> unsaid_;
};

}  // namespace sluice::detail
