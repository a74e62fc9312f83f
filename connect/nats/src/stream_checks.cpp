// SPDX-License-Identifier: Apache-2.0
#include "stream_checks.hpp"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "names.hpp"

namespace sluice::detail {

void check_sink_stream(const jsStreamConfig& config, const SinkNeeds& needs) {
  const auto refuse = [&](const std::string& why, const std::string& remedy) {
    throw Error{{"send to", fmt::format("the stream {} of {}", config.Name, needs.where), why, remedy}};
  };
  if (config.Mirror != nullptr) refuse("it is a mirror", "send to the stream that it mirrors");
  if (config.Sealed) refuse("it is sealed", "make a stream that takes messages");
  if (config.NoAck) refuse("it does not acknowledge messages", "make it anew without no_ack");
  const std::span<const char* const> subjects{config.Subjects, static_cast<std::size_t>(config.SubjectsLen)};
  if (std::none_of(subjects.begin(), subjects.end(),
                   [&](const char* pattern) { return takes_subject(pattern, needs.subject); })) {
    refuse("it does not take the subject " + needs.subject,
           "add the subject to it (nats stream edit --subjects), or set NatsSinkOptions::subject");
  }
  if (needs.shared_subject) return;
  if (config.Retention != js_LimitsPolicy) {
    refuse("it removes messages that were consumed, and with the last of a subject how far its worker came",
           "make it anew with the retention `limits`");
  }
  if (config.Replicas > 1 && !needs.trust_replicas) {
    refuse(fmt::format("it has {} replicas, and servers before 2.11 check what a message expects before they "
                       "agree on it, "
                       "so that two writers may pass",
                       config.Replicas),
           "use one replica, or set NatsSinkOptions::trust_replicas when all servers are newer");
  }
}

void check_source_stream(const jsStreamConfig& config, const std::string& where,
                         const NatsSourceOptions& options) {
  const auto refuse = [&](const std::string& why, const std::string& remedy) {
    throw Error{{"read", fmt::format("the stream {} of {}", config.Name, where), why, remedy}};
  };
  if (config.Retention == js_InterestPolicy) {
    refuse("its retention is `interest`: what arrives while nobody reads it is lost",
           "make it anew with the retention `limits` or `workqueue`");
  }
  // A message that was passed over would be acknowledged like one that was handled, and be removed.
  if (config.Retention == js_WorkQueuePolicy && (options.only_new || options.first_sequence > 1)) {
    refuse(
        fmt::format(
            "it is a work queue, and what NatsSourceOptions::{} passes over would be removed from it unread",
            options.only_new ? "only_new" : "first_sequence"),
        "read all of it; or purge it first, if that is what is wanted");
  }
}

}  // namespace sluice::detail
