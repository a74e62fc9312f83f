// SPDX-License-Identifier: Apache-2.0
// Letters that are retried into NatsSink.
#include "nats_world.hpp"
#include "retried_letters.hpp"

namespace sluice::test {
namespace {

class TellsNumber {
 public:
  TellsNumber(Worker& worker, const NatsSinkOptions& options) : sink_{worker, options} {}
  void operator()(const Item& item) { sink_.publish(WithLetters::text_of(item)); }

 private:
  NatsSink sink_;
};

class NatsLetters : public WithNats, public testing::WithParamInterface<bool> {};

TEST_P(NatsLetters, ThatAreRetriedAreAMessageEachWhoeverDies) {
  make_stream(server().url(), {"OUT", "out.*"});
  WithLetters::retry(
      [&](const WithLetters::Asked& asked) {
        Pipeline pipeline{"letters"};
        pipeline.inlet<Item>("in")
            .by(&Item::key)
            .to<Picky<TellsNumber>>("out", {.workers = 2}, asked.is_picky, asked.deaths, sink_options());
        return pipeline;
      },
      [&](const std::vector<std::string>& assignments) { return settings(assignments); }, file("letters"),
      GetParam());
  std::vector<std::string> found;
  for (const StreamMessage& message : messages_of(server().url(), "OUT"))
    found.push_back(message.data);
  EXPECT_EQ(sorted(found), WithLetters::all());
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, NatsLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
