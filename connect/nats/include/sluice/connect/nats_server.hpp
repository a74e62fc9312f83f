// SPDX-License-Identifier: Apache-2.0
// How NatsSink and NatsSource reach their server. A plain value; nothing is connected before the worker's handler is made.
//
// Each handler has a connection of its own, made in its worker. When it is lost the worker waits outside and connects anew:
// the library's own reconnecting is not used, since only we know what was stored and what was handled.
#pragma once

#include <chrono>
#include <string>

namespace sluice {

struct NatsServer {  // Where the server is, and who asks it.
  // One, or several of a cluster with commas between them. A user and a password in it, as any of the secrets below, never
  // appear in a message.
  std::string url = "nats://127.0.0.1:4222";
  std::string user{};
  std::string password{};
  std::string token{};
  std::string credentials_file{};  // Of a user with a JWT, as `nsc` writes it.
  std::string ca_file{};           // Certificates to trust, PEM; makes the connection one with TLS.
  bool tls = false;
  std::string domain{};  // Of JetStream; empty: the server's own.
  // For the connection, and for each answer: 1 ms to a day. A server that takes longer is away (Unavailable).
  std::chrono::milliseconds timeout{5000};
};

}  // namespace sluice
