// SPDX-License-Identifier: Apache-2.0
// What a recorder receives for one instrument, day after day: trades, tickers, depth updates and, a little
// after each day's start, the REST snapshot of the book.
//
// By construction a client that follows the exchange's rules ends each day with the best prices of the day's
// last ticker: a depth update that is lost on the way leaves a sequence gap, and its levels come again with
// the next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "book.hpp"
#include "instruments.hpp"
#include "messages.hpp"
#include "random.hpp"

namespace simulator {

struct Record {
  std::int64_t receive_ns = 0;
  int day = 0;  // From 0.
  std::string json;
};

struct FeedPlan {
  std::int64_t events = 0;  // In all days together.
  int days = 1;
  std::int64_t first_day_ns = 0;  // When the recorder starts on the first day; a day later on the next.
  std::uint64_t seed = 0;
  std::int64_t depth_updates_per_gap = 3000;  // One in so many is lost.
  // In a day. With more than one of them an instrument's first snapshot may also say exactly what the last update
  // before it said.
  std::int64_t snapshots = 1;
};

inline constexpr std::int64_t kMinEventsPerDay = 32;

class Feed {
 public:
  Feed(const Instrument& instrument, const FeedPlan& plan);  // The instrument must outlive the feed.

  std::optional<Record> next();  // In order of time; nothing after the last event.

 private:
  enum class Kind { trade, ticker, depth, snapshot };

  void start_day();
  void advance_time();
  Kind choose_kind();
  std::string make(Kind kind);
  std::string trade();
  std::string ticker();
  std::string depth();
  std::string snapshot(bool exact);
  bool another_snapshot();
  void count_updates();
  bool trend_up();
  Clock clock();

  const Instrument& instrument_;
  FeedPlan plan_;
  Random random_;
  Book book_;

  int day_ = 0;
  std::int64_t day_events_ = 0;
  std::int64_t index_ = 0;       // Of the next event of the day.
  std::int64_t request_at_ = 0;  // The event before which the snapshot is taken.
  std::int64_t deliver_at_ = 0;  // The event that is the snapshot.
  bool exact_ = false;           // It was taken just behind an update.
  std::string snapshot_;         // On its way from the exchange.
  std::int64_t receive_ns_ = 0;
  std::int64_t burst_left_ = 0;
  std::int64_t up_percent_ = 50;  // The trend of the moment.

  std::int64_t trade_id_ = 0;
  std::int64_t update_id_ = 0;  // Of the book's last change.
  std::int64_t first_unsent_id_ =
      0;                           // Of the first change that no depth update has carried; 0: there is none.
  std::int64_t last_sent_id_ = 0;  // The `u` of the last depth update that the exchange sent.
  std::int64_t counted_changes_ = 0;  // Changes of the book that have their update id.
};

}  // namespace simulator
