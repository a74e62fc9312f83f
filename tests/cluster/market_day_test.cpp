// SPDX-License-Identifier: Apache-2.0
// The market on three hosts, of which one dies in the midst of the day, and may come back: its answers are those of one machine, to the byte. The day is
// the recorded one, or a simulated one where that is not here.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/connect/line_reader.hpp>
#include <sluice/partitioner.hpp>

#include "cluster_world.hpp"
#include "kill_count.hpp"
#include "market/input_plan.hpp"
#include "market/output_files.hpp"
#include "market/read_stage.hpp"
#include "market_wire.hpp"
#include "programs.hpp"

namespace sluice::test {
namespace {

// Asked for before any program is started: it is no setting of theirs.
const bool kKillsAsked = kills_asked(0) != 0;

class MarketOnHosts : public ClusterTest {
 protected:
  static constexpr std::size_t kMessagesAtOnce = 20'000;
  static constexpr auto kLong = 200s;

  // The captures, and what one machine makes of them: the recorded day where it is here, unless that is too long.
  void prepare(bool short_day = false) {
    ::unsetenv("SLUICE_CONNECT_KILLS");
    captures_ = file("captures");
    if (programs::real_data() && !short_day) {
      std::filesystem::create_directory(captures_);
      for (const auto& entry : std::filesystem::directory_iterator{*programs::real_data() / "binance"}) {
        if (entry.path().extension() == ".gz")
          std::filesystem::create_symlink(entry.path(), captures_ / entry.path().filename());
      }
    } else {
      const auto simulated =
          programs::run_simulator(std::string{"--events "} + (short_day ? "8000" : "100000") + " --out " +
                                  programs::shell_word(captures_));
      ASSERT_EQ(simulated.status, 0) << simulated.errors;
    }
    const auto one = programs::run_market("--quiet --out " + programs::shell_word(file("one")) + " --input " +
                                          programs::files_in(captures_));
    ASSERT_EQ(one.status, 0) << one.errors;
    make_stream(url(), {.name = kLines,
                        .subject = "lines.*",
                        .duplicates_ns = 120'000'000'000,
                        .replicas = static_cast<unsigned>(servers())});
    make_stream(url(), {.name = kRows, .subject = "rows.*"});
    for (const auto& entry : std::filesystem::directory_iterator{captures_})
      take(entry.path());
  }
  // Each line is of an instrument, whose lines stay in their order.
  void take(const std::filesystem::path& capture) {
    const market::InputFile input = market::inspect_input(capture.string());
    LineReader reader{input.path, LineReaderOptions{}};
    for (FileLine line = reader.next(); line.status == LineStatus::line; line = reader.next()) {
      market::send_line(
          line, input.format, input.instrument, 0, input.path,
          [&](const market::LineHead& head, std::string_view json) {
            const std::string key =
                std::string{head.instrument.venue.text()}.append(" ").append(head.instrument.symbol.text());
            lines_[Partitioner{kMarketPartitions}.of(key)].push_back(packed(head, json));
          },
          [](const market::RowHead&, const std::string& row) { ADD_FAILURE() << row; });
    }
  }
  enum class Half { first, second };
  void send(Half half) {
    for (unsigned number = 0; number < kMarketPartitions; ++number) {
      const std::vector<std::string>& lines = lines_[number];
      const std::size_t middle = lines.size() / 2;
      std::size_t next = half == Half::first ? 0 : middle;
      const std::size_t end = half == Half::first ? middle : lines.size();
      for (std::size_t count = 0; next < end; next += count) {
        count = std::min(end - next, kMessagesAtOnce);
        const auto from = lines.begin() + static_cast<std::ptrdiff_t>(next);
        send_lines(number, {from, from + static_cast<std::ptrdiff_t>(count)}, next);
      }
      if (half == Half::second) send_lines(number, {""}, lines.size());
    }
  }
  virtual void send_lines(unsigned partition, const std::vector<std::string>& lines, std::size_t /*first*/) {
    send_messages(url(), "lines." + std::to_string(partition), lines);
  }

  virtual std::string status() { return cluster({"status", "market", "--json"}); }
  // What the status says of a partition: {"partition":N,...}.
  static std::string part_of(const std::string& status, unsigned partition) {
    const std::size_t at = status.find(R"({"partition":)" + std::to_string(partition) + ",");
    return at == std::string::npos ? std::string{} : status.substr(at, status.find('}', at) - at);
  }
  static std::string value_of(const std::string& part, const std::string& name) {
    const std::string member = "\"" + name + "\":";
    const std::size_t at = part.find(member);
    if (at == std::string::npos) return {};
    const std::string value = part.substr(at + member.size());
    return value.substr(0, value.find(','));
  }
  // How much of a partition is stored; empty before anything is.
  std::string stored(unsigned partition) {
    const std::string bytes = value_of(part_of(status(), partition), "stored_bytes");
    return bytes == "null" ? std::string{} : bytes;
  }
  std::string owner(unsigned partition) {
    const std::string name = value_of(part_of(status(), partition), "owner");
    return name.size() > 2 ? name.substr(1, name.size() - 2) : std::string{};
  }
  bool are_finished() {
    const std::string text = status();
    constexpr std::string_view kFinished = R"("state":"finished")";
    unsigned finished = 0;
    for (std::size_t at = text.find(kFinished); at != std::string::npos; at = text.find(kFinished, at + 1))
      ++finished;
    return finished == kMarketPartitions;
  }

  // As the market writes it.
  std::string answer(market::Output output) {
    std::vector<std::string_view> rows;
    for (const StreamMessage& message : rows_) {
      const auto [head, text] = unpacked<market::RowHead>(message.data);
      if (head.output == output) rows.push_back(text);
    }
    market::write_sorted(file("hosts"), output, rows);
    return text_of(file("hosts") / ("." + std::string{market::name_of(output)} + ".new"));
  }

  void start_all() {
    for (const char* name : kHosts)
      start_host(name, MARKET_HOST);
    // Nobody can be asked before.
    for (const std::string name : kHosts) {
      ASSERT_TRUE(within(kLong, [&] {
        return text_of(file(name + ".err")).find("is here") != std::string::npos;
      })) << name;
    }
  }
  // Until a checkpoint has some of it; gives the host that has the largest partition.
  std::string send_the_first_half() {
    const auto most = static_cast<unsigned>(
        std::max_element(lines_.begin(), lines_.end(),
                         [](const auto& one, const auto& other) { return one.size() < other.size(); }) -
        lines_.begin());
    std::string before;
    EXPECT_TRUE(within(kLong, [&] { return !(before = stored(most)).empty(); })) << status();
    send(Half::first);
    // One that rests stores nothing.
    EXPECT_TRUE(within(kLong, [&] {
      const std::string now = stored(most);
      return !now.empty() && now != before;
    })) << status();
    std::string has = owner(most);
    EXPECT_NE(std::find(kHosts.begin(), kHosts.end(), has), kHosts.end()) << has;
    return has;
  }
  std::string said_by_all_but(const std::string& one) const {
    std::string said;
    for (const std::string name : kHosts)
      said += name == one ? "" : text_of(file(name + ".err"));
    return said;
  }
  bool owns(const std::string& host) {
    const std::string text = status();
    for (unsigned number = 0; number < kMarketPartitions; ++number) {
      if (value_of(part_of(text, number), "owner") == "\"" + host + "\"") return true;
    }
    return false;
  }
  // How many hosts own something, of partitions that nobody is about to move.
  std::size_t owners() {
    const std::string text = status();
    std::set<std::string> owners;
    for (unsigned number = 0; number < kMarketPartitions; ++number) {
      const std::string part = part_of(text, number);
      if (value_of(part, "state") == R"("owned")") owners.insert(value_of(part, "owner"));
    }
    return owners.size();
  }
  std::uint64_t epochs() {
    const std::string text = status();
    std::uint64_t sum = 0;
    for (unsigned number = 0; number < kMarketPartitions; ++number)
      sum += std::stoull("0" + value_of(part_of(text, number), "epoch"));
    return sum;
  }
  void expect_the_answers_of_one() {
    rows_ = messages_of(url(), kRows);
    std::filesystem::create_directory(file("hosts"));
    for (const market::Output output :
         {market::Output::event_counts, market::Output::trades, market::Output::bars, market::Output::book,
          market::Output::last_ticker, market::Output::rejected}) {
      const std::string name{market::name_of(output)};
      const std::string one = text_of(file("one") / (name + ".tsv"));
      EXPECT_TRUE(answer(output) == one) << name << " is another one";
      EXPECT_NE(one, "") << name;
    }
  }

  static constexpr std::array<const char*, 3> kHosts{"alpha", "beta", "gamma"};
  std::filesystem::path captures_;
  std::vector<std::vector<std::string>> lines_{kMarketPartitions};
  std::vector<StreamMessage> rows_;
};

TEST_F(MarketOnHosts, GivesTheAnswersOfOneThoughOneOfThreeDies) {
  ASSERT_NO_FATAL_FAILURE(prepare());
  start_all();
  const std::string dies = send_the_first_half();
  lose_host(dies);
  send(Half::second);
  EXPECT_TRUE(within(kLong, [this] { return are_finished(); })) << status();
  EXPECT_THAT(said_by_all_but(dies), testing::HasSubstr(", after " + dies));
  expect_the_answers_of_one();
}

// It gets a partition back, and nothing else moves.
TEST_F(MarketOnHosts, GivesTheAnswersOfOneThoughTheOneThatDiesComesBack) {
  ASSERT_NO_FATAL_FAILURE(prepare());
  start_all();
  // A share each.
  ASSERT_TRUE(within(kLong, [this] { return owners() == 3; })) << status();
  const std::string dies = send_the_first_half();
  const std::uint64_t before = epochs();
  lose_host(dies);
  ASSERT_TRUE(within(kLong, [&] { return !owns(dies); })) << status();
  start_host(dies, MARKET_HOST);
  EXPECT_TRUE(within(kLong, [&] { return owns(dies) && owners() == 3; })) << status();
  // A host that the machine has kept waiting for longer than a lease is taken for dead, too: that is need.
  const std::string said = said_by_all_but({});
  const bool others_were_silent = said.find(", after ") != said.rfind(", after ") ||
                                  said.find("fenced") != std::string::npos ||
                                  said.find("without being parked") != std::string::npos;
  if (!others_were_silent) {
    EXPECT_EQ(epochs(), before + 2) << status() << said;
  }
  send(Half::second);
  EXPECT_TRUE(within(kLong, [this] { return are_finished(); })) << status();
  expect_the_answers_of_one();
}

// The day is a short one: each of its lines is acknowledged before the next is sent, so that they stay in order though a server dies.
class MarketOnThreeServers : public MarketOnHosts {
 protected:
  // As in servers_test.cpp.
  void SetUp() override {
    if (!kKillsAsked)
      GTEST_SKIP() << "the server may lose a stream when it is killed: set SLUICE_CONNECT_KILLS to try it";
    MarketOnHosts::SetUp();
  }
  void serve() override { add_servers_that_are_one(3); }
  void send_lines(unsigned partition, const std::vector<std::string>& lines, std::size_t first) override {
    send_each(url(), "lines." + std::to_string(partition), lines, first);
  }
  // It can fail while a server is away, or has just come back: then it says nothing of partitions, and is asked again.
  std::string status() override { return told_by_cluster({"status", "market", "--json"}).text; }
};

// The server that has the checkpoints, and the host of the largest partition, at once.
TEST_F(MarketOnThreeServers, GivesTheAnswersOfOneThoughAHostAndAServerDie) {
  ASSERT_NO_FATAL_FAILURE(prepare(true));
  start_all();
  const std::string dies = send_the_first_half();
  const std::size_t server_dies = leader("SLUICE_market");
  server(server_dies).kill();
  lose_host(dies);
  // The other two take all of it.
  send(Half::second);
  server(server_dies).start();
  EXPECT_TRUE(within(kLong, [this] { return are_finished(); })) << status();
  EXPECT_THAT(said_by_all_but(dies), testing::HasSubstr(", after " + dies));
  expect_the_answers_of_one();
}

}  // namespace
}  // namespace sluice::test
