// SPDX-License-Identifier: Apache-2.0
// The bucket that says who owns what: keys of a JetStream key-value store, which all hosts of a cluster watch, and change by
// compare-and-set alone.
//
//   shape          ClusterShape; written by the first host
//   partition.N    PartitionEntry
//   host.NAME      HostBeat, written by that host alone
//   leave.NAME     somebody asked that host to leave; removed by it
//   copy.N         CopyEntry, written and removed by that host
//   failing.N      FailingEntry, written and removed by the host that owns the partition
//   begun.N        the epoch with which its pipeline runs, or ran last; written by the host that owns it
//   stored.N       checkpoints of it were stored; written by the partition (partition_record.hpp), and by a host that knows it where
//                  the bucket has forgotten it; removed by nobody
//   refused.NAME   how many checkpoints of that host came behind another's claim, and were not stored; written by it
//
// Made and used by one thread of a process that starts no pipeline: libnats has threads of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nats/nats.h>
#include <optional>
#include <set>
#include <string>

#include "assignment.hpp"
#include "client.hpp"
#include "cluster_shape.hpp"
#include "failing.hpp"
#include "members.hpp"

namespace sluice::detail {

using KvStorePtr = std::unique_ptr<kvStore, NatsDelete<kvStore_Destroy>>;
using KvEntryPtr = std::unique_ptr<kvEntry, NatsDelete<kvEntry_Destroy>>;
using KvWatcherPtr = std::unique_ptr<kvWatcher, NatsDelete<kvWatcher_Destroy>>;

// A host that has a copy of the partition's checkpoints, or cannot have one; `ahead`: nothing is gained by waiting longer, since
// it has restored them too, or will not.
struct CopyEntry {
  std::string host{};
  bool ahead = false;

  friend bool operator==(const CopyEntry&, const CopyEntry&) = default;
};

// What was in the bucket when it was looked at last.
struct OwnersView {
  std::optional<ClusterShape> shape{};
  std::map<unsigned, PartitionEntry> partitions{};
  std::map<std::string, HostBeat> beats{};
  std::set<std::string> asked_to_leave{};
  std::map<unsigned, CopyEntry> copies{};
  std::map<unsigned, FailingEntry> failing{};
  std::map<std::string, std::uint64_t> refused{};
  std::map<unsigned, std::uint64_t> begun{};
  std::set<unsigned> stored{};
  std::string unreadable{};  // What was passed over last, and why; empty: nothing.

  // One that is not there is unowned.
  PartitionEntry entry(unsigned number) const;
  Partitions entries(unsigned count) const;
};

// Which bucket it is, and since when it is as it is: another one after it was made anew or purged.
struct OwnersMark {
  std::int64_t created = 0;          // By the server's clock.
  std::uint64_t shape_revision = 0;  // When its hosts agreed on the shape.

  friend bool operator==(const OwnersMark&, const OwnersMark&) = default;
};

// The bucket's name: NATS allows letters, digits, '-' and '_'.
std::string owners_bucket(const std::string& cluster);
// Of its keys, those that a partition's own processes use.
std::string partition_key(unsigned number);
std::string stored_key(unsigned number);

class Owners {
 public:
  enum class Missing { make, refuse };
  // Connects, and finds the bucket, or makes it. Throws Unavailable, as all that follows does, and Error for what only a person
  // can mend: one that forgets what it was told is no bucket for a host.
  Owners(const NatsServer& server, const std::string& cluster, Missing missing, const std::string& who);
  // Before the watcher ends: entries may be coming.
  ~Owners() { client_.close(); }
  Owners(const Owners&) = delete;
  Owners& operator=(const Owners&) = delete;

  // Brings the view up to date with what has been written until now, after waiting up to `limit` for something. The first
  // look is at everything. Throws Unavailable when the connection is lost.
  const OwnersView& look(std::chrono::milliseconds limit);
  const OwnersView& view() const noexcept { return view_; }
  const NatsClient& client() const noexcept { return client_; }

  // Throws Error unless the cluster is so, which the first host says.
  void agree_on(const ClusterShape& shape);
  // Of what was agreed on.
  const OwnersMark& mark() const noexcept { return agreed_; }
  // Throws Unavailable if that is not what the bucket has any more: somebody has purged it, or has made another one of its name. Nobody
  // is told of a purge, and what was seen before it is nothing to go by.
  void require_as_agreed() const;
  // What somebody has made of the bucket, or of the stream of checkpoints, since it was joined: what would be refused at the join; empty:
  // nothing.
  std::string harm() const;
  // Whether it is as `entry` says now: false when somebody changed it since the revision that `entry` has.
  bool change(unsigned number, PartitionEntry entry);
  void beat(const std::string& host, const HostBeat& beat);
  void forget_host(const std::string& host);
  void tell_copy(unsigned number, const CopyEntry& copy);
  void forget_copy(unsigned number);
  void tell_failing(unsigned number, const FailingEntry& failing);
  void forget_failing(unsigned number);
  void tell_begun(unsigned number, std::uint64_t epoch);
  void tell_stored(unsigned number);
  void tell_refused(const std::string& host, std::uint64_t count);
  void ask_to_leave(const std::string& host);
  void forget_request_to_leave(const std::string& host);

 private:
  JsStreamInfoPtr stream() const;
  unsigned known_partitions() const;
  void refuse_what_forgets();
  void take(kvEntry* entry);
  void take_value(const std::string& key, const std::string& value, std::uint64_t revision);
  void put(const std::string& key, const std::string& value);
  void remove(const std::string& key);
  [[noreturn]] void fail(const std::string& tried, natsStatus status) const;

  std::string cluster_;
  std::string bucket_;
  NatsClient client_;
  KvStorePtr store_;
  KvWatcherPtr watcher_;
  bool looked_ = false;
  OwnersView view_;
  std::uint64_t shape_revision_ = 0;  // Of the shape in the view.
  OwnersMark agreed_{};
};

}  // namespace sluice::detail
