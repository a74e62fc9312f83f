// SPDX-License-Identifier: Apache-2.0
#include "state_log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/unavailable.hpp>

#include "state_message.hpp"

namespace sluice::detail {
namespace {

// Half of what a server takes unless it is told otherwise.
constexpr std::size_t kPartBytes = std::size_t{512} << 10U;
constexpr const char* kExpected = "Nats-Expected-Last-Subject-Sequence";

struct File {
  Descriptor descriptor;
  std::uint64_t bytes = 0;
};

File open_file(const std::filesystem::path& path) {
  File file{Descriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)}};
  const off_t bytes = file.descriptor ? ::lseek(file.descriptor.get(), 0, SEEK_END) : -1;
  if (bytes < 0) throw Error{{"read the checkpoint", path.string(), errno_text(), ""}};
  file.bytes = static_cast<std::uint64_t>(bytes);
  return file;
}

void read_at(const File& file, std::uint64_t offset, std::vector<char>& part,
             const std::filesystem::path& path) {
  part.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPartBytes, file.bytes - offset)));
  std::size_t done = 0;
  while (done < part.size()) {
    const ssize_t bytes = ::pread(file.descriptor.get(), part.data() + done, part.size() - done,
                                  static_cast<off_t>(offset + done));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0)
      throw Error{{"read the checkpoint", path.string(), bytes < 0 ? errno_text() : "it is shorter now", ""}};
    done += static_cast<std::size_t>(bytes);
  }
}

}  // namespace

std::string state_stream(const std::string& cluster) {
  return "SLUICE_" + cluster;
}

std::string state_subject(const std::string& cluster, unsigned partition) {
  return fmt::format("sluice.{}.state.{}", cluster, partition);
}

void prepare_state_stream(const NatsClient& client, const std::string& cluster) {
  const std::string name = state_stream(cluster);
  const std::string subjects = fmt::format("sluice.{}.state.*", cluster);
  const char* subject = subjects.c_str();
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = name.c_str();
  config.Description = "Sluice: checkpoints of partitions";
  config.Subjects = &subject;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  jsStreamInfo* made = nullptr;
  auto code = static_cast<jsErrCode>(0);
  natsStatus status = js_GetStreamInfo(&made, client.jetstream(), name.c_str(), nullptr, &code);
  if (status == NATS_NOT_FOUND) status = js_AddStream(&made, client.jetstream(), &config, nullptr, &code);
  // Somebody else was first.
  if (status != NATS_OK && code == JSStreamNameExistErr)
    status = js_GetStreamInfo(&made, client.jetstream(), name.c_str(), nullptr, &code);
  if (status != NATS_OK) client.fail("make", "the stream " + name, status, code);
  const JsStreamInfoPtr info{made};
  const jsStreamConfig& found = *info->Config;
  const auto refuse = [&](const std::string& why) {
    throw Error{{"keep checkpoints in", fmt::format("the stream {} of {}", name, client.where()), why,
                 "remove it, if nothing in it is needed: a host makes it anew"}};
  };
  if (found.Retention != js_LimitsPolicy) refuse("it removes what was consumed");
  if (found.MaxAge > 0) refuse("it removes messages by their age");
  if (found.MaxMsgs > 0 || found.MaxMsgsPerSubject > 0) refuse("it removes messages by their number");
  if (found.MaxBytes > 0 && found.Discard != js_DiscardNew) refuse("it removes messages by its size");
  if (found.NoAck) refuse("it does not acknowledge messages");
  if (found.DenyPurge) refuse("checkpoints that are not needed any more cannot be removed");
  if (found.Replicas > 1) {
    refuse(fmt::format(
        "it has {} replicas, and servers before 2.11 check what a message expects before they agree on it, "
        "so that two writers may pass",
        found.Replicas));
  }
}

struct StateLog::Message {
  StateHeader header;
  const char* data = "";
  std::size_t bytes = 0;
};

StateLog::StateLog(StateLogOptions options)
    : options_{std::move(options)},
      stream_{state_stream(options_.cluster)},
      subject_{state_subject(options_.cluster, options_.partition)},
      client_{options_.server, fmt::format("{}@{}/{}", options_.cluster, options_.host, options_.partition),
              true} {
  prepare_state_stream(client_, options_.cluster);
}

std::optional<StateLogStatus> state_log_status(const NatsClient& client, const std::string& cluster,
                                               unsigned partition) {
  const std::string stream = state_stream(cluster);
  const std::string subject = state_subject(cluster, partition);
  natsMsg* made = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status =
      js_GetLastMsg(&made, client.jetstream(), stream.c_str(), subject.c_str(), nullptr, &code);
  const NatsMessagePtr message{made};
  if (status == NATS_NOT_FOUND && code == JSNoMessageFoundErr) return std::nullopt;
  if (status != NATS_OK) client.fail("read the last message of", "the subject " + subject, status, code);
  const auto header = read_state_header(made);
  if (!header) {
    throw Error{{"go on with", fmt::format("the subject {} of {}", subject, client.where()),
                 fmt::format("its message {} is none of ours", natsMsg_GetSequence(made)),
                 "let nobody else write to it; purge the subject if nothing in it is needed"}};
  }
  return StateLogStatus{.epoch = header->epoch,
                        .sequence = natsMsg_GetSequence(made),
                        .time_ns = natsMsg_GetTime(made),
                        .bytes = header->stored,
                        .file = header->file,
                        .part = header->part};
}

void StateLog::refuse(const StateLogStatus& last, std::uint64_t epoch) const {
  throw Fenced{{"go on with",
                fmt::format("partition {} of the cluster {}", options_.partition, options_.cluster),
                fmt::format("it was claimed with epoch {}, and this is epoch {}", last.epoch, epoch),
                "another host runs it"}};
}

void StateLog::claim(std::uint64_t epoch) {
  while (true) {
    const std::optional<StateLogStatus> last = status();
    if (last && last->epoch >= epoch) refuse(*last, epoch);
    last_sequence_ = last ? last->sequence : 0;
    stored_ = last ? last->bytes : 0;
    knows_last_ = true;
    try {
      return publish({{.epoch = epoch, .host = options_.host, .stored = stored_}});
    } catch (const Superseded&) {
      // A message of the former owner came between; its next one will not.
    }
  }
}

void StateLog::store(const Message& message) {
  natsMsg* made = nullptr;
  natsStatus status =
      natsMsg_Create(&made, subject_.c_str(), nullptr, message.data, static_cast<int>(message.bytes));
  const NatsMessagePtr sent{made};
  if (status == NATS_OK) status = natsMsgHeader_Set(made, kExpected, std::to_string(last_sequence_).c_str());
  if (status == NATS_OK) status = write_state_header(made, message.header);
  auto code = static_cast<jsErrCode>(0);
  jsPubAck* answer = nullptr;
  if (status == NATS_OK) status = js_PublishMsg(&answer, client_.jetstream(), made, nullptr, &code);
  const std::unique_ptr<jsPubAck, NatsDelete<jsPubAck_Destroy>> taken{answer};
  if (status == NATS_OK) {
    last_sequence_ = answer->Sequence;
    return;
  }
  if (code == JSStreamWrongLastSequenceErr) throw Superseded{nats_text(status)};
  client_.fail("write into", "the subject " + subject_, status, code);
}

void StateLog::publish(const Message& message) {
  try {
    return store(message);
  } catch (const Superseded&) {
    const std::optional<StateLogStatus> last = status();
    const StateHeader& own = message.header;
    if (last && last->epoch > own.epoch) refuse(*last, own.epoch);
    // The answer was lost, and not the message.
    if (last && last->epoch == own.epoch && last->file == own.file && last->part == own.part) {
      last_sequence_ = last->sequence;
      return;
    }
    knows_last_ = false;
    throw;
  }
}

void StateLog::append(const std::filesystem::path& path, bool base, std::uint64_t epoch) {
  if (!knows_last_) {
    const std::optional<StateLogStatus> last = status();
    if (last && last->epoch > epoch) refuse(*last, epoch);
    last_sequence_ = last ? last->sequence : 0;
    stored_ = last ? last->bytes : 0;
    knows_last_ = true;
  }
  const File file = open_file(path);
  const std::uint64_t parts = std::max<std::uint64_t>((file.bytes + kPartBytes - 1) / kPartBytes, 1);
  const std::uint64_t stored = (base ? 0 : stored_) + file.bytes;
  std::uint64_t first = 0;
  std::vector<char> part;
  for (std::uint64_t number = 1; number <= parts; ++number) {
    read_at(file, (number - 1) * kPartBytes, part, path);
    // It is told of the whole only by the last part.
    publish({{.epoch = epoch,
              .host = options_.host,
              .file = path.filename().string(),
              .part = fmt::format("{}/{}", number, parts),
              .stored = number == parts ? stored : stored_},
             part.data(),
             part.size()});
    if (number == 1) first = last_sequence_;
  }
  stored_ = stored;
  if (base) purge_before(first);
}

void StateLog::purge_before(std::uint64_t sequence) const {
  jsOptions options;
  jsOptions_Init(&options);
  options.Wait = client_.timeout().count();
  options.Stream.Purge.Subject = subject_.c_str();
  options.Stream.Purge.Sequence = sequence;
  auto code = static_cast<jsErrCode>(0);
  // What is left is in nobody's way, and goes with the next base.
  static_cast<void>(js_PurgeStream(client_.jetstream(), stream_.c_str(), &options, &code));
}

CheckpointShipper state_log_shipper(const StateLogOptions& options, std::uint64_t epoch) {
  return [options, epoch, log = std::shared_ptr<StateLog>{}](const ShippedCheckpoint& checkpoint) mutable {
    try {
      if (!log) log = std::make_shared<StateLog>(options);
      log->append(checkpoint.file, checkpoint.base, epoch);
    } catch (...) {
      log.reset();
      throw;
    }
  };
}

}  // namespace sluice::detail
