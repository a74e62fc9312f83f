// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/udp_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "socket_address.hpp"

namespace sluice {

using namespace detail;

namespace {

// What survives the worker.
struct UdpCounts {
  std::uint64_t pushed;
  std::uint64_t dropped;    // By the kernel, of this socket and of those of hosts before.
  std::uint64_t too_long;   // Dropped here.
  std::uint64_t told;       // Of both, what was reported.
  std::uint32_t of_socket;  // The kernel's count, when it was seen last,
  std::uint32_t socket;     // and of which one.
};

// What tells a socket from those of other hosts; 0 where the kernel does not say it.
std::uint32_t number_of(int fd) noexcept {
  std::uint64_t cookie = 0;
  socklen_t bytes = sizeof(cookie);
  if (::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &bytes) != 0) return 0;
  return static_cast<std::uint32_t>(cookie ^ cookie >> 32U);
}

}  // namespace

struct UdpServer::Parts {
  Parts(Worker& worker_of_it, const DatagramSocket& socket_of_it, const UdpServerOptions& options)
      : worker{worker_of_it},
        fd{socket_of_it.descriptor()},
        number{number_of(fd)},
        address{socket_of_it.address()},
        counts{worker_of_it.state<UdpCounts>("datagrams")},
        frame_bytes{options.frame_bytes} {
    worker.declare_endless();
  }

  void check_lanes(const Output<Frame>& out);
  bool receive(Output<Frame>& out);
  void look_for_dropped();
  void note_dropped(std::uint32_t of_socket);
  bool has_untold() const;
  bool report_lost();

  Worker& worker;
  int fd;
  std::uint32_t number;
  std::string address;
  Recoverable<UdpCounts> counts;
  std::uint32_t frame_bytes;
  std::vector<char> buffer;
  std::chrono::steady_clock::time_point next_report{};
  std::uint32_t said_with_last = 0;
  bool checked = false;
};

void UdpServer::Parts::check_lanes(const Output<Frame>& out) {
  if (std::exchange(checked, true)) return;
  if (frame_bytes <= out.most_body_bytes()) return buffer.resize(frame_bytes);
  throw Error{
      {"take datagrams of up to", format_bytes(frame_bytes),
       fmt::format("a lane behind stage {} takes {} bytes of one", worker.stage(), out.most_body_bytes()),
       "raise lane.bytes or lower `frame_bytes`"}};
}

// False when there is none.
bool UdpServer::Parts::receive(Output<Frame>& out) {
  SocketAddress peer;
  iovec into{buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint32_t))] = {};
  msghdr message{};
  message.msg_name = &peer.bytes;
  message.msg_namelen = sizeof(peer.bytes);
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = ::recvmsg(fd, &message, MSG_DONTWAIT);
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return false;
    throw Error{{"receive at", address, errno_text(), "start the pipeline anew"}};
  }
  const cmsghdr* extra = CMSG_FIRSTHDR(&message);
  if (extra != nullptr && extra->cmsg_level == SOL_SOCKET && extra->cmsg_type == SO_RXQ_OVFL) {
    std::uint32_t of_socket = 0;
    std::memcpy(&of_socket, CMSG_DATA(extra), sizeof(of_socket));
    if (std::exchange(said_with_last, of_socket) != of_socket) look_for_dropped();
  }
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    ++counts.edit(&UdpCounts::too_long);
    return true;
  }
  peer.length = message.msg_namelen;
  FrameHead head;
  head.sequence = counts->pushed + 1;
  // A Unix socket without a name has no family either.
  const std::string text = peer.length == 0 ? "unix:" : to_text(peer);
  text.copy(head.peer, sizeof(head.peer) - 1);
  out.push(head, std::string_view{buffer.data(), static_cast<std::size_t>(got)});
  ++counts.edit(&UdpCounts::pushed);
  return true;
}

// What comes with a datagram is the count of when it came, and others may take all that come behind a loss: so the socket is
// asked.
void UdpServer::Parts::look_for_dropped() {
  // The socket is that of all workers: one of them counts for it.
  if (worker.replica() != 0) return;
  std::array<std::uint32_t, SK_MEMINFO_VARS> said{};
  socklen_t bytes = sizeof(said);
  if (::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, said.data(), &bytes) == 0) {
    note_dropped(said[SK_MEMINFO_DROPS]);
  } else if (said_with_last != 0) {
    note_dropped(said_with_last);  // A kernel, or a filter of calls, that does not say it: later, but told.
  }
}

// Of another socket, which a host has opened since, it counts from 0.
void UdpServer::Parts::note_dropped(std::uint32_t of_socket) {
  const bool is_other = number != counts->socket || of_socket < counts->of_socket;
  if (!is_other && of_socket == counts->of_socket) return;
  const std::uint32_t before = is_other ? 0 : counts->of_socket;
  if (is_other) counts.edit(&UdpCounts::socket) = number;
  counts.edit(&UdpCounts::dropped) += of_socket - before;
  counts.edit(&UdpCounts::of_socket) = of_socket;
}

bool UdpServer::Parts::has_untold() const {
  return counts->dropped + counts->too_long != counts->told;
}

// Whether it has.
bool UdpServer::Parts::report_lost() {
  const auto now = std::chrono::steady_clock::now();
  if (!has_untold() || now < next_report) return false;
  next_report = now + std::chrono::seconds{1};
  const std::uint64_t lost = counts->dropped + counts->too_long;
  worker.report(
      fmt::format("{} at {} {} lost: {} when the kernel's buffer was full, {} of more than {} bytes",
                  detail::counted(lost, "datagram"), address, lost == 1 ? "was" : "were", counts->dropped,
                  counts->too_long, frame_bytes));
  counts.edit(&UdpCounts::told) = lost;
  return true;
}

UdpServer::UdpServer(Worker& worker, const DatagramSocket& socket, const UdpServerOptions& options)
    : parts_{std::make_unique<Parts>(worker, socket, options)} {}
UdpServer::~UdpServer() = default;

SourceState UdpServer::operator()(Output<Frame>& out) {
  parts_->check_lanes(out);
  // What is reported is committed before a wait.
  if (parts_->report_lost()) return SourceState::nothing_now;
  if (parts_->receive(out)) return SourceState::more;
  parts_->look_for_dropped();
  // So that the last loss is told, too.
  const std::chrono::nanoseconds limit =
      parts_->has_untold() ? std::chrono::nanoseconds{std::chrono::seconds{1}} : std::chrono::hours{1};
  if (!parts_->worker.wait_for(parts_->fd, limit)) return SourceState::nothing_now;
  return parts_->receive(out) ? SourceState::more : SourceState::nothing_now;
}

}  // namespace sluice
