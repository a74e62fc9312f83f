// SPDX-License-Identifier: Apache-2.0
#include "observer/attach_message.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <sys/socket.h>
#include <sys/uio.h>

namespace sluice::detail {
namespace {

constexpr std::uint64_t kAttachMark = 0x6563696c75732031;  // "1 sluice", as it lies in memory.
// The same for those who ask; the mark of the answer is that of what was heard.
constexpr std::uint64_t kParkMark = 0x6563696c75732050;   // "P sluice"
constexpr std::uint64_t kDrainMark = 0x6563696c75732044;  // "D sluice"

constexpr std::uint64_t mark_of(Ask ask) noexcept {
  if (ask == Ask::park) return kParkMark;
  return ask == Ask::drain ? kDrainMark : kAttachMark;
}
constexpr Ask ask_of(std::uint64_t mark) noexcept {
  if (mark == kParkMark) return Ask::park;
  return mark == kDrainMark ? Ask::drain : Ask::nothing;
}

// The segment's file of small pages, the description, the files of huge pages.
using Descriptors = std::array<int, 4>;

// What sendmsg() and recvmsg() want to know; its parts point at each other.
struct Message {
  Message() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  std::uint64_t mark = 0;
  iovec part{&mark, sizeof(mark)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(Descriptors))] = {};
  msghdr header{};
};

}  // namespace

void send_attach_message(int connection, const std::array<int, 3>& segment, int description,
                         Ask heard) noexcept {
  Message message;
  message.mark = mark_of(heard);
  // What is no descriptor cannot be sent.
  const auto huge = [&segment](std::size_t file) { return segment[file] < 0 ? segment[0] : segment[file]; };
  const Descriptors descriptors{segment[0], description, huge(1), huge(2)};
  cmsghdr* rights = CMSG_FIRSTHDR(&message.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(descriptors));
  std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof(descriptors));
  ::sendmsg(connection, &message.header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

AttachMessage receive_attach_message(int connection) noexcept {
  Message message;
  AttachMessage attach_message;
  do {
    attach_message.bytes = ::recvmsg(connection, &message.header, MSG_CMSG_CLOEXEC);
  } while (attach_message.bytes < 0 && errno == EINTR);
  if (attach_message.bytes < 0) return attach_message;
  Descriptors descriptors{-1, -1, -1, -1};
  const cmsghdr* rights = CMSG_FIRSTHDR(&message.header);
  if (rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
    const std::size_t count = std::min((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int), descriptors.size());
    std::memcpy(descriptors.data(), CMSG_DATA(rights), count * sizeof(int));
  }
  attach_message.segment = Descriptor{descriptors[0]};
  attach_message.description = Descriptor{descriptors[1]};
  attach_message.huge = {Descriptor{descriptors[2]}, Descriptor{descriptors[3]}};
  attach_message.heard = ask_of(message.mark);
  const bool known = message.mark == kAttachMark || attach_message.heard != Ask::nothing;
  attach_message.whole = attach_message.bytes == sizeof(message.mark) && known && attach_message.segment &&
                         attach_message.description && attach_message.huge[0] && attach_message.huge[1];
  return attach_message;
}

}  // namespace sluice::detail
