// SPDX-License-Identifier: Apache-2.0
// Letters that are retried into KafkaSink, against a broker that has transactions.
#include <sluice/connect/kafka_sink.hpp>

#include "kafka_broker.hpp"
#include "retried_letters.hpp"

namespace sluice::test {
namespace {

class SendsNumber {
 public:
  SendsNumber(Worker& worker, const KafkaSinkOptions& options) : sink_{worker, options} {}
  void operator()(const Item& item) { sink_.publish(WithLetters::text_of(item)); }

 private:
  KafkaSink sink_;
};

class KafkaLetters : public WithOutside, public testing::WithParamInterface<bool> {};

TEST_P(KafkaLetters, ThatAreRetriedAreAMessageEachWhoeverDies) {
  const KafkaBroker broker{"out", 2};
  KafkaSinkOptions options;
  options.server.brokers = broker.address();
  options.topic = "out";
  WithLetters::retry(
      [&](const WithLetters::Asked& asked) {
        Pipeline pipeline{"letters"};
        pipeline.inlet<Item>("in")
            .by(&Item::key)
            .to<Picky<SendsNumber>>("out", {.workers = 2}, asked.is_picky, asked.deaths, options);
        return pipeline;
      },
      [&](const std::vector<std::string>& assignments) { return settings(assignments); }, file("letters"),
      GetParam());
  std::vector<std::string> found;
  for (const std::vector<std::string>& values : broker.committed())
    found.insert(found.end(), values.begin(), values.end());
  EXPECT_EQ(sorted(found), WithLetters::all());
  EXPECT_EQ(broker.open(), 0U);
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, KafkaLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
