// SPDX-License-Identifier: Apache-2.0
// The recorded captures, read, split and parsed, give the answers that were computed independently.

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/connect/line_reader.hpp>

#include "market/input_plan.hpp"
#include "market/parse.hpp"
#include "market_test_support.hpp"

namespace market {
namespace {

struct TradeSums {
  std::int64_t trades = 0;
  QuantitySum quantity;
  NotionalSum notional;
  std::int64_t buyer_maker = 0;
  Decimal first, last, lowest, highest;
  std::int64_t last_id = 0;
  std::int64_t id_gaps = 0;

  void add(const Trade& trade) {
    if (trades++ == 0) {
      first = lowest = highest = trade.price;
    } else if (trade.trade_id != last_id + 1) {
      ++id_gaps;
    }
    last_id = trade.trade_id;
    last = trade.price;
    lowest = std::min(lowest, trade.price);
    highest = std::max(highest, trade.price);
    buyer_maker += trade.buyer_maker ? 1 : 0;
    EXPECT_TRUE(sluice::add(quantity, trade.quantity));
    EXPECT_TRUE(sluice::add(notional, trade.price, trade.quantity));
  }
};

class Answers {
 public:
  void read(const InputPlan& plan) {
    for (const auto& groups : plan.workers) {
      for (const InputGroup& group : groups) {
        for (const InputFile& file : group.files)
          read(file);
      }
    }
  }

  std::string event_counts() const {
    std::string out = "venue\tsymbol\tkind\tcount\n";
    for (const auto& [key, count] : counts_)
      out += columns(key.first) + key.second + '\t' + std::to_string(count) + '\n';
    return out;
  }

  std::string trades() const {
    std::string out =
        "venue\tsymbol\ttrades\tqty_sum\tnotional_sum\tbuyer_maker\tfirst_px\tlast_px\tmin_px\tmax_px\ttrade_"
        "id_gaps\n";
    for (const auto& [key, sums] : trades_) {
      out += columns(key) + std::to_string(sums.trades) + '\t' + to_text(sums.quantity) + '\t' +
             to_text(sums.notional) + '\t' + std::to_string(sums.buyer_maker) + '\t' + to_text(sums.first) +
             '\t' + to_text(sums.last) + '\t' + to_text(sums.lowest) + '\t' + to_text(sums.highest) + '\t' +
             std::to_string(sums.id_gaps) + '\n';
    }
    return out;
  }

  std::string tickers() const {
    std::string out = "venue\tsymbol\tbid\tbid_qty\task\task_qty\tu\n";
    for (const auto& [key, ticker] : tickers_) {
      out += columns(key) + to_text(ticker.bid) + '\t' + to_text(ticker.bid_quantity) + '\t' +
             to_text(ticker.ask) + '\t' + to_text(ticker.ask_quantity) + '\t' +
             std::to_string(ticker.update_id) + '\n';
    }
    return out;
  }

 private:
  static std::string columns(const Instrument& instrument) {
    return std::string{instrument.venue.text()} + '\t' + std::string{instrument.symbol.text()} + '\t';
  }

  void read(const InputFile& file) {
    sluice::LineReader capture{file.path};
    for (sluice::FileLine line = capture.next(); line.status != sluice::LineStatus::end;
         line = capture.next()) {
      ASSERT_EQ(line.status, sluice::LineStatus::line) << capture.failure();
      const CaptureLine split = split_capture_line(file.format, file.instrument, line.text);
      ASSERT_EQ(split.reject_reason, "") << file.path << ":" << line.number;
      const Parsed parsed = parser_.parse(split.instrument, split.json, sluice::LineReader::kReadableBehind);
      if (const auto* rejected = std::get_if<Rejected>(&parsed)) {
        FAIL() << file.path << ":" << line.number << ": " << rejected->reason;
      }
      std::visit([&](const auto& event) { take(event, kind_name(parsed)); }, parsed);
    }
  }

  void take(const Rejected&, const KindName&) {}
  template <class Event>
  void take(const Event& event, const KindName& kind) {
    ++counts_[{event.instrument, std::string{kind.text()}}];
    if constexpr (std::is_same_v<Event, Trade>) trades_[event.instrument].add(event);
    if constexpr (std::is_same_v<Event, Ticker>) tickers_[event.instrument] = event;
  }

  LineParser parser_;
  std::map<std::pair<Instrument, std::string>, std::int64_t> counts_;
  std::map<Instrument, TradeSums> trades_;
  std::map<Instrument, Ticker> tickers_;
};

class RecordedCaptures : public test::RecordedData {
 protected:
  void expect_answers(const InputPlan& plan, const std::string& folder) {
    Answers answers;
    answers.read(plan);
    EXPECT_EQ(answers.event_counts(), test::slurp(data_ / folder / "event_counts.tsv"));
    EXPECT_EQ(answers.trades(), test::slurp(data_ / folder / "trades.tsv"));
    EXPECT_EQ(answers.tickers(), test::slurp(data_ / folder / "last_ticker.tsv"));
  }
};

TEST_F(RecordedCaptures, GiveTheAnswersOfTheWholeDay) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator{data_}) {
    if (entry.path().extension() == ".gz") paths.push_back(entry.path().string());
  }
  ASSERT_EQ(paths.size(), 6U);
  expect_answers(plan_inputs(paths, 2), "answers");
}

TEST_F(RecordedCaptures, GiveTheAnswersOfTheMergedFixture) {
  const std::vector<std::string> paths{(data_ / "fixture_first20000.tsv.zst").string()};
  expect_answers(plan_inputs(paths, 1), "answers_fixture20000");
}

}  // namespace
}  // namespace market
