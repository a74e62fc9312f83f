// SPDX-License-Identifier: Apache-2.0
#include "status.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/detail/json_parts.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

namespace sluice::command {
namespace {

using detail::JsonParts;
using detail::PartitionEntry;
using State = PartitionEntry::State;

std::string age_of(const ClusterStatus& status, std::int64_t since_ns) {
  const double seconds = static_cast<double>(status.now_ns - since_ns) / 1e9;
  return seconds < 0 ? "0.0 s" : fmt::format("{:.1f} s", seconds);
}

// "12.3k": three digits, for a column.
std::string short_text(double value) {
  const char* unit = "";
  for (const char* next : {"k", "M", "G", "T"}) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  return fmt::format("{:.3g}{}", value, unit);
}

// Of a long name its ends, which tell hosts apart.
std::string owner_text(const std::string& owner) {
  constexpr std::size_t kEnd = 9;
  if (owner.empty()) return "-";
  if (owner.size() <= 2 * kEnd + 2) return owner;
  return owner.substr(0, kEnd) + ".." + owner.substr(owner.size() - kEnd);
}

}  // namespace

std::string_view state_of(const ClusterStatus& status, const std::string& host) {
  const auto found = status.living.find(host);
  if (found == status.living.end()) return "silent";
  return found->second ? "leaving" : "here";
}

unsigned owned_by(const ClusterStatus& status, const std::string& host) {
  return static_cast<unsigned>(std::count_if(
      status.entries.begin(), status.entries.end(),
      [&host](const PartitionEntry& entry) { return entry.state == State::owned && entry.owner == host; }));
}

std::string state_of(const ClusterStatus& status, unsigned partition) {
  const PartitionEntry& entry = status.entries[partition];
  if (entry.state == State::owned && !status.living.contains(entry.owner)) return "orphaned";
  if (entry.state == State::owned && status.failing.contains(partition)) return "failing";
  if (entry.state == State::owned && !entry.wanted.empty() && entry.wanted != entry.owner) return "moving";
  return std::string{name_of(entry.state)};
}

std::string to_text(const ClusterStatus& status) {
  std::string text =
      fmt::format("{}: {}, {}\n", status.cluster, detail::counted(status.partitions, "partition"),
                  detail::counted(status.living.size(), "host"));
  text += fmt::format("  {:<32} {:<8} {:>10}\n", "host", "state", "partitions");
  for (const auto& [host, beat] : status.beats)
    text += fmt::format("  {:<32} {:<8} {:>10}\n", host, state_of(status, host), owned_by(status, host));
  text += fmt::format("{:>9} {:<20} {:>5} {:<8} {:>9} {:>9} {:>7} {:>7}\n", "partition", "owner", "epoch",
                      "state", "age", "stored", "lag", "bytes");
  for (unsigned number = 0; number < status.entries.size(); ++number) {
    const PartitionEntry& entry = status.entries[number];
    const auto log = status.logs.find(number);
    const bool stored = log != status.logs.end() && log->second.bytes != 0;
    const auto lag = status.lags.find(number);
    const bool counted = lag != status.lags.end();
    text +=
        fmt::format("{:>9} {:<20} {:>5} {:<8} {:>9} {:>9} {:>7} {:>7}\n", number, owner_text(entry.owner),
                    entry.epoch, state_of(status, number), stored ? age_of(status, log->second.time_ns) : "-",
                    stored ? format_bytes(log->second.bytes) : "-",
                    counted ? short_text(static_cast<double>(lag->second.events)) : "-",
                    counted ? short_text(static_cast<double>(lag->second.bytes)) : "-");
  }
  for (const auto& [number, failing] : status.failing)
    text += fmt::format("  partition {} has failed {}, the first {} ago: {}\n", number,
                        detail::counted(failing.failures, "time"), age_of(status, failing.since_ns),
                        printable(failing.text));
  for (const auto& [host, count] : status.refused)
    text += fmt::format("  {}: {} refused, since another host had the partition\n", host,
                        detail::counted(count, "checkpoint", "was", "were"));
  for (const detail::UnreadInput& unread : status.unread)
    text += fmt::format(
        "  no partition reads {}{} of the stream {}, {}: who sends there counts more than {}\n", unread.first,
        unread.subjects == 1 ? std::string{} : " and " + detail::counted(unread.subjects - 1, "other"),
        unread.stream, detail::counted(unread.events, "message"), status.partitions);
  return text;
}

std::string to_json(const ClusterStatus& status) {
  JsonParts json;
  json.member("schema", "1");
  json.text_member("cluster", status.cluster);
  JsonParts hosts;
  for (const auto& [host, beat] : status.beats) {
    JsonParts each;
    each.text_member("host", host);
    each.text_member("state", state_of(status, host));
    each.member("partitions", std::to_string(owned_by(status, host)));
    const auto refused = status.refused.find(host);
    each.member("refused_checkpoints", std::to_string(refused == status.refused.end() ? 0 : refused->second));
    hosts.add(each.object());
  }
  json.member("hosts", hosts.array());
  JsonParts partitions;
  for (unsigned number = 0; number < status.entries.size(); ++number) {
    const PartitionEntry& entry = status.entries[number];
    JsonParts each;
    each.member("partition", std::to_string(number));
    each.member("owner", entry.owner.empty() ? "null" : json_text(entry.owner));
    each.member("epoch", std::to_string(entry.epoch));
    each.text_member("state", state_of(status, number));
    const auto failing = status.failing.find(number);
    const bool fails = failing != status.failing.end();
    each.member("failures", std::to_string(fails ? failing->second.failures : 0));
    each.member("failing_since_ns", fails ? std::to_string(failing->second.since_ns) : "null");
    each.member("failure", fails ? json_text(failing->second.text) : "null");
    const auto log = status.logs.find(number);
    const bool stored = log != status.logs.end() && log->second.bytes != 0;
    each.member("stored_bytes", stored ? std::to_string(log->second.bytes) : "null");
    const auto lag = status.lags.find(number);
    const bool counted = lag != status.lags.end();
    each.member("lag_events", counted ? std::to_string(lag->second.events) : "null");
    each.member("lag_bytes", counted ? std::to_string(lag->second.bytes) : "null");
    each.member("stored_at_ns", stored ? std::to_string(log->second.time_ns) : "null");
    const auto copy = status.copies.find(number);
    const bool copied = copy != status.copies.end();
    each.member("copy", copied ? json_text(copy->second.host) : "null");
    each.member("copy_restored", copied && copy->second.ahead ? "true" : "false");
    partitions.add(each.object());
  }
  json.member("partitions", partitions.array());
  JsonParts unread;
  for (const detail::UnreadInput& each : status.unread) {
    JsonParts input;
    input.text_member("stream", each.stream);
    input.text_member("first", each.first);
    input.member("subjects", std::to_string(each.subjects));
    input.member("events", std::to_string(each.events));
    unread.add(input.object());
  }
  json.member("unread", unread.array());
  return json.object() + "\n";
}

}  // namespace sluice::command
