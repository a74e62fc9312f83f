// SPDX-License-Identifier: Apache-2.0
#include "state_stream.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>
#include <thread>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "source_reads.hpp"
#include "state_log.hpp"
#include "stream_subjects.hpp"

namespace sluice::detail {
namespace {

// Most of a smaller one would be headers.
constexpr std::int32_t kLeastMessage = 4 << 10;

// Why it would lose something, or could not be written; empty if it is as we make it.
std::string harm_of(const jsStreamConfig& config, const std::string& subjects) {
  if (config.Retention != js_LimitsPolicy) return "it removes what was consumed";
  if (config.MaxAge > 0) return "it removes messages by their age";
  if (config.MaxMsgs > 0 || config.MaxMsgsPerSubject > 0) return "it removes messages by their number";
  if (config.MaxBytes > 0 && config.Discard != js_DiscardNew)
    return "it removes messages when it is full, instead of refusing new ones (discard)";
  if (config.Storage != js_FileStorage) return "it keeps messages in memory";
  if (config.NoAck) return "it does not acknowledge messages";
  if (config.Sealed) return "it is sealed";
  if (config.DenyPurge) return "checkpoints that are not needed any more cannot be removed";
  if (config.Mirror != nullptr || config.SourcesLen > 0) return "it gets messages from another stream";
  if (config.MaxMsgSize > 0 && config.MaxMsgSize < kLeastMessage)
    return fmt::format("it takes no message of more than {} bytes", config.MaxMsgSize);
  if (config.SubjectsLen != 1 || config.Subjects[0] != subjects)
    return "it has other subjects than " + subjects;
  if (config.Replicas > 1) {
    return fmt::format(
        "it has {} replicas, and servers before 2.11 check what a message expects before they agree on it, "
        "so "
        "that two writers may pass",
        config.Replicas);
  }
  return {};
}

std::string state_subjects(const std::string& cluster) {
  return fmt::format("sluice.{}.state.*", cluster);
}

// As somebody else may do at the same instant.
JsStreamInfoPtr make_state_stream(const NatsClient& client, jsStreamConfig& config) {
  constexpr int kLooks = 25;
  constexpr std::chrono::milliseconds kBetweenLooks{20};
  auto code = kNoCode;
  const natsStatus status = js_AddStream(nullptr, client.jetstream(), &config, nullptr, &code);
  // Somebody else is first; while the server makes it, its subjects are taken before its name is known.
  const bool is_taken =
      static_cast<int>(code) == JSStreamNameExistErr || static_cast<int>(code) == JSStreamSubjectOverlapErr;
  const std::string name = config.Name;
  if (status != NATS_OK && !is_taken) client.fail("make", "the stream " + name, status, code);
  for (int look = 0; look < kLooks; ++look) {
    if (look != 0) std::this_thread::sleep_for(kBetweenLooks);
    // An answer that it is made may be of one that is just being made.
    if (JsStreamInfoPtr info = client.find_stream(name)) return info;
  }
  if (status != NATS_OK) client.fail("make", "the stream " + name, status, code);
  client.away(fmt::format("the stream {} was made, and is not there", name));
}

}  // namespace

std::string state_stream(const std::string& cluster) {
  return "SLUICE_" + cluster;
}

std::string state_subject(const std::string& cluster, unsigned partition) {
  return fmt::format("sluice.{}.state.{}", cluster, partition);
}

std::optional<std::size_t> prepare_state_stream(const NatsClient& client, const std::string& cluster,
                                                MissingStream missing) {
  const std::string name = state_stream(cluster);
  const std::string subjects = state_subjects(cluster);
  const char* subject = subjects.c_str();
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = name.c_str();
  config.Description = "Sluice: checkpoints of partitions";
  config.Subjects = &subject;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  config.Discard = js_DiscardNew;  // Should somebody set a limit.
  JsStreamInfoPtr info = client.find_stream(name);
  if (!info && missing == MissingStream::refuse) {
    throw Error{{"go on with", fmt::format("the stream {} of {}", name, client.where()), "there is none",
                 "look whether the server has lost what it had stored; the next try makes the stream anew"}};
  }
  if (!info) info = make_state_stream(client, config);
  if (const std::string why = harm_of(*info->Config, subjects); !why.empty()) {
    throw Error{
        {"keep checkpoints in", fmt::format("the stream {} of {}", name, client.where()), why,
         "mend it by `nats stream edit`; or remove it, if nothing in it is needed: a host makes it anew"}};
  }
  if (info->Config->MaxMsgSize <= 0) return std::nullopt;
  return static_cast<std::size_t>(info->Config->MaxMsgSize);
}

std::string state_stream_harm(const NatsClient& client, const std::string& cluster) {
  const JsStreamInfoPtr info = client.find_stream(state_stream(cluster));
  return info ? harm_of(*info->Config, state_subjects(cluster)) : std::string{};
}

unsigned stored_partitions(const NatsClient& client, const std::string& cluster) {
  if (!client.find_stream(state_stream(cluster))) return 0;
  unsigned most = 0;
  for (const auto& [subject, count] : subjects_of(client, state_stream(cluster), ">")) {
    const std::string_view number = std::string_view{subject}.substr(subject.rfind('.') + 1);
    unsigned partition = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), partition);
    if (error == std::errc{} && end == number.data() + number.size()) most = std::max(most, partition + 1);
  }
  return most;
}

NatsMessagePtr last_state_message(const NatsClient& client, const std::string& cluster, unsigned partition) {
  return client.last_message(state_stream(cluster), state_subject(cluster, partition));
}

std::optional<StateLogStatus> state_log_status(const NatsClient& client, const std::string& cluster,
                                               unsigned partition) {
  const NatsMessagePtr last = last_state_message(client, cluster, partition);
  if (!last) return std::nullopt;
  const std::optional<StateMessage> message = read_state_message(last.get());
  if (!message) {
    throw Error{{"go on with",
                 fmt::format("the subject {} of {}", state_subject(cluster, partition), client.where()),
                 fmt::format("its message {} is none of ours", natsMsg_GetSequence(last.get())),
                 "let nobody else write to it, and delete that message"}};
  }
  return StateLogStatus{
      .epoch = message->epoch,
      .host = message->host,
      .sequence = natsMsg_GetSequence(last.get()),
      .time_ns = natsMsg_GetTime(last.get()),
      .bytes = message->stored,
      .file = message->file,
      .part = message->is_claim() ? std::string{} : fmt::format("{}/{}", message->part, message->parts),
      .reads = read_source_reads(last.get())};
}

}  // namespace sluice::detail
