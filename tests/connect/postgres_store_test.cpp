// SPDX-License-Identifier: Apache-2.0
// PostgresStore by itself: who may write, what a claim waits for, and what the server's codes mean.
#include <csignal>
#include <fstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <sluice/refused.hpp>

#include "postgres_relay.hpp"
#include "postgres_world.hpp"
#include "sqlstate.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kRun = (std::uint64_t{0xf12345678} << 28U);
constexpr std::uint64_t kLater = kRun + (std::uint64_t{1} << 28U);

class PostgresOwner : public WithPostgres {
 protected:
  static SinkOwner owner(std::uint64_t run = kRun, unsigned replica = 0, unsigned replicas = 1) {
    return {"payments", "book", replica, replicas, run | (std::uint64_t{replica} << EventId::kLaneBits)};
  }
  // One payment by this writer, in a transaction of its own; `before`: where it has left the watermark.
  static void pay(PostgresStore& store, Statement statement, const SinkOwner& as, std::uint64_t epoch,
                  std::int64_t number, std::uint64_t before = 0) {
    const std::vector<PendingEffect<SqlEffect>> effects{
        {{as.origin, static_cast<std::uint64_t>(number)}, SqlEffect{statement, number}}};
    const std::vector<WatermarkMove> marks{{as.origin, static_cast<std::uint64_t>(number) + 1, before}};
    store.apply({as, epoch, effects, marks});
  }
  static constexpr const char* kPay = "INSERT INTO payment VALUES ($1, 1, 1)";
};

TEST_F(PostgresOwner, IsRefusedOnceAnotherHasClaimed) {
  PostgresStore one{database()};
  PostgresStore other{database()};
  const std::uint64_t first = one.claim(owner()).epoch;
  const Statement of_one = one.prepare(kPay);
  pay(one, of_one, owner(), first, 1);
  const SinkClaim claim = other.claim(owner());
  EXPECT_EQ(claim.epoch, first + 1);
  EXPECT_THAT(claim.watermarks, ElementsAre(Watermark{kRun, 2}));
  EXPECT_THAT(error_of([&] { pay(one, of_one, owner(), first, 2); }),
              AllOf(HasSubstr("another process took over from book/0 of payments: its epoch is 2, not 1"),
                    HasSubstr("PostgresOptions::name")));
  pay(other, other.prepare(kPay), owner(), claim.epoch, 3, 2);
  EXPECT_EQ(payments(), "1|1|1\n3|1|1\n");
}

// By a restore that puts back all at once, the epoch as well.
TEST_F(PostgresOwner, IsRefusedOnceItsWatermarkWasPutBack) {
  const std::string insert = "INSERT INTO sluice.watermark VALUES ('payments', 'book', 0, " +
                             std::to_string(static_cast<std::int64_t>(kRun)) + ", 1)";
  struct Case {
    std::string put_back;
    std::uint64_t left;
  };
  for (const Case& each : {Case{"UPDATE sluice.watermark SET upto = 1", 2},
                           Case{"DELETE FROM sluice.watermark", 2}, Case{insert, 0}}) {
    PostgresStore store{database()};
    const std::uint64_t epoch = store.claim(owner()).epoch;
    const Statement statement = store.prepare(kPay);
    if (each.left != 0) pay(store, statement, owner(), epoch, 1);
    server().query("BEGIN; DELETE FROM payment; " + each.put_back + "; COMMIT");
    EXPECT_THAT(error_of([&] { pay(store, statement, owner(), epoch, 2, each.left); }),
                AllOf(HasSubstr("knows less of book/0 of payments"), HasSubstr("begin anew")))
        << each.put_back;
    EXPECT_EQ(payments(), "");
    server().query("DELETE FROM sluice.watermark");
  }
}

// It was killed when it had sent its claim, and the server comes to that only now.
TEST_F(PostgresOwner, IsNotTakenOverByADeadProcessWhoseClaimArrivesLate) {
  const std::string log = file("relay.log");
  const std::string release = file("release");
  const PostgresRelay relay{server().port(), {.log = log, .hold = ".claim($1", .release = release}};
  const pid_t dead = ::fork();
  if (dead == 0) {
    PostgresOptions late = database();
    late.url = relay.url();
    std::ignore = PostgresStore{late}.claim(owner());
    ::_exit(0);
  }
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(log); }));
  ::kill(dead, SIGKILL);
  ::waitpid(dead, nullptr, 0);
  PostgresStore successor{database()};
  const std::uint64_t epoch = successor.claim(owner()).epoch;
  const Statement statement = successor.prepare(kPay);
  const std::ofstream released{release};
  EXPECT_TRUE(eventually([&] {
    return server().query(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'book/0 of payments'") ==
           "1\n";
  })) << "the dead one's session has ended";
  pay(successor, statement, owner(), epoch, 1);
  EXPECT_EQ(payments(), "1|1|1\n");
}

TEST_F(PostgresOwner, OfAnEarlierRunThatHasWrittenDoesNotTakeOverInTurn) {
  const SinkOwner early = owner(kRun);
  {
    PostgresStore store{database()};
    const std::uint64_t epoch = store.claim(early).epoch;
    pay(store, store.prepare(kPay), early, epoch, 1);
  }
  // A process of the same run may come back as often as it likes.
  EXPECT_THAT(PostgresStore{database()}.claim(early).watermarks, ElementsAre(Watermark{kRun, 2}));
  EXPECT_THAT(PostgresStore{database()}.claim(owner(kLater)).watermarks, IsEmpty());
  EXPECT_THAT(
      error_of([&] { PostgresStore{database()}.claim(early); }),
      HasSubstr(
          "another process took over from book/0 of payments: the run f12345679, after this one, f12345678"));
}

TEST_F(PostgresOwner, OfAnEarlierLifeOfARunDoesNotTakeOverFromALaterOne) {
  SinkOwner earlier = owner();
  earlier.life = 7;
  SinkOwner later = earlier;
  later.life = 8;
  EXPECT_EQ(PostgresStore{database()}.claim(earlier).epoch, 1U);
  EXPECT_EQ(PostgresStore{database()}.claim(earlier).epoch, 2U);
  EXPECT_EQ(PostgresStore{database()}.claim(later).epoch, 3U);
  EXPECT_THAT(error_of([&] { PostgresStore{database()}.claim(earlier); }),
              HasSubstr("another process took over from book/0 of payments: a later start of the same run"));
  EXPECT_EQ(PostgresStore{database()}.claim(later).epoch, 4U);
}

// Made by an earlier version, which knew of no lives.
TEST_F(PostgresOwner, FindsTablesOfAnEarlierVersion) {
  std::ignore = PostgresStore{database()}.claim(owner());
  server().query("ALTER TABLE sluice.owner DROP COLUMN life; DROP FUNCTION sluice.claim");
  EXPECT_EQ(PostgresStore{database()}.claim(owner()).epoch, 2U);
}

// A batch of payments with these cents, each a statement; how many events are refused.
class PostgresBatch : public PostgresOwner {
 protected:
  static std::size_t refused_of(PostgresStore& store, std::uint64_t epoch, Statement statement,
                                const std::vector<std::int64_t>& cents) {
    std::vector<PendingEffect<SqlEffect>> effects;
    for (std::size_t i = 0; i < cents.size(); ++i)
      effects.push_back({{kRun, i}, SqlEffect{statement, i, cents[i]}});
    const std::vector<WatermarkMove> marks{{kRun, cents.size(), 0}};
    try {
      store.apply({owner(), epoch, effects, marks});
    } catch (const Refused& refused) {
      return refused.events().size();
    }
    return 0;
  }
};

TEST_F(PostgresBatch, IsSentAFewTimesHoweverManyOfItsEventsAreRefused) {
  constexpr std::size_t kEvents = 512;
  const PostgresRelay relay{server().port(), {}};
  PostgresOptions relayed = database();
  relayed.url = relay.url();
  relayed.call_limit = 10min;  // The search ends after it, and has some 500 round trips to make.
  const auto bytes_of = [&](const std::vector<std::int64_t>& cents, std::size_t refused) {
    PostgresStore store{relayed};
    const std::uint64_t epoch = store.claim(owner()).epoch;
    const Statement statement = store.prepare("INSERT INTO payment VALUES ($1, 1, $2)");
    const std::uint64_t before = relay.bytes();
    EXPECT_EQ(refused_of(store, epoch, statement, cents), refused);
    return relay.bytes() - before;
  };
  const std::uint64_t all_refused = bytes_of(std::vector<std::int64_t>(kEvents, -1), kEvents);
  std::vector<std::int64_t> half(kEvents, 1);
  for (std::size_t i = 0; i < kEvents; i += 2)
    half[i] = -1;
  const std::uint64_t half_refused = bytes_of(half, kEvents / 2);
  const std::uint64_t none_refused = bytes_of(std::vector<std::int64_t>(kEvents, 1), 0);
  EXPECT_LT(all_refused, 10 * none_refused);
  EXPECT_LT(half_refused, 10 * none_refused);
}

TEST_F(PostgresBatch, HasItsTimeForEachCall) {
  PostgresOptions slow = database();
  slow.call_limit = 16s;  // Twice as long as a call: a disk can keep one waiting for seconds.
  PostgresStore store{slow};
  const std::uint64_t epoch = store.claim(owner()).epoch;
  const Statement statement = store.prepare("INSERT INTO payment SELECT $1, 1, $2 FROM pg_sleep(0.75)");
  std::vector<std::int64_t> cents(12, 1);
  cents[10] = cents[11] = -1;
  EXPECT_EQ(refused_of(store, epoch, statement, cents), 2U);
}

TEST_F(PostgresOwner, IsOneForEachReplicaAndAllOfALargerStageGiveWay) {
  PostgresStore zero{database()};
  PostgresStore one{database()};
  const std::uint64_t of_zero = zero.claim(owner(kRun, 0, 2)).epoch;
  const std::uint64_t of_one = one.claim(owner(kRun, 1, 2)).epoch;
  const Statement statement = one.prepare(kPay);
  pay(zero, zero.prepare(kPay), owner(kRun, 0, 2), of_zero, 1);
  pay(one, statement, owner(kRun, 1, 2), of_one, 2);
  PostgresStore smaller{database()};
  std::ignore = smaller.claim(owner(kLater, 0, 1));
  EXPECT_THAT(error_of([&] { pay(one, statement, owner(kRun, 1, 2), of_one, 3); }),
              HasSubstr("another process took over from book/1"));
}

TEST_F(PostgresOwner, WaitsForATransactionOfItsPredecessorThatMayStillCommit) {
  const std::uint64_t epoch = PostgresStore{database()}.claim(owner()).epoch;
  const PostgresServer::Session predecessor{server().url()};
  predecessor.query("BEGIN; SELECT sluice.advance('payments', 'book', 0, " + std::to_string(epoch) + ", '{" +
                    std::to_string(static_cast<std::int64_t>(kRun)) + "}', '{0}', '{77}')");
  std::atomic<bool> claimed{false};
  SinkClaim claim;
  std::thread successor{[&] {
    claim = PostgresStore{database()}.claim(owner());
    claimed = true;
  }};
  EXPECT_TRUE(eventually([&] {
    return server().query("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1\n";
  }));
  EXPECT_FALSE(claimed);
  predecessor.query("COMMIT");
  successor.join();
  EXPECT_THAT(claim.watermarks, ElementsAre(Watermark{kRun, 77}));
}

TEST_F(PostgresOwner, DoesNotWaitForOneThatIsLeftOpenForEver) {
  PostgresOptions limited = database();
  limited.call_limit = 500ms;
  const std::uint64_t epoch = PostgresStore{database()}.claim(owner()).epoch;
  const PostgresServer::Session blocker{server().url()};
  blocker.query("BEGIN; SELECT sluice.advance('payments', 'book', 0, " + std::to_string(epoch) +
                ", '{}', '{}', '{}')");
  EXPECT_THROW(PostgresStore{limited}.claim(owner()), Unavailable);
  // A session of the store's own does not stay so: the server ends it after the limit.
  // The claim that was given up may still have come about in the server: any epoch will do.
  blocker.query(
      "ROLLBACK; SET idle_in_transaction_session_timeout = 300; BEGIN; SELECT epoch FROM sluice.owner FOR "
      "UPDATE");
  EXPECT_TRUE(eventually([&] {
    try {
      return PostgresStore{limited}.claim(owner()).epoch > epoch;
    } catch (const Unavailable&) {
      return false;
    }
  }));
}

TEST_F(PostgresOwner, MakesItsTablesOnceHoweverManyBeginAtATime) {
  std::vector<std::thread> workers;
  std::atomic<int> good{0};
  for (unsigned i = 0; i < 8; ++i) {
    workers.emplace_back([&, i] {
      if (PostgresStore{database()}.claim(owner(kRun, i, 8)).epoch == 1) ++good;
    });
  }
  for (std::thread& worker : workers)
    worker.join();
  EXPECT_EQ(good, 8);
}

TEST(SqlState, SaysWhetherToWaitToRefuseOrToStop) {
  using detail::judge;
  using detail::Verdict;
  const auto all = [](Verdict verdict, std::initializer_list<const char*> states) {
    for (const char* state : states)
      EXPECT_EQ(judge({state, {}, {}}), verdict) << state;
  };
  all(Verdict::away, {"08006", "40001", "40P01", "53100", "53200", "53300", "55006", "55P03", "57014",
                      "57P01", "57P02", "57P03", "58030", "25006", "25P03", "25P04", "72000", "HV00N", ""});
  all(Verdict::refused, {"22001", "22003", "22P02", "23502", "23503", "23505", "23514", "23P01", "44000",
                         "P0001", "54000", "21000", "BANK1"});
  all(Verdict::mistake, {"28P01", "28000", "3D000", "3F000", "42P01", "42703", "42501", "0A000", "26000",
                         "XX001", "2200H", "55000"});
  EXPECT_EQ(judge({"0A000", {}, "RevalidateCachedQuery"}), Verdict::away);
  // The server wants a VACUUM; the row is one that a policy forbids.
  EXPECT_EQ(judge({"54000", {}, "GetNewTransactionId"}), Verdict::away);
  EXPECT_EQ(judge({"54000", {}, "GetNewMultiXactId"}), Verdict::away);
  EXPECT_EQ(judge({"42501", {}, "ExecWithCheckOptions"}), Verdict::refused);
  // Of the statement, or of a value that is read.
  for (const char* state : {"42601", "42704"}) {
    EXPECT_EQ(judge({state, {}, {}, true}), Verdict::mistake);
    EXPECT_EQ(judge({state, {}, {}, false}), Verdict::refused);
  }
  // One value is larger than the server can have in its memory; all else of that state is its own fault.
  EXPECT_EQ(judge({"XX000", "invalid memory alloc request size 1080000004", {}}), Verdict::refused);
  EXPECT_EQ(judge({"XX000", "cache lookup failed for type 4711", {}}), Verdict::mistake);
  EXPECT_EQ(detail::judge_connection({"55000", {}, {}}), Verdict::away) << "it takes no connections now";
  EXPECT_EQ(judge({"SL001", {}, {}}), Verdict::taken_over);
}

TEST(SqlState, IsFoundInTheTextOfAConnectionThatWasNotMade) {
  const std::string text =
      "connection to server at \"db1\" (10.0.0.1), port 5432 failed: Connection refused\n"
      "\tIs the server running on that host?\n"
      "connection to server at \"db2\" (10.0.0.2), port 5432 failed: FATAL:  57P03: the database system is "
      "starting up\nLOCATION:  ProcessStartupPacket, postmaster.c:2356\n";
  EXPECT_EQ(detail::state_in(text), "57P03");
  EXPECT_EQ(detail::plain_text_of(text),
            "connection to server at \"db1\" (10.0.0.1), port 5432 failed: Connection refused; Is the server "
            "running on that "
            "host?; connection to server at \"db2\" (10.0.0.2), port 5432 failed: FATAL: the database system "
            "is starting up");
  EXPECT_EQ(detail::state_in("could not translate host name \"db1\" to address: Name or service not known\n"),
            "");
}

}  // namespace
}  // namespace sluice::test
