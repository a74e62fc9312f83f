// SPDX-License-Identifier: Apache-2.0
// UdpServer: groups of multicast, sockets that are opened again, and datagrams of every length.
#include <algorithm>
#include <netinet/in.h>

#include "udp_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

sockaddr_in group_at(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in there{};
  there.sin_family = AF_INET;
  there.sin_port = htons(static_cast<std::uint16_t>(std::stoul(address.substr(colon + 1))));
  EXPECT_EQ(::inet_pton(AF_INET, address.substr(0, colon).c_str(), &there.sin_addr), 1);
  return there;
}

// What is sent over lo is seen on this machine alone.
bool send_to_group(const std::string& address, std::string_view datagram) {
  const sockaddr_in there = group_at(address);
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const in_addr lo{htonl(INADDR_LOOPBACK)};
  const bool sent =
      ::setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)) == 0 &&
      ::sendto(fd, datagram.data(), datagram.size(), 0, reinterpret_cast<const sockaddr*>(&there),
               sizeof(there)) == static_cast<ssize_t>(datagram.size());
  ::close(fd);
  return sent;
}

// Whether a plain socket that has joined the group hears itself: not every machine has multicast over lo.
bool lo_has_multicast(const std::string& group) {
  sockaddr_in there = group_at(group + ":0");
  socklen_t length = sizeof(there);
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const ip_mreq wanted{there.sin_addr, {htonl(INADDR_LOOPBACK)}};
  pollfd readable{fd, POLLIN, 0};
  const bool hears = ::bind(fd, reinterpret_cast<const sockaddr*>(&there), sizeof(there)) == 0 &&
                     ::setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &wanted, sizeof(wanted)) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&there), &length) == 0 &&
                     send_to_group(group + ":" + std::to_string(ntohs(there.sin_port)), "x") &&
                     ::poll(&readable, 1, 1000) == 1;
  ::close(fd);
  return hears;
}

class Datagrams : public UdpServers {
 protected:
  // Another process that runs this test has another one, as sockets of a group may have the same port.
  static std::string group() {
    const pid_t pid = ::getpid();
    return "239.255." + std::to_string(pid >> 8 & 0xff) + "." + std::to_string(pid & 0xff);
  }
};

TEST_F(Datagrams, OfAGroupComeToEverySocketThatIsBoundToIt) {
  if (!lo_has_multicast(group())) GTEST_SKIP() << "this machine has no multicast over lo";
  socket_.emplace(group() + ":0", DatagramSocketOptions{.interface = "lo"});
  const DatagramSocket beside{socket_->address(), {.interface = "lo"}};
  serve();
  EXPECT_TRUE(send_to_group(socket_->address(), "one"));
  EXPECT_TRUE(shows(1));
  EXPECT_THAT(drained(), ElementsAre(" 1 one"));
  char bytes[8] = {};
  EXPECT_EQ(::recv(beside.descriptor(), bytes, sizeof(bytes), MSG_DONTWAIT), 3) << "another one's, too";
}

TEST_F(Datagrams, OfAGroupAreAskedForWhereTheyCome) {
  const auto at = [](const std::string& address, const std::string& interface) {
    return error_of([&] { DatagramSocket(address, {.interface = interface}); });
  };
  EXPECT_THAT(at("239.255.90.21:0", "nosuch0"), AllOf(HasSubstr("nosuch0"), HasSubstr("interface")));
  EXPECT_THAT(at("127.0.0.1:0", "lo"), HasSubstr("no multicast address"));
  const std::vector<std::string> of_ipv6 = lines_of("/proc/net/if_inet6");
  if (std::any_of(of_ipv6.begin(), of_ipv6.end(),
                  [](const std::string& one) { return one.ends_with(" lo"); })) {
    EXPECT_EQ(at("[ff02::9021]:0", "lo"), "");
  }
  EXPECT_THAT(error_of([] { Listener listener("239.255.90.21:0"); }), HasSubstr("for datagrams"));
}

TEST_F(Datagrams, AreTakenHoweverLongTheyAre) {
  serve();
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{65'507}}) {
    const std::size_t before = out_->count();
    send(std::string(bytes, 'x'));
    EXPECT_TRUE(shows(before + 1)) << bytes;
  }
  EXPECT_THAT(drained(), ElementsAre(" 1 ", " 2 x", " 3 " + std::string(65'507, 'x')));
}

// Its count is another one's: what it has dropped by the first look is not less by what the former one had.
TEST_F(Datagrams, ThatASocketDroppedAreCountedBesideThoseOfTheOneBefore) {
  const DatagramSocketOptions small{.receive_bytes = 4096};
  const std::vector<std::string> kept{"segment.path=" + file("segment")};
  std::size_t sent = 0;
  std::size_t came = 0;
  for (const std::size_t flood : {std::size_t{300}, std::size_t{1000}}) {
    socket_.emplace("127.0.0.1:0", small);
    connect_sender();
    for (std::size_t i = 0; i < flood; ++i)
      send(std::string(100, 'x'));
    sent += flood;
    serve({}, {}, 1, kept);
    EXPECT_TRUE(eventually([&] {
      const std::string dropped = " " + std::to_string(sent - came - out_->count()) + " when";
      const std::vector<std::string> said = engine_->stats().problems;
      return std::any_of(said.begin(), said.end(),
                         [&](const std::string& one) { return one.find(dropped) != one.npos; });
    })) << came + out_->count()
        << " of " << sent << " came";
    engine_->park();
    came += out_->all().size();
  }
}

TEST_F(Datagrams, AreRefusedBeforeAStageThatIsTooSmallForThem) {
  EXPECT_THAT(error_of([&] {
                serve({}, {.frame_bytes = ~std::uint32_t{0}});
                engine_->wait();
              }),
              HasSubstr("raise lane.bytes or lower `frame_bytes`"));
}

}  // namespace
}  // namespace sluice::test
