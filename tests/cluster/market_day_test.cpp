// SPDX-License-Identifier: Apache-2.0
// The market on three hosts, of which one dies in the midst of the day: its answers are those of one machine, to the byte. The day is
// the recorded one, or a simulated one where that is not here.
#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/connect/line_reader.hpp>
#include <sluice/partitioner.hpp>

#include "cluster_world.hpp"
#include "market/input_plan.hpp"
#include "market/output_files.hpp"
#include "market/read_stage.hpp"
#include "market_wire.hpp"
#include "programs.hpp"

namespace sluice::test {
namespace {

class MarketOnHosts : public ClusterTest {
 protected:
  static constexpr std::size_t kMessagesAtOnce = 20'000;
  static constexpr auto kLong = 200s;

  // The captures, and what one machine makes of them.
  void prepare() {
    captures_ = file("captures");
    if (programs::real_data()) {
      std::filesystem::create_directory(captures_);
      for (const auto& entry : std::filesystem::directory_iterator{*programs::real_data() / "binance"}) {
        if (entry.path().extension() == ".gz")
          std::filesystem::create_symlink(entry.path(), captures_ / entry.path().filename());
      }
    } else {
      const auto simulated =
          programs::run_simulator("--events 100000 --out " + programs::shell_word(captures_));
      ASSERT_EQ(simulated.status, 0) << simulated.errors;
    }
    const auto one = programs::run_market("--quiet --out " + programs::shell_word(file("one")) + " --input " +
                                          programs::files_in(captures_));
    ASSERT_EQ(one.status, 0) << one.errors;
    make_stream(url(), {.name = kLines, .subject = "lines.*"});
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
        send_messages(url(), "lines." + std::to_string(number),
                      {from, from + static_cast<std::ptrdiff_t>(count)});
      }
      if (half == Half::second) send_messages(url(), "lines." + std::to_string(number), {""});
    }
  }

  std::string status() { return cluster({"status", "market", "--json"}); }
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

  std::filesystem::path captures_;
  std::vector<std::vector<std::string>> lines_{kMarketPartitions};
  std::vector<StreamMessage> rows_;
};

TEST_F(MarketOnHosts, GivesTheAnswersOfOneThoughOneOfThreeDies) {
  prepare();
  for (const char* name : {"alpha", "beta", "gamma"})
    start_host(name, MARKET_HOST);
  // Nobody can be asked before.
  for (const char* name : {"alpha", "beta", "gamma"}) {
    ASSERT_TRUE(within(kLong, [&] {
      return text_of(file(std::string{name} + ".err")).find("is here") != std::string::npos;
    })) << name;
  }
  const auto most = static_cast<unsigned>(
      std::max_element(lines_.begin(), lines_.end(),
                       [](const auto& one, const auto& other) { return one.size() < other.size(); }) -
      lines_.begin());
  std::string before;
  ASSERT_TRUE(within(kLong, [&] { return !(before = stored(most)).empty(); })) << status();
  send(Half::first);
  // One that rests stores nothing.
  ASSERT_TRUE(within(kLong, [&] {
    const std::string now = stored(most);
    return !now.empty() && now != before;
  })) << status();
  const std::string dies = owner(most);
  ASSERT_TRUE(dies == "alpha" || dies == "beta" || dies == "gamma") << dies;
  lose_host(dies);
  send(Half::second);
  EXPECT_TRUE(within(kLong, [this] { return are_finished(); })) << status();
  std::string others;
  for (const char* name : {"alpha", "beta", "gamma"})
    others += name == dies ? "" : text_of(file(std::string{name} + ".err"));
  EXPECT_THAT(others, testing::HasSubstr(", after " + dies));
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

}  // namespace
}  // namespace sluice::test
