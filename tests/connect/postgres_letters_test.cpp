// SPDX-License-Identifier: Apache-2.0
// Letters that are retried into PostgresStore.
#include "postgres_world.hpp"
#include "retried_letters.hpp"

namespace sluice::test {
namespace {

class InsertsNumber {
 public:
  InsertsNumber(Worker& worker, const PostgresOptions& database)
      : sink_{worker, database}, insert_{sink_.prepare("INSERT INTO item VALUES ($1)")} {}
  void operator()(const Item& item) { sink_.add(insert_, WithLetters::text_of(item)); }

 private:
  TransactionSink<PostgresStore> sink_;
  Statement insert_;
};

class PostgresLetters : public WithPostgres, public testing::WithParamInterface<bool> {};

TEST_P(PostgresLetters, ThatAreRetriedAreARowEachWhoeverDies) {
  server().query("CREATE TABLE item (number text)");
  WithLetters::retry(
      [&](const WithLetters::Asked& asked) {
        Pipeline pipeline{"letters"};
        pipeline.inlet<Item>("in")
            .by(&Item::key)
            .to<Picky<InsertsNumber>>("out", {.workers = 2}, asked.is_picky, asked.deaths, database());
        return pipeline;
      },
      [&](const std::vector<std::string>& assignments) { return settings(assignments); }, file("letters"),
      GetParam());
  std::string all;
  for (const std::string& number : WithLetters::all())
    all += number + "\n";
  EXPECT_EQ(server().query("SELECT number FROM item ORDER BY number"), all);
  expect_nothing_left();
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, PostgresLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
