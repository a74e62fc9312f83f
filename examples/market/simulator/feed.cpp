// SPDX-License-Identifier: Apache-2.0
#include "feed.hpp"

#include <algorithm>
#include <utility>

namespace simulator {
namespace {

constexpr std::int64_t kNsPerDay = 86'400'000'000'000;
// 960 levels a side keep the longest snapshot line below 64 KiB.
constexpr std::size_t kSnapshotLevels = 960;
constexpr std::int64_t kTradesPerGap = 5000;

// Of 1,000 events, as recorded on 2024-08-08; the rest are depth updates.
struct Mix {
  std::int64_t tickers;
  std::int64_t trades;
};
Mix mix_of(Venue venue) {
  switch (venue) {
    case Venue::spot:
      return {696, 212};
    case Venue::usdm:
      return {712, 210};
    case Venue::cm:
      return {394, 45};
  }
  return {};
}

std::int64_t depth_changes(Venue venue, Random& random) {
  switch (venue) {
    case Venue::spot:
      return random.between(2, 40);
    case Venue::usdm:
      return random.between(5, 110);
    case Venue::cm:
      return random.between(1, 14);
  }
  return 1;
}

}  // namespace

Feed::Feed(const Instrument& instrument, const FeedPlan& plan)
    : instrument_{instrument}, plan_{plan}, random_{plan.seed}, book_{instrument, random_} {
  trade_id_ = random_.between(800'000'000, 5'000'000'000);
  update_id_ = random_.between(30'000'000'000, 5'000'000'000'000);
  last_sent_id_ = update_id_;
  counted_changes_ = book_.change_count();
  start_day();
}

void Feed::start_day() {
  day_events_ = plan_.events / plan_.days + (day_ + 1 == plan_.days ? plan_.events % plan_.days : 0);
  index_ = 0;
  request_at_ = random_.between(3, std::min<std::int64_t>(40, day_events_ / 4));
  // On the first day the snapshot travels for a while, so that the updates received meanwhile must wait for
  // it. On a later day a client already has a book, to which it would apply them at once: there it arrives at
  // once.
  deliver_at_ =
      request_at_ + (day_ == 0 ? random_.between(2, std::min<std::int64_t>(20, day_events_ / 4)) : 0);
  exact_ = plan_.snapshots > 1 && deliver_at_ > request_at_ && random_.percent(50);
  receive_ns_ = plan_.first_day_ns + day_ * kNsPerDay + random_.below(2'000'000'000);
  if (day_ > 0) {  // The night: the exchange went on without the recorder.
    update_id_ += random_.between(1'000'000, 9'000'000);
    last_sent_id_ = update_id_;
    trade_id_ += random_.between(100'000, 900'000);
  }
}

std::optional<Record> Feed::next() {
  if (index_ == day_events_) {
    if (++day_ == plan_.days)
      --day_;
    else
      start_day();
    if (index_ == day_events_) return std::nullopt;
  }
  advance_time();
  if (index_ == request_at_ + (exact_ ? 1 : 0)) snapshot_ = snapshot(exact_);
  Record record{receive_ns_, day_, make(choose_kind())};
  ++index_;
  return record;
}

// About 180 events a second on average, in clumps, with bursts of up to 165 events in about a millisecond.
void Feed::advance_time() {
  if (burst_left_ == 0 && random_.one_in(2000)) burst_left_ = random_.between(20, 165);
  if (burst_left_ > 0) {
    --burst_left_;
    receive_ns_ += random_.between(2'000, 10'000);
  } else if (random_.percent(30)) {
    receive_ns_ += random_.between(2'000, 60'000);
  } else {
    receive_ns_ += random_.between(100'000, 15'000'000);
  }
}

Feed::Kind Feed::choose_kind() {
  if (index_ == deliver_at_) return Kind::snapshot;
  // The day starts with an update that the snapshot makes old, the snapshot's journey with one that overlaps
  // it, and the day ends with the book's last word and a ticker that agrees.
  if (index_ == 0 || index_ == request_at_ || index_ + 2 == day_events_) return Kind::depth;
  if (index_ + 1 == day_events_) return Kind::ticker;
  if (another_snapshot()) return Kind::snapshot;
  const Mix mix = mix_of(instrument_.venue);
  const std::int64_t draw = random_.below(1000);
  if (draw < mix.tickers) return Kind::ticker;
  return draw < mix.tickers + mix.trades ? Kind::trade : Kind::depth;
}

std::string Feed::make(Kind kind) {
  switch (kind) {
    case Kind::trade:
      return trade();
    case Kind::ticker:
      return ticker();
    case Kind::depth:
      return depth();
    case Kind::snapshot:
      return std::move(snapshot_);
  }
  return {};
}

std::string Feed::trade() {
  trade_id_ += random_.one_in(kTradesPerGap) ? 2 : 1;
  const bool buyer_is_maker = !trend_up();
  const PriceLevel traded = book_.trade(random_, buyer_is_maker ? Side::bid : Side::ask);
  count_updates();
  return json(instrument_, TradeMessage{clock(), trade_id_, traded, buyer_is_maker});
}

std::string Feed::ticker() {
  const bool last_of_day = index_ + 1 == day_events_;
  if (!last_of_day) {
    if (random_.percent(30)) {
      book_.walk(random_, trend_up());
    } else {
      book_.change_best(random_);
    }
    count_updates();
  }
  return json(instrument_, TickerMessage{clock(), update_id_, book_.best(Side::bid), book_.best(Side::ask)});
}

std::string Feed::depth() {
  if (first_unsent_id_ != 0 && random_.one_in(plan_.depth_updates_per_gap)) {
    // An update is lost: its numbers are gone, its levels are still due.
    last_sent_id_ = update_id_;
    first_unsent_id_ = 0;
  }
  for (std::int64_t left = depth_changes(instrument_.venue, random_); left > 0; --left) {
    book_.change_somewhere(random_);
  }
  count_updates();
  DepthMessage message{clock(),
                       first_unsent_id_,
                       update_id_,
                       last_sent_id_,
                       book_.take_changes(Side::bid),
                       book_.take_changes(Side::ask)};
  // The spot venue lists bids from the best down, the others in order of price.
  if (instrument_.venue == Venue::spot) std::reverse(message.bids.begin(), message.bids.end());
  first_unsent_id_ = 0;
  last_sent_id_ = update_id_;
  return json(instrument_, message);
}

// A later snapshot of the day, which arrives at once.
bool Feed::another_snapshot() {
  if (plan_.snapshots <= 1 || index_ <= deliver_at_) return false;
  if (!random_.one_in(std::max<std::int64_t>(day_events_ / (plan_.snapshots - 1), 1))) return false;
  snapshot_ = snapshot(random_.percent(50));
  return true;
}

std::string Feed::snapshot(bool exact) {
  // A change that no update has carried yet lets the next update overlap the snapshot.
  if (!exact) book_.change_somewhere(random_);
  count_updates();
  return json(instrument_, SnapshotMessage{clock(), update_id_, book_.top(Side::bid, kSnapshotLevels),
                                           book_.top(Side::ask, kSnapshotLevels)});
}

// The spot venue numbers an instrument's changes one by one; the others share one run of numbers among all
// theirs.
void Feed::count_updates() {
  for (; counted_changes_ < book_.change_count(); ++counted_changes_) {
    update_id_ += instrument_.venue == Venue::spot ? 1 : random_.between(1, 40);
    if (first_unsent_id_ == 0) first_unsent_id_ = update_id_;
  }
}

bool Feed::trend_up() {
  if (random_.one_in(1500)) up_percent_ = random_.between(35, 65);
  return random_.percent(up_percent_);
}

// The recorder's clock is behind the exchange's, as it was in the real capture.
Clock Feed::clock() {
  constexpr std::int64_t kBehindMs = 1262;
  const std::int64_t sent_ms = receive_ns_ / 1'000'000 + kBehindMs + random_.below(12);
  return {sent_ms, sent_ms - random_.below(10)};
}

}  // namespace simulator
