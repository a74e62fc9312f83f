// SPDX-License-Identifier: Apache-2.0
#include "owners.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "state_log.hpp"
#include "state_stream.hpp"

namespace sluice::detail {
namespace {

constexpr std::string_view kShape = "shape";
constexpr std::string_view kPartition = "partition.";
constexpr std::string_view kHost = "host.";
constexpr std::string_view kLeave = "leave.";
constexpr std::string_view kCopy = "copy.";
constexpr std::string_view kFailing = "failing.";
constexpr std::string_view kBegunKey = "begun.";
constexpr std::string_view kStored = "stored.";
constexpr std::string_view kRefused = "refused.";
constexpr std::string_view kAhead = " ahead";

template <class Number = unsigned>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string key_of(std::string_view kind, const std::string& name) {
  return std::string{kind} + name;
}

// Why it would forget who owns what, or that something was stored; empty if it does not.
std::string harm_of(const jsStreamConfig& config) {
  if (config.MaxAge > 0) return "it forgets what nobody has written for a while (ttl)";
  if (config.Storage != js_FileStorage)
    return "it is kept in memory, and lost when the server is started again";
  if (config.MaxMsgs > 0 || (config.MaxBytes > 0 && config.Discard != js_DiscardNew))
    return "it forgets what was written first when it is full";
  return {};
}

}  // namespace

std::string owners_bucket(const std::string& cluster) {
  return "SLUICE_" + cluster + "_OWNERS";
}

std::string partition_key(unsigned number) {
  return key_of(kPartition, std::to_string(number));
}
std::string stored_key(unsigned number) {
  return key_of(kStored, std::to_string(number));
}

PartitionEntry OwnersView::entry(unsigned number) const {
  const auto found = partitions.find(number);
  return found == partitions.end() ? PartitionEntry{} : found->second;
}

Partitions OwnersView::entries(unsigned count) const {
  Partitions entries;
  entries.reserve(count);
  for (unsigned number = 0; number < count; ++number)
    entries.push_back(entry(number));
  return entries;
}

Owners::Owners(const NatsServer& server, const std::string& cluster, Missing missing, const std::string& who)
    : cluster_{cluster}, bucket_{owners_bucket(cluster)}, client_{server, who, true} {
  kvStore* store = nullptr;
  natsStatus status = js_KeyValue(&store, client_.jetstream(), bucket_.c_str());
  if (status == NATS_NOT_FOUND && missing == Missing::make) {
    kvConfig config;
    kvConfig_Init(&config);
    config.Bucket = bucket_.c_str();
    config.Description = "Sluice: which host owns which partition";
    config.History = 1;
    config.StorageType = js_FileStorage;
    status = js_CreateKeyValue(&store, client_.jetstream(), &config);
    // Somebody else was first.
    if (status != NATS_OK) status = js_KeyValue(&store, client_.jetstream(), bucket_.c_str());
  }
  if (status == NATS_NOT_FOUND) {
    throw Error{{"find the cluster", cluster, fmt::format("{} has no bucket {}", client_.where(), bucket_),
                 "start a host of it, or look at the name and the URL"}};
  }
  if (status != NATS_OK) fail("use", status);
  store_.reset(store);
  // Who only looks at it loses nothing.
  if (missing == Missing::make) refuse_what_forgets();
  kvWatcher* watcher = nullptr;
  status = kvStore_WatchAll(&watcher, store_.get(), nullptr);
  if (status != NATS_OK) fail("watch", status);
  watcher_.reset(watcher);
}

JsStreamInfoPtr Owners::stream() const {
  JsStreamInfoPtr info = client_.find_stream("KV_" + bucket_);
  if (!info) client_.away(fmt::format("the bucket {} is not there any more", bucket_));
  return info;
}

void Owners::refuse_what_forgets() {
  const JsStreamInfoPtr info = stream();
  agreed_.created = info->Created;
  const std::string why = harm_of(*info->Config);
  if (why.empty()) return;
  throw Error{
      {"join the cluster of", bucket_, why,
       "end all hosts, remove the bucket (nats kv del), and let a host make it: each partition goes on "
       "from its checkpoints"}};
}

const OwnersView& Owners::look(std::chrono::milliseconds limit) {
  if (!looked_) limit = client_.timeout();
  while (true) {
    kvEntry* entry = nullptr;
    const natsStatus status =
        kvWatcher_Next(&entry, watcher_.get(), std::max<std::int64_t>(limit.count(), 1));
    const KvEntryPtr taken{entry};
    if (status == NATS_TIMEOUT && looked_) break;
    if (status != NATS_OK) fail("watch", status);
    if (entry != nullptr) {
      take(entry);
    } else {
      looked_ = true;  // All that was there has been seen.
    }
    if (looked_) limit = std::chrono::milliseconds{0};
  }
  if (client_.is_lost()) client_.away("the connection was lost");
  return view_;
}

void Owners::take(kvEntry* entry) {
  const std::string key = kvEntry_Key(entry);
  const bool there = kvEntry_Operation(entry) == kvOp_Put;
  const std::string_view name = key;
  if (there) {
    const std::string value{static_cast<const char*>(kvEntry_Value(entry)),
                            static_cast<std::size_t>(kvEntry_ValueLen(entry))};
    take_value(key, value, kvEntry_Revision(entry));
  } else if (name.starts_with(kHost)) {
    view_.beats.erase(key.substr(kHost.size()));
  } else if (name.starts_with(kLeave)) {
    view_.asked_to_leave.erase(key.substr(kLeave.size()));
  } else if (name.starts_with(kCopy)) {
    if (const auto number = parse_number(name.substr(kCopy.size())); number) view_.copies.erase(*number);
  } else if (name.starts_with(kFailing)) {
    if (const auto number = parse_number(name.substr(kFailing.size())); number) view_.failing.erase(*number);
  } else if (name.starts_with(kStored)) {
    if (const auto number = parse_number(name.substr(kStored.size())); number) view_.stored.erase(*number);
  } else if (name.starts_with(kRefused)) {
    view_.refused.erase(key.substr(kRefused.size()));
  }
}

void Owners::take_value(const std::string& key, const std::string& value, std::uint64_t revision) {
  const std::string_view name = key;
  // One that somebody else has written must not end every host: what stood there before holds.
  const auto pass_over = [&] {
    view_.unreadable = fmt::format(
        "{} in the bucket {} is passed over: '{}' is nothing that this version knows; "
        "remove it (nats kv del)",
        key, bucket_, value);
  };
  if (name == kShape) {
    const auto shape = parse_shape(value);
    if (!shape) return pass_over();
    view_.shape = shape;
    shape_revision_ = revision;
  } else if (name.starts_with(kPartition)) {
    const auto number = parse_number(name.substr(kPartition.size()));
    auto entry = parse_partition_entry(value);
    if (!number || !entry) return pass_over();
    entry->revision = revision;
    // Not what was written before a change of ours, which the watcher brings later than its answer.
    PartitionEntry& known = view_.partitions[*number];
    if (known.revision < revision) known = *entry;
  } else if (name.starts_with(kHost)) {
    const auto beat = parse_host_beat(value);
    if (!beat) return pass_over();
    view_.beats[key.substr(kHost.size())] = *beat;
  } else if (name.starts_with(kLeave)) {
    view_.asked_to_leave.insert(key.substr(kLeave.size()));
  } else if (name.starts_with(kCopy)) {
    const auto number = parse_number(name.substr(kCopy.size()));
    const bool ahead = std::string_view{value}.ends_with(kAhead);
    const CopyEntry copy{value.substr(0, value.size() - (ahead ? kAhead.size() : 0)), ahead};
    if (!number || !is_cluster_name(copy.host)) return pass_over();
    view_.copies[*number] = copy;
  } else if (name.starts_with(kFailing)) {
    const auto number = parse_number(name.substr(kFailing.size()));
    const auto failing = parse_failing_entry(value);
    if (!number || !failing) return pass_over();
    view_.failing[*number] = *failing;
  } else if (name.starts_with(kBegunKey)) {
    const auto number = parse_number(name.substr(kBegunKey.size()));
    const auto epoch = parse_number<std::uint64_t>(value);
    if (!number || !epoch) return pass_over();
    view_.begun[*number] = *epoch;
  } else if (name.starts_with(kStored)) {
    const auto number = parse_number(name.substr(kStored.size()));
    if (!number) return pass_over();
    view_.stored.insert(*number);
  } else if (name.starts_with(kRefused)) {
    const auto count = parse_number(value);
    if (!count) return pass_over();
    view_.refused[key.substr(kRefused.size())] = *count;
  }
}

// By what was written of them, here and by the partitions themselves.
unsigned Owners::known_partitions() const {
  const unsigned stored = stored_partitions(client_, cluster_);
  return view_.partitions.empty() ? stored : std::max(stored, view_.partitions.rbegin()->first + 1);
}

void Owners::agree_on(const ClusterShape& shape) {
  if (!view_.shape) {
    require_no_fewer(bucket_, known_partitions(), shape);
    std::uint64_t revision = 0;
    const natsStatus status =
        kvStore_CreateString(&revision, store_.get(), std::string{kShape}.c_str(), to_text(shape).c_str());
    if (status != NATS_OK) look(client_.timeout());  // Somebody else was first.
    if (status == NATS_OK) {
      view_.shape = shape;
      shape_revision_ = revision;
    }
    if (!view_.shape) fail("write into", status);
  }
  require_same(bucket_, *view_.shape, shape);
  agreed_.shape_revision = shape_revision_;
}

void Owners::require_as_agreed() const {
  const JsStreamInfoPtr info = stream();
  const bool made_anew = info->Created != agreed_.created;
  // The shape is the oldest that there is, unless somebody has written over it.
  if (!made_anew && info->State.Msgs != 0 && info->State.FirstSeq <= agreed_.shape_revision) return;
  kvEntry* found = nullptr;
  const natsStatus status = kvStore_Get(&found, store_.get(), std::string{kShape}.c_str());
  const KvEntryPtr entry{found};
  if (status != NATS_OK && status != NATS_NOT_FOUND) fail("read", status);
  // What nobody can read is passed over here, too.
  const bool there = status == NATS_OK && (kvEntry_Revision(found) == agreed_.shape_revision ||
                                           !parse_shape({static_cast<const char*>(kvEntry_Value(found)),
                                                         static_cast<std::size_t>(kvEntry_ValueLen(found))}));
  if (there && !made_anew) return;
  client_.away(
      fmt::format("the bucket {} is not what it was: somebody has emptied it, or made it anew", bucket_));
}

std::string Owners::harm() const {
  if (const std::string why = harm_of(*stream()->Config); !why.empty())
    return fmt::format("the bucket {} is not what it was: {}", bucket_, why);
  const std::string why = state_stream_harm(client_, cluster_);
  return why.empty() ? why : fmt::format("the stream {} is not what it was: {}", state_stream(cluster_), why);
}

bool Owners::change(unsigned number, PartitionEntry entry) {
  const std::string key = partition_key(number);
  const std::string text = to_text(entry);
  std::uint64_t revision = 0;
  const natsStatus status =
      entry.revision == 0
          ? kvStore_CreateString(&revision, store_.get(), key.c_str(), text.c_str())
          : kvStore_UpdateString(&revision, store_.get(), key.c_str(), text.c_str(), entry.revision);
  if (status == NATS_OK) {
    entry.revision = revision;
    view_.partitions[number] = entry;
    return true;
  }
  // What the server refused is seen to have been changed; anything else is a failure.
  kvEntry* found = nullptr;
  const natsStatus looked = kvStore_Get(&found, store_.get(), key.c_str());
  const KvEntryPtr there{found};
  if (looked != NATS_OK && looked != NATS_NOT_FOUND) fail("read", looked);
  if (looked == NATS_OK && kvEntry_Revision(found) != entry.revision) {
    take(found);
    // The answer was lost, and not the change.
    return to_text(view_.partitions[number]) == text;
  }
  fail("write into", status);
}

void Owners::beat(const std::string& host, const HostBeat& beat) {
  put(key_of(kHost, host), to_text(beat));
}

void Owners::forget_host(const std::string& host) {
  remove(key_of(kHost, host));
}

void Owners::tell_copy(unsigned number, const CopyEntry& copy) {
  put(key_of(kCopy, std::to_string(number)), copy.host + std::string{copy.ahead ? kAhead : ""});
  view_.copies[number] = copy;
}

void Owners::tell_failing(unsigned number, const FailingEntry& failing) {
  put(key_of(kFailing, std::to_string(number)), to_text(failing));
  view_.failing[number] = failing;
}

void Owners::forget_failing(unsigned number) {
  remove(key_of(kFailing, std::to_string(number)));
  view_.failing.erase(number);
}

void Owners::forget_copy(unsigned number) {
  remove(key_of(kCopy, std::to_string(number)));
  view_.copies.erase(number);
}

void Owners::tell_begun(unsigned number, std::uint64_t epoch) {
  put(key_of(kBegunKey, std::to_string(number)), std::to_string(epoch));
  view_.begun[number] = epoch;
}

void Owners::tell_stored(unsigned number) {
  put(stored_key(number), "1");
  view_.stored.insert(number);
}

void Owners::tell_refused(const std::string& host, std::uint64_t count) {
  put(key_of(kRefused, host), std::to_string(count));
  view_.refused[host] = count;
}

void Owners::ask_to_leave(const std::string& host) {
  put(key_of(kLeave, host), "1");
}

void Owners::forget_request_to_leave(const std::string& host) {
  remove(key_of(kLeave, host));
}

void Owners::put(const std::string& key, const std::string& value) {
  const natsStatus status = kvStore_PutString(nullptr, store_.get(), key.c_str(), value.c_str());
  if (status != NATS_OK) fail("write into", status);
}

void Owners::remove(const std::string& key) {
  const natsStatus status = kvStore_Delete(store_.get(), key.c_str());
  if (status != NATS_OK) fail("remove from", status);
}

// Whatever it is, it may pass: the agent says it, and tries again.
void Owners::fail(const std::string& tried, natsStatus status) const {
  if (status == NATS_NO_RESPONDERS)
    client_.away("nobody answers for JetStream there: is it enabled (nats-server -js)?");
  client_.away(fmt::format("cannot {} the bucket {}: {}", tried, bucket_, nats_text(status)));
}

}  // namespace sluice::detail
