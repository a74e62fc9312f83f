// SPDX-License-Identifier: Apache-2.0
// What the tests of UdpServer share: a pipeline that shows the datagrams of a socket, and who sends them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sluice/connect/udp_server.hpp>

#include "tcp_peer.hpp"

namespace sluice::test {

class UdpServers : public WithOutside {
 protected:
  void serve(const DatagramSocketOptions& socket = {}, const UdpServerOptions& options = {},
             unsigned workers = 1, const std::vector<std::string>& assignments = {}) {
    if (!socket_) socket_.emplace("127.0.0.1:0", socket);
    Pipeline pipeline{"datagrams"};
    udp_source(pipeline, "in", *socket_, options, {.workers = workers}).to<ShowFrame>("show").outlet("out");
    engine_ = std::make_unique<Engine>(pipeline, settings(assignments));
    engine_->start();
    out_ = std::make_unique<Collector<Bytes>>(*engine_, "out");
    connect_sender();
  }
  // To the socket.
  void connect_sender() {
    if (sender_ >= 0) ::close(sender_);
    sender_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in there{};
    there.sin_family = AF_INET;
    there.sin_port = htons(
        static_cast<std::uint16_t>(std::stoul(socket_->address().substr(socket_->address().rfind(':') + 1))));
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(sender_, reinterpret_cast<const sockaddr*>(&there), sizeof(there)), 0);
  }
  ~UdpServers() override {
    if (sender_ >= 0) ::close(sender_);
  }
  void send(std::string_view datagram) const {
    EXPECT_EQ(::send(sender_, datagram.data(), datagram.size(), 0), static_cast<ssize_t>(datagram.size()));
  }
  bool shows(std::size_t frames) const {
    return eventually([&] { return out_->count() >= frames; });
  }
  std::vector<std::string> drained() {
    engine_->drain();
    return out_->all();
  }

  std::optional<DatagramSocket> socket_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Collector<Bytes>> out_;
  int sender_ = -1;
};

}  // namespace sluice::test
