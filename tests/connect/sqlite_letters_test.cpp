// SPDX-License-Identifier: Apache-2.0
// Letters that are retried into SqliteStore.
#include <sluice/connect/sqlite.hpp>
#include <sluice/connect/transaction_sink.hpp>

#include "retried_letters.hpp"
#include "sqlite_world.hpp"

namespace sluice::test {
namespace {

class StoresNumber {
 public:
  StoresNumber(Worker& worker, const SqliteOptions& database)
      : sink_{worker, database}, insert_{sink_.prepare("INSERT INTO item VALUES (?1)")} {}
  void operator()(const Item& item) { sink_.add(insert_, WithLetters::text_of(item)); }

 private:
  TransactionSink<SqliteStore> sink_;
  Statement insert_;
};

class SqliteLetters : public WithSqlite, public testing::WithParamInterface<bool> {};

TEST_P(SqliteLetters, ThatAreRetriedAreARowEachWhoeverDies) {
  const SqliteOptions options{.path = database(), .schema = "CREATE TABLE IF NOT EXISTS item(number TEXT)"};
  WithLetters::retry(
      [&](const WithLetters::Asked& asked) {
        Pipeline pipeline{"letters"};
        pipeline.inlet<Item>("in")
            .by(&Item::key)
            .to<Picky<StoresNumber>>("out", {.workers = 2}, asked.is_picky, asked.deaths, options);
        return pipeline;
      },
      [&](const std::vector<std::string>& assignments) { return settings(assignments); }, file("letters"),
      GetParam());
  EXPECT_EQ(rows("SELECT number FROM item ORDER BY number"), WithLetters::all());
  expect_sound();
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, SqliteLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
