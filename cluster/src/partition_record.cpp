// SPDX-License-Identifier: Apache-2.0
#include "partition_record.hpp"

#include <fmt/format.h>

#include "owners.hpp"

namespace sluice::detail {
namespace {

[[noreturn]] void fail(const NatsClient& client, const std::string& bucket, natsStatus status) {
  client.away(fmt::format("cannot use the bucket {}: {}", bucket, nats_text(status)));
}

KvStorePtr bucket_of(const NatsClient& client, const std::string& bucket) {
  kvStore* made = nullptr;
  const natsStatus status = js_KeyValue(&made, client.jetstream(), bucket.c_str());
  if (status != NATS_OK && status != NATS_NOT_FOUND) fail(client, bucket, status);
  return KvStorePtr{made};
}

std::optional<std::string> value_of(const NatsClient& client, const std::string& bucket,
                                    const std::string& key) {
  const KvStorePtr store = bucket_of(client, bucket);
  if (!store) return std::nullopt;
  kvEntry* found = nullptr;
  const natsStatus status = kvStore_Get(&found, store.get(), key.c_str());
  const KvEntryPtr entry{found};
  if (status == NATS_NOT_FOUND) return std::nullopt;
  if (status != NATS_OK) fail(client, bucket, status);
  return std::string{static_cast<const char*>(kvEntry_Value(found)),
                     static_cast<std::size_t>(kvEntry_ValueLen(found))};
}

}  // namespace

std::optional<PartitionEntry> recorded_entry(const NatsClient& client, const std::string& cluster,
                                             unsigned partition) {
  const auto value = value_of(client, owners_bucket(cluster), partition_key(partition));
  return value ? parse_partition_entry(*value) : std::nullopt;
}

bool record_stored(const NatsClient& client, const std::string& cluster, unsigned partition) {
  const std::string bucket = owners_bucket(cluster);
  const KvStorePtr store = bucket_of(client, bucket);
  if (!store) return false;
  const natsStatus status = kvStore_PutString(nullptr, store.get(), stored_key(partition).c_str(), "1");
  if (status != NATS_OK) fail(client, bucket, status);
  return true;
}

bool is_recorded_stored(const NatsClient& client, const std::string& cluster, unsigned partition) {
  return value_of(client, owners_bucket(cluster), stored_key(partition)).has_value();
}

}  // namespace sluice::detail
