// SPDX-License-Identifier: Apache-2.0
// SqliteOptions::schema: what it may do, and that one that cannot be run again is found out at the first start.
#include <sluice/connect/sqlite.hpp>
#include <sluice/unavailable.hpp>

#include "sqlite_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SqliteSchema : public WithSqlite {
 protected:
  // What a worker that begins says of it; nothing if it takes it.
  std::string outcome_of(const std::string& schema) const {
    return error_of([&] { claim(schema); });
  }
  SqliteStore& claim(const std::string& schema) const {
    store_ = std::make_unique<SqliteStore>(
        SqliteOptions{.path = database(), .schema = schema, .busy = std::chrono::milliseconds{50}});
    store_->claim({"bank", "book", 0, 1, 1024});
    return *store_;
  }
  std::vector<std::string> tables() const {
    return rows("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sluice%'");
  }

 private:
  mutable std::unique_ptr<SqliteStore> store_;
};

constexpr const char* kTable = "CREATE TABLE IF NOT EXISTS t(a);";

TEST_F(SqliteSchema, LeavesTheTransactionToTheStore) {
  for (const char* meddles :
       {"BEGIN;%COMMIT", "%COMMIT", "%COMMIT; BEGIN", "%END; BEGIN IMMEDIATE", "ROLLBACK;%", "%ROLLBACK"}) {
    std::string schema = meddles;
    schema.replace(schema.find('%'), 1, kTable);
    EXPECT_THAT(outcome_of(schema),
                AllOf(HasSubstr("SqliteOptions::schema"), HasSubstr(database()),
                      HasSubstr("BEGIN, COMMIT or ROLLBACK"), HasSubstr("leave them out")))
        << schema;
    EXPECT_THAT(tables(), IsEmpty()) << schema;
  }
}

TEST_F(SqliteSchema, LeavesTheStoresTablesAlone) {
  EXPECT_THAT(outcome_of(kTable), IsEmpty());
  for (const char* meddles :
       {"DROP TABLE IF EXISTS sluice_watermark", "DELETE FROM sluice_owner",
        "ALTER TABLE sluice_owner ADD COLUMN b", "CREATE TABLE IF NOT EXISTS sluice_watermark(a)",
        "UPDATE Sluice_Watermark SET position = 0"})
    EXPECT_THAT(outcome_of(std::string{kTable} + meddles), HasSubstr("sluice_owner and sluice_watermark"))
        << meddles;
}

TEST_F(SqliteSchema, MayHaveTriggersSavepointsAndPragmas) {
  EXPECT_THAT(
      outcome_of(
          std::string{kTable} +
          "PRAGMA user_version = 7; SAVEPOINT x; CREATE TABLE IF NOT EXISTS u(a); RELEASE x;"
          "CREATE TRIGGER IF NOT EXISTS copied AFTER INSERT ON t BEGIN INSERT INTO u VALUES (NEW.a); END;"
          "INSERT INTO t SELECT 1 WHERE NOT EXISTS (SELECT * FROM t)"),
      IsEmpty());
  EXPECT_THAT(rows("SELECT * FROM u"), ElementsAre("1"));
  EXPECT_THAT(rows("PRAGMA user_version"), ElementsAre("7"));
}

// Otherwise the first death of a worker would end the pipeline.
TEST_F(SqliteSchema, ThatCanBeRunOnlyOnceIsFoundOutAtTheFirstStart) {
  EXPECT_THAT(outcome_of("CREATE TABLE t(a)"), AllOf(HasSubstr("table t already exists"),
                                                     HasSubstr("a second time"), HasSubstr("IF NOT EXISTS")));
  EXPECT_THAT(tables(), IsEmpty());
}

TEST_F(SqliteSchema, IsTriedASecondTimeWithoutAnyEffect) {
  EXPECT_THAT(outcome_of(std::string{kTable} + "INSERT INTO t VALUES (1)"), IsEmpty());
  EXPECT_THAT(rows("SELECT count(*) FROM t"), ElementsAre("1"));
  EXPECT_THAT(outcome_of(std::string{kTable} + "INSERT INTO t VALUES (1)"), IsEmpty());
  EXPECT_THAT(rows("SELECT count(*) FROM t"), ElementsAre("2")) << "once with each start";
}

TEST_F(SqliteSchema, ThatIsNoneIsAnErrorThatSaysSo) {
  EXPECT_THAT(outcome_of("CREATE TALE t(a)"),
              AllOf(HasSubstr("SqliteOptions::schema"), HasSubstr("syntax error"), HasSubstr("correct")));
}

// Rows of a temporary table go with the connection, and those of another file are in no transaction with the watermarks.
TEST_F(SqliteSchema, MakesNoPlaceForEffectsBesideTheDatabase) {
  SqliteStore& store = claim("CREATE TEMP TABLE IF NOT EXISTS t(a); CREATE TABLE IF NOT EXISTS u(a)");
  for (const char* beside : {"INSERT INTO t VALUES (?1)", "INSERT INTO temp.t VALUES (?1)"})
    EXPECT_THAT(error_of([&] { std::ignore = store.prepare(beside); }),
                HasSubstr("leaves transactions, other databases"))
        << beside;
  std::ignore = store.prepare("INSERT INTO u VALUES (?1)");
}

}  // namespace
}  // namespace sluice::test
