// SPDX-License-Identifier: Apache-2.0
// What the tests of HttpSource share: requests as a client writes them, and a pipeline that serves them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sluice/connect/http_source.hpp>

#include "tcp_peer.hpp"

namespace sluice::test {

class Http : public Served {
 protected:
  Engine& serve(const HttpSourceOptions& options = {}, const std::vector<std::string>& assignments = {}) {
    listener_.emplace("127.0.0.1:0");
    pipeline_.emplace("served");
    http_source(*pipeline_, "in", *listener_, options).to<ShowFrame>("show").outlet("out");
    return start(assignments);
  }
  static std::string post(std::string_view body, const std::string& path = "/") {
    std::string request = "POST " + path + " HTTP/1.1\r\nHost: here\r\nContent-Length: ";
    return request.append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  }
  // "STATUS BODY" of the answer to a request; empty when the connection breaks before it is whole.
  static std::string ask(TcpPeer& peer, std::string_view request) {
    if (!peer.connected() || !peer.send(request)) return {};
    const auto status = peer.line();
    if (!status || status->size() < 12) return {};
    for (auto line = peer.line(); line && *line != "\r"; line = peer.line()) {
    }
    // Every body of an answer is one line.
    const auto body = peer.line();
    return body ? status->substr(9, 3) + " " + *body : std::string{};
  }
  std::string ask(std::string_view request) const {
    TcpPeer peer{address()};
    return ask(peer, request);
  }
};

}  // namespace sluice::test
