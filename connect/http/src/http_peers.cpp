// SPDX-License-Identifier: Apache-2.0
#include "http_peers.hpp"

#include <algorithm>
#include <sys/socket.h>
#include <tuple>

#include "http_request.hpp"
#include "socket_address.hpp"

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;

// Of the address that the other side has.
std::string text_at(int fd) {
  SocketAddress peer;
  peer.length = sizeof(peer.bytes);
  return ::getpeername(fd, peer.get(), &peer.length) == 0 ? peer_text(fd, peer) : std::string{};
}

// It sends no more, and all that it has sent was read.
bool is_at_its_end(int fd) {
  char byte = 0;
  return ::recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) == 0;
}

}  // namespace

HttpPeers::HttpPeers(std::chrono::seconds silence)
    : silence_{silence},
      // Twice within the limit at least, so that no time that is as long passes between two looks unseen.
      interval_{silence.count() == 0 ? 1s : std::min<std::chrono::nanoseconds>(1s, silence / 2)},
      next_look_{Clock::now() + interval_} {}

void HttpPeers::note(void* self, MHD_Connection* connection, void** noted,
                     MHD_ConnectionNotificationCode code) {
  HttpPeers& peers = *static_cast<HttpPeers*>(self);
  if (code != MHD_CONNECTION_NOTIFY_STARTED) {
    peers.peers_.erase(connection);
    *noted = nullptr;
    return;
  }
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  Peer& peer = peers.peers_[connection];
  peer.connection = connection;
  peer.fd = info == nullptr ? -1 : info->connect_fd;
  peer.text = text_at(peer.fd);
  *noted = &peer;
}

HttpPeers::Peer* HttpPeers::of(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr : static_cast<Peer*>(info->socket_context);
}

std::string_view HttpPeers::text_of(MHD_Connection* connection) {
  const Peer* peer = of(connection);
  return peer == nullptr ? std::string_view{} : peer->text;
}

void HttpPeers::note_answering(MHD_Connection* connection, bool answering) {
  if (Peer* peer = of(connection)) peer->answering = answering;
}

void HttpPeers::look() {
  if (peers_.empty()) return;
  const Clock::time_point now = Clock::now();
  if (now < next_look_) return;
  next_look_ = now + interval_;
  polled_.clear();
  asked_.clear();
  for (auto& [connection, peer] : peers_) {
    if (peer.answering) continue;
    polled_.push_back({peer.fd, POLLIN | POLLRDHUP, 0});
    asked_.push_back(&peer);
  }
  if (::poll(polled_.data(), polled_.size(), 0) <= 0) return;
  for (std::size_t i = 0; i < polled_.size(); ++i) {
    const Peer& peer = *asked_[i];
    if (polled_[i].revents == 0) continue;
    if ((polled_[i].revents & POLLRDHUP) != 0 && is_at_its_end(peer.fd)) {
      std::ignore = ::shutdown(peer.fd, SHUT_RDWR);  // Of which the library is told.
    } else if (silence_.count() != 0) {
      // The time begins anew where there was no limit before.
      limit_quiet(peer.connection, 0s);
      limit_quiet(peer.connection, silence_);
    }
  }
}

std::chrono::nanoseconds HttpPeers::quiet_for() const {
  if (peers_.empty()) return 1h;
  return std::max<std::chrono::nanoseconds>(next_look_ - Clock::now(), 0s);
}

}  // namespace sluice::detail
