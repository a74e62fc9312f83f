// SPDX-License-Identifier: Apache-2.0
#include "source_reads.hpp"

#include <charconv>
#include <random>
#include <sstream>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "stream_subjects.hpp"

namespace sluice::detail {
namespace {

constexpr const char* kReads = "Sluice-Reads";
// A header is sent with each checkpoint.
constexpr std::size_t kMostReads = 16;

// How many messages of these subjects the stream has from a sequence on.
std::uint64_t count_behind(const NatsClient& client, const SourceRead& read) {
  // Should the request to remove it be lost.
  constexpr std::int64_t kLivesNs = 5'000'000'000;
  const std::string name =
      fmt::format("sluice-lag-{:08x}{:08x}", std::random_device{}(), std::random_device{}());
  jsConsumerConfig config;
  jsConsumerConfig_Init(&config);
  config.Name = name.c_str();
  config.InactiveThreshold = kLivesNs;
  config.MemoryStorage = true;
  config.DeliverPolicy = js_DeliverByStartSequence;
  config.OptStartSeq = read.next;
  config.AckPolicy = js_AckNone;
  if (read.subjects != ">") config.FilterSubject = read.subjects.c_str();
  jsConsumerInfo* made = nullptr;
  auto code = kNoCode;
  const natsStatus status =
      js_AddConsumer(&made, client.jetstream(), read.stream.c_str(), &config, nullptr, &code);
  const JsConsumerInfoPtr info{made};
  if (status != NATS_OK) client.fail("count what waits in", "the stream " + read.stream, status, code);
  const std::uint64_t waiting = info->NumPending;
  js_DeleteConsumer(client.jetstream(), read.stream.c_str(), name.c_str(), nullptr, nullptr);
  return waiting;
}

// Of a work queue: what it has is what no checkpoint holds, since it is acknowledged by that, and a second consumer is not allowed.
std::uint64_t count_in_queue(const NatsClient& client, const SourceRead& read) {
  std::uint64_t waiting = 0;
  for (const auto& [subject, count] : subjects_of(client, read.stream, read.subjects))
    waiting += count;
  return waiting;
}

}  // namespace

std::string to_source_reads(const std::vector<ReadPosition>& reads) {
  std::string text;
  std::size_t count = 0;
  for (const ReadPosition& each : reads) {
    std::istringstream words{each.of};
    std::string kind;
    std::string stream;
    std::string subjects;
    std::string more;
    if (!(words >> kind >> stream >> subjects) || kind != "nats" || words >> more || ++count > kMostReads)
      continue;
    text += fmt::format("{}{} {} {}", text.empty() ? "" : " ", stream, subjects, each.next);
  }
  return text;
}

std::vector<SourceRead> parse_source_reads(const std::string& text) {
  std::vector<SourceRead> reads;
  std::istringstream words{text};
  SourceRead read;
  while (words >> read.stream) {
    std::string number;
    if (!(words >> read.subjects >> number)) return {};
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), read.next);
    if (error != std::errc{} || end != number.data() + number.size() || reads.size() == kMostReads) return {};
    reads.push_back(read);
  }
  return reads;
}

std::string read_source_reads(natsMsg* message) {
  const char* text = nullptr;
  return natsMsgHeader_Get(message, kReads, &text) == NATS_OK && text != nullptr ? text : std::string{};
}

natsStatus write_source_reads(natsMsg* message, const std::string& text) {
  return text.empty() ? NATS_OK : natsMsgHeader_Set(message, kReads, text.c_str());
}

std::optional<PartitionLag> lag_behind(const NatsClient& client, const std::vector<SourceRead>& reads) {
  if (reads.empty()) return std::nullopt;
  PartitionLag lag;
  for (const SourceRead& read : reads) {
    const JsStreamInfoPtr info = client.find_stream(read.stream);
    if (!info) {
      throw Error{{"count what waits in", fmt::format("the stream {} of {}", read.stream, client.where()),
                   "there is none", ""}};
    }
    const jsStreamState& state = info->State;
    const bool queue = info->Config->Retention == js_WorkQueuePolicy;
    if (state.Msgs == 0 || (!queue && state.LastSeq < read.next)) continue;
    const std::uint64_t events = queue ? count_in_queue(client, read) : count_behind(client, read);
    lag.events += events;
    lag.bytes += static_cast<std::uint64_t>(static_cast<double>(events) * static_cast<double>(state.Bytes) /
                                            static_cast<double>(state.Msgs));
  }
  return lag;
}

}  // namespace sluice::detail
