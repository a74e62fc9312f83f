// SPDX-License-Identifier: Apache-2.0
// Which host owns which partition: what is known of it, and what one host is to do about it next. Pure.
//
// There is no leader. Each host decides for itself by the same rules from what it sees in the bucket; where two see different
// things, compare-and-set lets one of them through, and the other looks again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::detail {

// What the bucket says of a partition.
struct PartitionEntry {
  enum class State {
    unowned,   // Never started, or its owner left it.
    owned,     // `owner` runs it, or is about to.
    given,     // Its former owner has stopped it, for `owner` to go on with.
    finished,  // Its sources came to their end, and everything is handled.
  };
  State state = State::unowned;
  std::string owner{};
  std::uint64_t epoch = 0;     // Raised by each start.
  std::string wanted{};        // The host that somebody wants it on; empty: nobody does.
  std::uint64_t revision = 0;  // Of the bucket; 0: there is no such entry.

  friend bool operator==(const PartitionEntry&, const PartitionEntry&) = default;
};

std::string_view name_of(PartitionEntry::State state) noexcept;
// The entry as the bucket has it, without its revision; nothing for what is none.
std::string to_text(const PartitionEntry& entry);
std::optional<PartitionEntry> parse_partition_entry(std::string_view text);

// As it is once `host` starts it.
PartitionEntry taken_by(PartitionEntry entry, const std::string& host);

// Names of clusters and hosts are parts of subjects and keys: letters, digits, '-' and '_', at most 32.
bool is_cluster_name(std::string_view name) noexcept;

using Partitions = std::vector<PartitionEntry>;  // By number.

struct NextStep {
  enum class Kind { claim, give, release };
  Kind kind = Kind::claim;
  unsigned partition = 0;
  std::string to{};  // Of give.

  friend bool operator==(const NextStep&, const NextStep&) = default;
};

// The hosts that live, `own` among them, and whether each of them is leaving.
using Hosts = std::map<std::string, bool>;

// The partitions whose checkpoints the host `own` keeps a copy of, since they come to it next: those that it gets when their owner
// dies or leaves, and those that their owner is about to give it. So each has one host that copies it, while nothing moves.
std::set<unsigned> copied_partitions(const std::string& own, const Hosts& hosts,
                                     const Partitions& partitions);

// Those of them that come now, and not only when somebody dies: given to this host, or those that a host that is leaving has.
std::set<unsigned> coming_partitions(const std::string& own, const Hosts& hosts,
                                     const Partitions& partitions);

// What the host `own` is to do now. A partition without a living owner goes to the host that has the fewest then; one that is
// given or wanted, to where it should; and while nothing else is under way, the host with the most gives one to the host with
// the fewest, if that has two fewer; one that is wanted where it is stays there. A host that is leaving gets nothing, and releases what it has.
std::vector<NextStep> next_steps(const std::string& own, const Hosts& hosts, const Partitions& partitions);

}  // namespace sluice::detail
