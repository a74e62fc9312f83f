// SPDX-License-Identifier: Apache-2.0
#include "serve/live_feed.hpp"

#include <algorithm>
#include <fstream>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/json_parts.hpp>
#include <sluice/printable.hpp>

#include "serve/letters_json.hpp"

namespace sluice::command {
namespace {

using detail::JsonParts;
using std::chrono::nanoseconds;

constexpr nanoseconds kEvery = std::chrono::seconds{1};
// Deaths that come faster than this come together.
constexpr nanoseconds kLeastPause = std::chrono::milliseconds{250};
constexpr nanoseconds kBetweenLetters = std::chrono::seconds{2};
constexpr std::size_t kMostReports = 200;
constexpr std::size_t kMostReportBytes = 512 << 10;

std::string first_line(const std::string& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

// Source: Documentation/ABI/stable/sysfs-devices-node of Linux. A kernel without nodes has one.
std::string nodes_json() {
  constexpr int kMostNodes = 1024;
  JsonParts nodes;
  const auto add = [&nodes](int number, const std::string& units) {
    JsonParts node;
    node.member("node", fmt::format("{}", number));
    node.text_member("units", units);
    nodes.add(node.object());
  };
  bool any = false;
  for (int number = 0; number < kMostNodes; ++number) {
    const std::string units = first_line(fmt::format("/sys/devices/system/node/node{}/cpulist", number));
    if (units.empty()) continue;
    add(number, units);
    any = true;
  }
  if (!any) add(0, first_line("/sys/devices/system/cpu/online"));
  return nodes.array();
}

std::string event(std::string_view kind, std::string_view json) {
  return fmt::format("event: {}\ndata: {}\n\n", kind, json);
}

}  // namespace

LiveFeed::LiveFeed(WatchedPipelines& watched) : watched_{watched}, nodes_{nodes_json()} {}

LiveText LiveFeed::reader() {
  const nanoseconds now = detail::monotonic_now();
  if (now - stats_made_ >= kEvery) make_stats(now);
  read_reports();
  return [this, stats = std::uint64_t{0}, report = std::uint64_t{0},
          letters = std::uint64_t{0}]() mutable -> std::string {
    std::string text = reports_after(report);
    if (std::exchange(letters, letters_number_) != letters_number_) text += event("letters", letters_);
    if (std::exchange(stats, stats_number_) != stats_number_) text += event("stats", stats_);
    return text;
  };
}

bool LiveFeed::look() {
  const nanoseconds now = detail::monotonic_now();
  if (watched_.glance()) stats_due_ = true;
  const bool made = now - whole_made_ >= kEvery || (stats_due_ && now - stats_made_ >= kLeastPause);
  if (made) make_stats(now);
  return read_reports() || made;
}

void LiveFeed::make_stats(nanoseconds now) {
  stats_made_ = now;
  stats_due_ = false;
  const bool whole = now - whole_made_ >= kEvery;
  if (whole) whole_made_ = now;
  const std::vector<LivePipeline> live = watched_.live(whole);
  JsonParts pipelines;
  JsonParts letters;
  for (const LivePipeline& each : live) {
    follow(each, now);
    JsonParts pipeline;
    pipeline.text_member("name", each.name);
    pipeline.member("stats", each.json);
    pipelines.add(pipeline.object());
    JsonParts told;
    told.text_member("pipeline", each.name);
    told.member("told", followed_.at(each.name).letters);
    letters.add(told.object());
  }
  std::erase_if(followed_, [&](const auto& known) {
    return std::none_of(live.begin(), live.end(),
                        [&](const LivePipeline& each) { return each.name == known.first; });
  });
  const auto texts = [](const std::vector<std::string>& list) {
    JsonParts json;
    for (const std::string& text : list)
      json.add(json_text(text));
    return json.array();
  };
  JsonParts json;
  json.member("pipelines", pipelines.array());
  json.member("missing", texts(watched_.missing()));
  json.member("refusals", texts(watched_.refusals()));
  json.member("nodes", nodes_);
  stats_ = json.object();
  ++stats_number_;
  std::string all = letters.array();
  if (all == letters_) return;
  letters_ = std::move(all);
  ++letters_number_;
}

void LiveFeed::follow(const LivePipeline& pipeline, nanoseconds now) {
  const auto known = followed_.find(pipeline.name);
  if (known == followed_.end() || known->second.directory != pipeline.reports) {
    followed_.insert_or_assign(
        pipeline.name, Followed{pipeline.reports, ReportTail{pipeline.reports}, pipeline.dead_letters, now,
                                letters_json(pipeline.reports)});
    return;
  }
  Followed& followed = known->second;
  if (followed.dead_letters == pipeline.dead_letters || now - followed.letters_read < kBetweenLetters) return;
  followed.dead_letters = pipeline.dead_letters;
  followed.letters_read = now;
  followed.letters = letters_json(pipeline.reports);
}

bool LiveFeed::read_reports() {
  bool any = false;
  for (auto& [name, followed] : followed_) {
    for (const std::string& line : followed.tail.lines()) {
      JsonParts report;
      report.text_member("pipeline", name);
      report.text_member("line", line);
      reports_.push_back({++last_report_, report.object()});
      report_bytes_ += reports_.back().json.size();
      any = true;
    }
  }
  while (reports_.size() > kMostReports || report_bytes_ > kMostReportBytes) {
    report_bytes_ -= reports_.front().json.size();
    reports_.pop_front();
  }
  return any;
}

std::string LiveFeed::reports_after(std::uint64_t& number) const {
  JsonParts list;
  bool any = false;
  for (const Report& each : reports_) {
    if (each.number <= number) continue;
    list.add(each.json);
    any = true;
  }
  number = last_report_;
  return any ? event("reports", list.array()) : "";
}

}  // namespace sluice::command
