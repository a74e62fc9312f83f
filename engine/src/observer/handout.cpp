#include "observer/handout.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <sys/socket.h>
#include <sys/uio.h>

namespace sluice {
namespace {

constexpr std::uint64_t kMark = 0x6563696c75732031;  // "1 sluice", as it lies in memory.

using Pair = std::array<int, 2>;

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
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(Pair))] = {};
  msghdr header{};
};

}  // namespace

void give_handout(int connection, int segment, int description) noexcept {
  Message message;
  message.mark = kMark;
  const Pair descriptors{segment, description};
  cmsghdr* rights = CMSG_FIRSTHDR(&message.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(descriptors));
  std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof(descriptors));
  ::sendmsg(connection, &message.header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

Handout take_handout(int connection) noexcept {
  Message message;
  Handout handout;
  do {
    handout.bytes = ::recvmsg(connection, &message.header, MSG_CMSG_CLOEXEC);
  } while (handout.bytes < 0 && errno == EINTR);
  if (handout.bytes < 0) return handout;
  Pair descriptors{-1, -1};
  const cmsghdr* rights = CMSG_FIRSTHDR(&message.header);
  if (rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
    const std::size_t count = std::min((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int), descriptors.size());
    std::memcpy(descriptors.data(), CMSG_DATA(rights), count * sizeof(int));
  }
  handout.segment = Descriptor{descriptors[0]};
  handout.description = Descriptor{descriptors[1]};
  handout.whole = handout.bytes == sizeof(message.mark) && message.mark == kMark && handout.segment &&
                  handout.description;
  return handout;
}

}  // namespace sluice
