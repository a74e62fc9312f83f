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
  void operator()(const Item& item) { sink_.publish(letter_of(item)); }

 private:
  KafkaSink sink_;
};

class KafkaLetters : public WithLetters<WithOutside> {};

TEST_P(KafkaLetters, ThatAreRetriedAreAMessageEachWhoeverDies) {
  const KafkaBroker broker{"out", 2, file("journal")};
  KafkaSinkOptions options;
  options.server.brokers = broker.address();
  options.topic = "out";
  retry<SendsNumber>(options);
  std::vector<std::string> found;
  for (const std::vector<std::string>& values : broker.committed())
    found.insert(found.end(), values.begin(), values.end());
  EXPECT_EQ(sorted(found), all());
  EXPECT_EQ(broker.open(), 0U);
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, KafkaLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
