// SPDX-License-Identifier: Apache-2.0
// Letters that are retried into SqliteStore.
#include <sluice/connect/sqlite.hpp>
#include <sluice/connect/transaction_sink.hpp>

#include "retried_letters.hpp"
#include "sqlite_world.hpp"

namespace sluice::test {
namespace {

class SqliteLetters : public WithLetters<WithSqlite> {};

TEST_P(SqliteLetters, ThatAreRetriedAreARowEachWhoeverDies) {
  const SqliteOptions options{.path = database(), .schema = "CREATE TABLE IF NOT EXISTS item(number TEXT)"};
  retry<StoresLetter<SqliteStore>>(options, "INSERT INTO item VALUES (?1)");
  EXPECT_EQ(rows("SELECT number FROM item ORDER BY number"), all());
  expect_sound();
}

INSTANTIATE_TEST_SUITE_P(OfOneRunAndOfTwo, SqliteLetters, testing::Bool());

}  // namespace
}  // namespace sluice::test
