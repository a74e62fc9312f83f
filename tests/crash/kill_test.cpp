// Workers of every kind are killed with SIGKILL at random instants while a ledger passes through them; at the
// end every event has taken effect exactly once, in order, everywhere.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

namespace {

constexpr std::uint64_t kAccounts = 512;

struct Entry {
  std::uint64_t account;
  std::uint64_t number;  // Counted per account, from 0.
  std::uint64_t amount;
};

struct Balance {
  std::uint64_t account;
  std::uint64_t entries;
  std::uint64_t sum;
  std::uint64_t out_of_order;
};

constexpr std::uint64_t amount_of(std::uint64_t account, std::uint64_t number) {
  return (account * 2654435761U + number * 40503U) % 1000;
}

// Deals entries over the accounts; its position is all its state.
class Dealer {
 public:
  Dealer(sluice::Worker& worker, std::uint64_t entries)
      : dealt_{worker.state<std::uint64_t>("dealt")}, entries_{entries} {}
  bool operator()(sluice::Outlet<Entry>& out) {
    if (*dealt_ == entries_) return false;
    const std::uint64_t account = *dealt_ % kAccounts;
    const std::uint64_t number = *dealt_ / kAccounts;
    out.push({account, number, amount_of(account, number)});
    ++dealt_.edit();
    return true;
  }

 private:
  sluice::Recoverable<std::uint64_t> dealt_;
  std::uint64_t entries_;
};

// Passes entries on as records of odd lengths, to have both kinds of lanes in the way.
struct Wrap {
  void operator()(const Entry& entry, sluice::Outlet<sluice::Record<Entry>>& out) {
    const std::string padding(entry.number % 97, 'x');
    out.push(entry, padding);
  }
};

class Book {
 public:
  explicit Book(sluice::Worker& worker)
      : balances_{worker.table<std::uint64_t, Balance>("balances", kAccounts)},
        told_{worker.state<std::uint64_t>("told")} {}
  void operator()(const sluice::Record<Entry>& record, sluice::Outlet<Balance>&) {
    const Entry& entry = record.head;
    const bool known = balances_.contains(entry.account);
    Balance& balance = balances_[entry.account];
    balance.account = entry.account;
    const bool whole = record.body.size() == entry.number % 97;
    if ((known ? balance.entries : 0) != entry.number || !whole) ++balance.out_of_order;
    ++balance.entries;
    balance.sum += entry.amount;
  }
  // In portions, so that kills can come between them.
  bool finish(sluice::Outlet<Balance>& out) {
    constexpr std::uint64_t kPortion = 16;
    const std::uint64_t end = std::min(*told_ + kPortion, balances_.slots());
    for (std::uint64_t slot = *told_; slot < end; ++slot) {
      if (const auto* row = balances_.slot(slot)) out.push(row->value);
    }
    told_.set(end);
    return end < balances_.slots();
  }

 private:
  sluice::Table<std::uint64_t, Balance> balances_;
  sluice::Recoverable<std::uint64_t> told_;
};

class Statement {
 public:
  Statement(sluice::Worker& worker, const std::filesystem::path& path) : file_{worker, "statement", path} {}
  void operator()(const Balance& balance) {
    file_.append(std::to_string(balance.account) + " " + std::to_string(balance.entries) + " " +
                 std::to_string(balance.sum) + " " + std::to_string(balance.out_of_order) + "\n");
  }

 private:
  sluice::AppendFile file_;
};

class Ledger : public testing::Test {
 protected:
  Ledger()
      : path_{std::filesystem::temp_directory_path() / ("sluice-ledger-" + std::to_string(::getpid()))} {}
  ~Ledger() override { std::filesystem::remove(path_); }

  sluice::Pipeline pipeline(std::uint64_t entries) const {
    sluice::Pipeline pipeline{"ledger"};
    pipeline.source<Dealer>("deal", entries)
        .by(&Entry::account)
        .to<Wrap>("wrap", {.workers = 2})
        .by([](const sluice::Record<Entry>& record) { return record.head.account; })
        .to<Book>("book", {.workers = 2})
        .to<Statement>("statement", path_);
    return pipeline;
  }

  // Every account stands in the statement once, with all its entries in order.
  void audit(std::uint64_t entries) const {
    std::ifstream file{path_};
    std::vector<int> seen(kAccounts, 0);
    Balance balance{};
    while (file >> balance.account >> balance.entries >> balance.sum >> balance.out_of_order) {
      ASSERT_LT(balance.account, kAccounts);
      ++seen[balance.account];
      const std::uint64_t expected = entries / kAccounts + (balance.account < entries % kAccounts ? 1U : 0U);
      std::uint64_t sum = 0;
      for (std::uint64_t number = 0; number < expected; ++number)
        sum += amount_of(balance.account, number);
      EXPECT_EQ(balance.entries, expected) << "account " << balance.account;
      EXPECT_EQ(balance.sum, sum) << "account " << balance.account;
      EXPECT_EQ(balance.out_of_order, 0U) << "account " << balance.account;
    }
    EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 1; }));
  }

  // Kills until the pipeline has ended, `most` kills at the most; the number of kills.
  static std::uint64_t kill_until_the_end(sluice::Engine& engine, std::uint64_t seed, std::uint64_t most,
                                          std::chrono::microseconds pause) {
    const std::vector<std::string> workers{"deal/0", "wrap/0", "wrap/1", "book/0", "book/1", "statement/0"};
    std::mt19937_64 random{seed};
    std::uint64_t kills = 0;
    std::size_t next = 0;  // They take turns, so that each is hit.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{120};
    while (!engine.wait_for(pause * (random() % 1000) / 500)) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "the pipeline did not end\n" << sluice::to_text(engine.stats(), {}, 0);
        return kills;
      }
      if (kills < most && engine.signal_worker(workers[next++ % workers.size()], SIGKILL)) ++kills;
    }
    return kills;
  }

  void run(std::uint64_t entries, std::uint64_t most_kills, const std::vector<std::string>& assignments) {
    const std::uint64_t seed = std::random_device{}();
    sluice::Settings settings;
    settings.set("restart.budget", "100000");
    for (const std::string& assignment : assignments)
      settings.set_assignment(assignment);
    sluice::Engine engine{pipeline(entries), settings};
    engine.start();
    const std::uint64_t kills = kill_until_the_end(engine, seed, most_kills, std::chrono::microseconds{1000});
    const sluice::Stats stats = engine.stats();
    std::cout << kills << " kills, seed " << seed << "\n" << sluice::to_text(stats, {}, 0);
    for (const sluice::StageStats& stage : stats.stages) {
      EXPECT_GT(stage.restarts(), 0U) << "no worker of stage " << stage.name << " was killed, seed " << seed;
      for (const sluice::WorkerStats& worker : stage.workers) {
        EXPECT_EQ(worker.unasked_wakes, 0U) << worker.name << ", seed " << seed;
      }
    }
    SCOPED_TRACE("seed " + std::to_string(seed));
    audit(entries);
  }

  std::filesystem::path path_;
};

TEST_F(Ledger, IsExactWithoutKills) {
  constexpr std::uint64_t kEntries = 100'000;
  sluice::Engine engine{pipeline(kEntries), {}};
  engine.start();
  ASSERT_TRUE(engine.wait_for(std::chrono::seconds{60}));
  audit(kEntries);
}

TEST_F(Ledger, IsExactWhileWorkersOfEveryKindAreKilled) {
  run(20'000'000, 2'000, {});
}

TEST_F(Ledger, IsExactWhileWorkersAreKilledBehindTinyLanes) {
  // Lanes that hold a few events: most deaths come while somebody waits for room.
  run(600'000, 400, {"lane.slots=2", "lane.bytes=4KiB"});
}

TEST_F(Ledger, IsExactWhileWorkersAreKilledWithBatchesOfOne) {
  run(600'000, 500, {"batch.events=1"});
}

TEST_F(Ledger, IsExactWhileWorkersAreKilledWithASmallUndoLog) {
  run(6'000'000, 1'000, {"undo.bytes=4KiB"});
}

}  // namespace
