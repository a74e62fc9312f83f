// SPDX-License-Identifier: Apache-2.0
// Letters that are retried into NatsSink.
#include "nats_world.hpp"
#include "retried_letters.hpp"

namespace sluice::test {
namespace {

class TellsNumber {
 public:
  TellsNumber(Worker& worker, const NatsSinkOptions& options) : sink_{worker, options} {}
  void operator()(const Item& item) { sink_.publish(letter_of(item)); }

 private:
  NatsSink sink_;
};

class NatsLetters : public WithLetters<WithNats> {};

TEST_P(NatsLetters, ThatAreRetriedAreAMessageEachWhoeverDies) {
  make_stream(server().url(), {"OUT", "out.*"});
  retry<TellsNumber>(sink_options());
  std::vector<std::string> found;
  for (const StreamMessage& message : messages_of(server().url(), "OUT"))
    found.push_back(message.data);
  EXPECT_EQ(sorted(found), all());
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, NatsLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
