// SPDX-License-Identifier: Apache-2.0
// Letters that are retried into TcpClient, whose server is another pipeline.
#include <sluice/connect/tcp_client.hpp>

#include "retried_letters.hpp"
#include "tcp_peer.hpp"

namespace sluice::test {
namespace {

class SaysNumber {
 public:
  SaysNumber(Worker& worker, const std::string& address) : client_{worker, address} {}
  void operator()(const Item& item) { client_.send(letter_of(item)); }

 private:
  TcpClient client_;
};

class TcpLetters : public WithLetters<Served> {};

TEST_P(TcpLetters, ThatAreRetriedAreAFrameEachWhoeverDies) {
  listen({.acknowledge = true});
  engine_ = std::make_unique<Engine>(*pipeline_, settings());
  engine_->start();
  retry<SaysNumber>(address());
  out_ = std::make_unique<Collector<Bytes>>(*engine_, "out");
  std::vector<std::string> found;
  for (const std::string& shown : drained())
    found.push_back(shown.substr(shown.rfind(' ') + 1));
  EXPECT_EQ(sorted(found), all());
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, TcpLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
