// SPDX-License-Identifier: Apache-2.0
// What a test asks a nats-server.
#include <chrono>
#include <memory>
#include <nats/nats.h>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "nats_server.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

void must(natsStatus status, const char* what) {
  if (status == NATS_OK) return;
  const char* text = nats_GetLastError(nullptr);
  throw std::runtime_error{std::string{what} + ": " + (text != nullptr ? text : natsStatus_GetText(status))};
}

// JetStream of a server, in this process.
class Session {
 public:
  explicit Session(const std::string& urls, std::chrono::milliseconds answer = 60s) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    must(natsOptions_Create(&options_), "the options");
    std::vector<std::string> servers;
    std::istringstream words{urls};
    for (std::string each; std::getline(words, each, ',');)
      servers.push_back(each);
    std::vector<const char*> pointers;
    pointers.reserve(servers.size());
    for (const std::string& each : servers)
      pointers.push_back(each.c_str());
    must(natsOptions_SetServers(options_, pointers.data(), static_cast<int>(pointers.size())), "the URL");
    must(natsOptions_SetSendAsap(options_, true), "sending");
    while (natsConnection_Connect(&connection_, options_) != NATS_OK) {
      if (std::chrono::steady_clock::now() > until) throw std::runtime_error{"no NATS server at " + urls};
      std::this_thread::sleep_for(5ms);
    }
    jsOptions patient;
    must(jsOptions_Init(&patient), "the options");
    patient.Wait = answer.count();
    must(natsConnection_JetStream(&js, connection_, &patient), "JetStream");
  }
  ~Session() {
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection_);
    natsOptions_Destroy(options_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  natsConnection* connection() const noexcept { return connection_; }

  jsCtx* js = nullptr;

 private:
  natsOptions* options_ = nullptr;
  natsConnection* connection_ = nullptr;
};

// Of one that is not there, null. Of several servers none may answer for a while, as when they choose their leader.
natsMsg* message_of(const Session& session, const std::string& stream, std::uint64_t sequence) {
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (true) {
    natsMsg* message = nullptr;
    auto code = static_cast<jsErrCode>(0);
    const natsStatus status = js_GetMsg(&message, session.js, stream.c_str(), sequence, nullptr, &code);
    if (status == NATS_OK) return message;
    if (code == JSNoMessageFoundErr || (status == NATS_NOT_FOUND && code == static_cast<jsErrCode>(0)))
      return nullptr;
    if (std::chrono::steady_clock::now() > until) must(status, "reading a message");
    std::this_thread::sleep_for(20ms);
  }
}

jsStreamState state_of(const Session& session, const std::string& stream) {
  jsStreamInfo* info = nullptr;
  const auto until = std::chrono::steady_clock::now() + 60s;
  natsStatus status = NATS_OK;
  // Where the stream is not there it is so at once; what does not answer is asked again.
  while ((status = js_GetStreamInfo(&info, session.js, stream.c_str(), nullptr, nullptr)) == NATS_TIMEOUT &&
         std::chrono::steady_clock::now() < until) {
  }
  must(status, "the stream");
  const jsStreamState state = info->State;
  jsStreamInfo_Destroy(info);
  return state;
}

// The server has forgotten it before it removes its directory, into which it may just be writing: it says so.
void delete_consumer(jsCtx* js, const char* stream, const char* name) {
  try {
    must(js_DeleteConsumer(js, stream, name, nullptr, nullptr), "deleting a consumer");
  } catch (const std::exception& error) {
    if (std::string_view{error.what()}.find("directory not empty") == std::string_view::npos) throw;
  }
}

}  // namespace

void make_stream(const std::string& url, const StreamShape& shape) {
  run_apart([&] {
    // Of several servers none answers before they have a leader.
    const bool one = url.find(',') == std::string::npos;
    const Session session{url, one ? 60s : 2s};
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char* subjects[] = {shape.subject.c_str()};
    config.Name = shape.name.c_str();
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.MaxMsgSize = static_cast<std::int32_t>(shape.max_message_bytes);
    config.MaxMsgs = shape.max_messages;
    config.MaxAge = shape.max_age_ns;
    config.Duplicates = shape.duplicates_ns;
    if (shape.work_queue) config.Retention = js_WorkQueuePolicy;
    if (shape.discard_new) config.Discard = js_DiscardNew;
    config.Replicas = shape.replicas;
    config.MaxConsumers = shape.max_consumers;
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (true) {
      auto code = static_cast<jsErrCode>(0);
      const natsStatus status = js_AddStream(nullptr, session.js, &config, nullptr, &code);
      // Servers that have just begun to be a cluster do not know each other yet, or their leader.
      const bool too_early = code == JSClusterNotAvailErr || code == JSClusterNoPeersErr ||
                             code == JSInsufficientResourcesErr || (!one && status == NATS_TIMEOUT);
      if (status == NATS_OK) return std::string{};
      if (!too_early || std::chrono::steady_clock::now() > until) must(status, "making the stream");
      std::this_thread::sleep_for(20ms);
    }
  });
}

// Each as "sequence subject size\n" and its bytes, which may be any.
std::vector<StreamMessage> messages_of(const std::string& url, const std::string& stream) {
  std::istringstream text{run_apart([&] {
    const Session session{url, url.find(',') == std::string::npos ? 60s : 3s};
    const jsStreamState state = state_of(session, stream);
    std::string out;
    for (std::uint64_t sequence = state.FirstSeq; sequence != 0 && sequence <= state.LastSeq; ++sequence) {
      natsMsg* message = message_of(session, stream, sequence);
      if (message == nullptr) continue;
      const auto size = static_cast<std::size_t>(natsMsg_GetDataLength(message));
      out.append(std::to_string(sequence)).append(" ").append(natsMsg_GetSubject(message)).append(" ");
      out.append(std::to_string(size)).append("\n").append(natsMsg_GetData(message), size);
      natsMsg_Destroy(message);
    }
    return out;
  })};
  std::vector<StreamMessage> messages;
  StreamMessage message;
  for (std::size_t size = 0; text >> message.sequence >> message.subject >> size;) {
    text.get();
    message.data.resize(size);
    text.read(message.data.data(), static_cast<std::streamsize>(size));
    messages.push_back(message);
  }
  return messages;
}

void send_messages(const std::string& url, const std::string& subject,
                   const std::vector<std::string>& messages) {
  run_apart([&] {
    const Session session{url};
    for (const std::string& message : messages) {
      must(js_PublishAsync(session.js, subject.c_str(), message.data(), static_cast<int>(message.size()),
                           nullptr),
           "sending");
    }
    must(js_PublishAsyncComplete(session.js, nullptr), "sending");
    return std::string{};
  });
}

void send_header(const std::string& url, const std::string& subject, const std::string& name,
                 const std::string& value) {
  run_apart([&] {
    const Session session{url};
    natsMsg* message = nullptr;
    must(natsMsg_Create(&message, subject.c_str(), nullptr, nullptr, 0), "a message");
    must(natsMsgHeader_Set(message, name.c_str(), value.c_str()), "its header");
    const natsStatus sent = js_PublishMsg(nullptr, session.js, message, nullptr, nullptr);
    natsMsg_Destroy(message);
    must(sent, "sending");
    return std::string{};
  });
}

void send_each(const std::string& url, const std::string& subject, const std::vector<std::string>& messages,
               std::uint64_t first) {
  run_apart([&] {
    const Session session{url, 1s};
    const auto until = std::chrono::steady_clock::now() + 100s;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const std::string id = subject + " " + std::to_string(first + i);
      jsPubOptions options;
      must(jsPubOptions_Init(&options), "the options");
      options.MsgId = id.c_str();
      natsStatus status = NATS_OK;
      while ((status = js_Publish(nullptr, session.js, subject.c_str(), messages[i].data(),
                                  static_cast<int>(messages[i].size()), &options, nullptr)) != NATS_OK) {
        if (std::chrono::steady_clock::now() > until) must(status, "sending");
        std::this_thread::sleep_for(20ms);
      }
    }
    return std::string{};
  });
}

void delete_message(const std::string& url, const std::string& stream, std::uint64_t sequence) {
  run_apart([&] {
    const Session session{url};
    must(js_DeleteMsg(session.js, stream.c_str(), sequence, nullptr, nullptr), "deleting a message");
    return std::string{};
  });
}

void purge_stream(const std::string& url, const std::string& stream) {
  run_apart([&] {
    const Session session{url};
    must(js_PurgeStream(session.js, stream.c_str(), nullptr, nullptr), "purging a stream");
    return std::string{};
  });
}

void delete_stream(const std::string& url, const std::string& stream) {
  run_apart([&] {
    const Session session{url};
    must(js_DeleteStream(session.js, stream.c_str(), nullptr, nullptr), "deleting a stream");
    return std::string{};
  });
}

std::size_t delete_consumers(const std::string& url, const std::string& stream) {
  return std::stoull(run_apart([&] {
    const Session session{url};
    jsConsumerNamesList* names = nullptr;
    must(js_ConsumerNames(&names, session.js, stream.c_str(), nullptr, nullptr), "the consumers");
    const int count = names->Count;
    for (int i = 0; i < count; ++i)
      delete_consumer(session.js, stream.c_str(), names->List[i]);
    jsConsumerNamesList_Destroy(names);
    return std::to_string(count);
  }));
}

void make_queue_consumer(const std::string& url, const std::string& stream, const std::string& name) {
  run_apart([&] {
    const Session session{url};
    jsConsumerConfig config;
    jsConsumerConfig_Init(&config);
    config.Name = name.c_str();
    config.InactiveThreshold = 60'000'000'000;
    config.AckPolicy = js_AckExplicit;
    jsConsumerInfo* made = nullptr;
    must(js_AddConsumer(&made, session.js, stream.c_str(), &config, nullptr, nullptr), "making a consumer");
    jsConsumerInfo_Destroy(made);
    return std::string{};
  });
}

std::uint64_t count_of(const std::string& url, const std::string& stream) {
  return std::stoull(run_apart([&] {
    const Session session{url};
    return std::to_string(state_of(session, stream).Msgs);
  }));
}

std::optional<std::uint64_t> count_if_told(const std::string& url, const std::string& stream) {
  const std::string text = run_apart([&] {
    const Session session{url, 3s};
    jsStreamInfo* info = nullptr;
    if (js_GetStreamInfo(&info, session.js, stream.c_str(), nullptr, nullptr) != NATS_OK)
      return std::string{};
    std::string count = std::to_string(info->State.Msgs);
    jsStreamInfo_Destroy(info);
    return count;
  });
  if (text.empty()) return std::nullopt;
  return std::stoull(text);
}

std::string leader_of(const std::string& url, const std::string& stream) {
  return run_apart([&] {
    const Session session{url, 3s};
    jsStreamInfo* info = nullptr;
    if (js_GetStreamInfo(&info, session.js, stream.c_str(), nullptr, nullptr) != NATS_OK)
      return std::string{};
    const char* leader = info->Cluster != nullptr ? info->Cluster->Leader : nullptr;
    std::string name{leader != nullptr ? leader : ""};
    jsStreamInfo_Destroy(info);
    return name;
  });
}

void wait_for_requests(const std::string& url, const std::string& request, unsigned count) {
  run_apart([&] {
    const Session session{url};
    natsSubscription* told = nullptr;
    must(natsConnection_SubscribeSync(&told, session.connection(), "$JS.EVENT.ADVISORY.API"), "listening");
    for (unsigned seen = 0; seen < count;) {
      natsMsg* message = nullptr;
      must(natsSubscription_NextMsg(&message, told, 60'000), "waiting for requests");
      const std::string text{natsMsg_GetData(message),
                             static_cast<std::size_t>(natsMsg_GetDataLength(message))};
      if (text.find("$JS.API." + request + "\"") != std::string::npos) ++seen;
      natsMsg_Destroy(message);
    }
    // Requests of others go on: libnats before 3.6 may still handle one.
    natsConnection_Close(session.connection());
    natsSubscription_Destroy(told);
    return std::string{};
  });
}

}  // namespace sluice::test
