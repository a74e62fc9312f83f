// SPDX-License-Identifier: Apache-2.0
// The PostgreSQL sink while the server's disk is full.
#include "postgres_world.hpp"
#include "small_disk.hpp"

namespace sluice::test {
namespace {

class PostgresDisk : public WithPostgres {
 protected:
  // Before the server starts, which is to see it.
  void SetUp() override {
    disk_ = std::make_unique<SmallDisk>(file("disk"), "1m");
    if (!disk_->is_there()) GTEST_SKIP() << "this user may not mount a file system";
    // The server is another user's, and makes a directory of its own there.
    std::filesystem::permissions(disk_->path().parent_path(), std::filesystem::perms::others_exec,
                                 std::filesystem::perm_options::add);
    WithPostgres::SetUp();
  }
  void TearDown() override {
    WithPostgres::TearDown();
    disk_.reset();
  }

  std::unique_ptr<SmallDisk> disk_;
};

TEST_F(PostgresDisk, ThatIsFullIsWaitedForAndNothingIsLost) {
  const std::string place = (disk_->path() / "space").string();
  // By the user that the server is. What a program is given it has to read.
  server().query("COPY (SELECT 1) TO PROGRAM 'mkdir -m 700 " + place + " && cat > /dev/null'");
  server().query("CREATE TABLESPACE small LOCATION '" + place + "'");
  server().query("ALTER TABLE payment SET TABLESPACE small");
  Engine engine{book_pipeline(database()), settings({"restart.budget=0", "poison.attempts=1"})};
  engine.start();
  auto in = engine.inlet<PgPayment>("in");
  PgLedger ledger;
  const auto is_full = [&] {
    const WorkerStats seen = worker_of(engine, "book/0");
    return seen.verdict == "waiting outside" &&
           seen.outside.find("No space left on device") != std::string::npos;
  };
  // What the lane takes besides, until it is full, too; 1 MiB is less than so many rows.
  std::optional<PgPayment> kept;
  for (int i = 0; i < 100'000 && !kept; ++i) {
    const PgPayment payment = ledger.pay();
    while (!kept && in.push_for(payment, 100ms) == PushResult::full) {
      if (is_full()) kept = payment;
    }
  }
  ASSERT_TRUE(kept) << worker_of(engine, "book/0").outside;
  ASSERT_TRUE(disk_->grow("64m"));
  ASSERT_EQ(in.push(*kept), PushResult::accepted);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline)) << worker_of(engine, "book/0").outside;
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  expect(ledger);
}

}  // namespace
}  // namespace sluice::test
