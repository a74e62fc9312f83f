// SPDX-License-Identifier: Apache-2.0
// Letters that are retried into PostgresStore.
#include "postgres_world.hpp"
#include "retried_letters.hpp"

namespace sluice::test {
namespace {

class PostgresLetters : public WithLetters<WithPostgres> {};

TEST_P(PostgresLetters, ThatAreRetriedAreARowEachWhoeverDies) {
  server().query("CREATE TABLE item (number text)");
  retry<StoresLetter<PostgresStore>>(database(), "INSERT INTO item VALUES ($1)");
  std::string rows;
  for (const std::string& number : all())
    rows += number + "\n";
  EXPECT_EQ(server().query("SELECT number FROM item ORDER BY number"), rows);
  expect_nothing_left();
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, PostgresLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
