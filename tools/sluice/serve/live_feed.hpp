// SPDX-License-Identifier: Apache-2.0
// What live pages are told, as server-sent events: the pipelines once a second, and at once when something has happened.
//
//     event: stats     {"pipelines":[{"name":"market","stats":{...}}],"missing":["words"],"refusals":[],"nodes":[...]}
//     event: reports   [{"pipeline":"market","line":"..."}]   lines of deaths.jsonl, each once
//     event: letters   [{"pipeline":"market","path":"...","count":3,"letters":[...],"error":""}]
//
// Made once for all pages, whatever their number; only while there are some. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "report_tail.hpp"
#include "serve/http_server.hpp"
#include "serve/watched_pipelines.hpp"

namespace sluice::command {

class LiveFeed {
 public:
  explicit LiveFeed(WatchedPipelines& watched);

  // For one more page: what there is at first, then what it has not had. It outlives no feed.
  LiveText reader();
  // Whether there is something new for the pages. Call it every kGlance while there are any.
  bool look();

  static constexpr std::chrono::milliseconds kGlance{50};

 private:
  struct Report {
    std::uint64_t number;
    std::string json;
  };
  struct Followed {
    std::string directory;
    ReportTail tail;
    std::uint64_t dead_letters;
    std::chrono::nanoseconds letters_read;
    std::string letters;
  };

  void make_stats(std::chrono::nanoseconds now);
  void follow(const LivePipeline& pipeline, std::chrono::nanoseconds now);
  bool read_reports();
  std::string reports_after(std::uint64_t& number) const;

  WatchedPipelines& watched_;
  std::string nodes_;  // JSON: which node has which processing units.
  std::map<std::string, Followed> followed_;
  std::deque<Report> reports_;
  std::size_t report_bytes_ = 0;
  std::uint64_t last_report_ = 0;
  std::string stats_;
  std::uint64_t stats_number_ = 0;
  std::chrono::nanoseconds stats_made_{0};
  std::chrono::nanoseconds whole_made_{0};  // With what costs more.
  bool stats_due_ = false;
  std::string letters_;
  std::uint64_t letters_number_ = 0;
};

}  // namespace sluice::command
