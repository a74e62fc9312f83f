// SPDX-License-Identifier: Apache-2.0
#include "kafka_client.hpp"

#include <array>

#include <fmt/format.h>

#include <sluice/connect/detail/time_limit.hpp>
#include <sluice/error.hpp>
#include <sluice/unavailable.hpp>

namespace sluice::detail {
namespace {

// What the library says of its connections, which its calls do not: they only take too long.
struct ConnectionTrouble {
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string text;
};
thread_local ConnectionTrouble connection_trouble;

// In rd_kafka_poll, on the thread that calls it. Only the first of all says why: the others are its consequences.
void on_connection_trouble(rd_kafka_t*, int code, const char* text, void*) {
  if (connection_trouble.code == RD_KAFKA_RESP_ERR_NO_ERROR)
    connection_trouble = {static_cast<rd_kafka_resp_err_t>(code), text};
}

// Since the last look, or nothing.
ConnectionTrouble trouble_of(rd_kafka_t* handle) {
  connection_trouble = {};
  rd_kafka_poll(handle, 0);
  return connection_trouble;
}

}  // namespace

std::string kafka_where(const KafkaServer& server) {
  return "the Kafka cluster at " + server.brokers;
}

KafkaConfigPtr kafka_config(const KafkaServer& server, const KafkaSettings& ours) {
  check_time_limit("KafkaServer::timeout", server.timeout);
  KafkaConfigPtr config{rd_kafka_conf_new()};
  std::array<char, 512> text{};
  const auto set = [&](const std::string& name, const std::string& value) {
    if (rd_kafka_conf_set(config.get(), name.c_str(), value.c_str(), text.data(), text.size()) ==
        RD_KAFKA_CONF_OK)
      return;
    // The library's text would show the value, which may be a secret.
    throw Error{{"connect to", kafka_where(server),
                 fmt::format("librdkafka does not take its setting {}", name),
                 "look at KafkaServer::settings and at librdkafka's CONFIGURATION.md"}};
  };
  // As often as a stage asks whose outside is away; the library's own 10 s would be a pause behind each cluster that was away.
  set("reconnect.backoff.max.ms", "1000");
  for (const auto& [name, value] : server.settings)
    set(name, value);
  set("bootstrap.servers", server.brokers);
  // What is wrong the calls say, or on_connection_trouble.
  rd_kafka_conf_set_log_cb(config.get(), nullptr);
  for (const auto& [name, value] : ours)
    set(name, value);
  return config;
}

KafkaHandlePtr kafka_handle(rd_kafka_type_t type, KafkaConfigPtr config, const KafkaServer& server) {
  std::array<char, 512> text{};
  rd_kafka_conf_set_error_cb(config.get(), &on_connection_trouble);
  KafkaHandlePtr handle{rd_kafka_new(type, config.get(), text.data(), text.size())};
  if (!handle) {
    throw Error{{"connect to", kafka_where(server), text.data(), "look at KafkaServer::settings"}};
  }
  static_cast<void>(config.release());  // Its own now.
  return handle;
}

int kafka_partitions(rd_kafka_t* handle, const KafkaServer& server, const std::string& topic) {
  const std::string object = fmt::format("the topic {} of {}", topic, kafka_where(server));
  std::unique_ptr<rd_kafka_topic_t, KafkaDelete<rd_kafka_topic_destroy>> named{
      rd_kafka_topic_new(handle, topic.c_str(), nullptr)};
  const struct rd_kafka_metadata* made = nullptr;
  const rd_kafka_resp_err_t code =
      rd_kafka_metadata(handle, 0, named.get(), &made, static_cast<int>(server.timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const ConnectionTrouble trouble = trouble_of(handle);
    if (trouble.code != RD_KAFKA_RESP_ERR_NO_ERROR) kafka_fail("use", object, trouble.code, trouble.text);
    kafka_fail("use", object, code, rd_kafka_err2str(code));
  }
  const std::unique_ptr<const struct rd_kafka_metadata, KafkaDelete<rd_kafka_metadata_destroy>> metadata{
      made};
  const rd_kafka_resp_err_t about = made->topics[0].err;
  if (about != RD_KAFKA_RESP_ERR_NO_ERROR) kafka_fail("use", object, about, rd_kafka_err2str(about));
  return made->topics[0].partition_cnt;
}

void kafka_fail(const std::string& tried, const std::string& object, rd_kafka_resp_err_t code,
                const std::string& text) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
      throw Error{{tried, object, text, "make the topic: kafka-topics.sh --create"}};
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      throw Error{{tried, object, text, "look at the user in KafkaServer::settings, and at what it may do"}};
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
      throw Error{{tried, object, text, "look at the settings of the cluster, the topic and KafkaServer"}};
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
      throw Error{{tried, object, text,
                   "another process has taken over from this one; let it end, or give each pipeline a name"}};
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
      throw Error{{tried, object, text, "use brokers of version 0.11 or later"}};
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      throw Error{{tried, object, text,
                   "retention has removed what was not read yet; raise it, and start the pipeline anew"}};
    default:
      throw Unavailable{fmt::format("{}: {}", object, text)};
  }
}

}  // namespace sluice::detail
