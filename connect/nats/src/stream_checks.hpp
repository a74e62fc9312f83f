// SPDX-License-Identifier: Apache-2.0
// What a stream must be for a sink or a source to be exact. Pure: configurations in, Errors out.
#pragma once

#include <nats/nats.h>
#include <string>

#include <sluice/connect/nats_source.hpp>

namespace sluice::detail {

struct SinkNeeds {
  const std::string& where;  // The server, for messages.
  const std::string& subject;
  bool shared_subject = false;
  bool trust_replicas = false;
};

// Throws Error that says which setting of the stream is in the way, and how to change it.
void check_sink_stream(const jsStreamConfig& config, const SinkNeeds& needs);

void check_source_stream(const jsStreamConfig& config, const std::string& where,
                         const NatsSourceOptions& options);

}  // namespace sluice::detail
