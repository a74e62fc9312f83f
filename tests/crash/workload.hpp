// SPDX-License-Identifier: Apache-2.0
// The handler whose worker the tests of every instruction kill, and what it must have done.
//
// Everything it does is a function of how many items of each input lane it has consumed, whatever their
// order, so that an audit needs no more than the cursors: Oracle is that function, in plain code.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <sluice/sluice.hpp>

#include "worker/worker_access.hpp"

namespace sluice::test {

inline constexpr std::size_t kInputs = 2;   // Lanes into the worker, unless the first one is alone.
inline constexpr std::size_t kOutputs = 3;  // Lanes out of it: facts to two sinks, and notes to the host.
inline constexpr std::size_t kNotes = 2;    // The last of them.
inline constexpr std::uint64_t kLastWord = kInputs;  // Where an output comes from that no item made.

struct Item {
  std::uint64_t lane;
  std::uint64_t number;  // From 1, in each lane.
};

struct Fact {
  std::uint64_t origin;  // An input lane, or kLastWord.
  std::uint64_t number;
  std::uint64_t key;
  std::uint64_t count;
  std::uint64_t mixed;
};

struct NoteHead {
  std::uint64_t origin;
  std::uint64_t number;
  std::uint64_t mixed;
};
using Note = Record<NoteHead>;

struct Row {
  std::uint64_t count;
  std::uint64_t last;
  std::uint64_t mixed;
  bool operator==(const Row&) const = default;
};

// Sums, so that the order in which the lanes take turns leaves no trace.
struct Totals {
  std::uint64_t events;
  std::uint64_t sum;
  bool operator==(const Totals&) const = default;
};

struct Past {
  std::uint64_t items;
  std::uint64_t mixed;
  bool operator==(const Past&) const = default;
};

using Odd = std::array<char, 5>;  // A piece whose length is no multiple of eight.

inline constexpr std::uint64_t kRows = 10;  // Of the table: 16 slots.
using Rows = Table<std::uint64_t, Row>;

// What one kind of run is made of.
struct Script {
  std::array<std::uint64_t, kInputs> items{14, 11};
  std::uint64_t portion = 1000;  // Items that an input lane is given each time the worker waits.
  bool records = false;          // The items come as records.
  bool spans = false;            // The handler takes many items at once.
  bool source = false;           // The worker makes the items itself.
  bool alone = false;            // There is one lane in, and no item makes what goes to two lanes out.
  bool bulk = false;             // Some items make more notes than a lane has room for.
  bool fails = false;            // The first process throws in the midst of a batch.
  bool rounds = false;           // All stand still again and again, as for checkpoints.
  bool reports = true;           // Problems: large pieces of state, which fill the undo log.
  std::filesystem::path file{};  // Where a line of each item is appended, if anywhere.
  std::filesystem::path dead_letters{};  // The directory for them; if there is one, two items are poison.
  std::function<void()> before_commit{};
};

// Keys that want two neighbouring slots of the table, the last and the first; each lane has its own.
std::uint64_t key_of(const Item& item);
// Which of the two sinks gets the facts of a key.
std::size_t sink_of(std::uint64_t key);

Row changed(const Row& row, const Item& item) noexcept;
Totals changed(const Totals& totals, const Item& item) noexcept;
Past changed(const Past& past, const Item& item) noexcept;
Odd changed(const Odd& odd, const Item& item) noexcept;

inline bool leaves_state(const Item& item) noexcept {
  return item.number % 8 == 6;
}
// The key of the item two before it goes; it may be gone already.
inline bool erases(const Item& item) noexcept {
  return item.number % 6 == 5;
}
inline bool reports(const Script& script, const Item& item) noexcept {
  return script.reports && item.lane == 0 && item.number % 5 == 3;
}
// After it has changed state, erased a row, and pushed to all outputs.
inline bool fails_first(const Script& script, const Item& item) noexcept {
  return script.fails && item.lane == 0 && item.number == 5;
}
// Has killed its worker too often before the test begins.
inline bool is_poison(const Script& script, const Item& item) noexcept {
  return !script.dead_letters.empty() && item.number == (item.lane == 0 ? 5 : 4);
}
inline std::uint64_t facts_before(const Item& item) noexcept {
  return item.number % 3;
}
inline std::uint64_t facts_after(const Item& item) noexcept {
  return item.number % 2;
}
inline std::uint64_t notes_of(const Script& script, const Item& item) noexcept {
  if (script.bulk && item.number % 4 == 3) return 5;
  return script.alone ? 0 : item.number % 3;
}

Fact fact_of(const Item& item, const Row& row) noexcept;
NoteHead note_head(const Item& item, const Past& past, std::uint64_t index) noexcept;
std::string note_body(const Script& script, const Item& item, std::uint64_t index);
std::string line_of(const Item& item);  // With its end.
Record<Item> record_of(const Item& item);
std::string payload_of(const Script& script, const Item& item);
std::string problem_of(const Item& item);

// As the bytes that travel in a lane.
template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

// What has been done after some items of each lane.
struct Oracle {
  std::array<std::uint64_t, kInputs> items{};
  Totals totals{};
  Odd odd{};
  std::array<Past, kInputs> pasts{};
  std::map<std::uint64_t, Row> rows;
  std::vector<std::string> problems;
  // The payloads in each lane out, by the input lane that they come from.
  std::array<std::array<std::vector<std::string>, kInputs>, kOutputs> outputs;
  std::array<std::vector<std::string>, kInputs> lines;
  std::array<std::vector<std::string>, kInputs> dead_letters;  // Payloads.
  std::uint64_t outputs_made = 0;

  // The next item of `lane`.
  void apply(const Script& script, std::size_t lane);
};

template <class In>
class Workload {
 public:
  Workload(Worker& worker, const Script& script)
      : worker_{worker},
        script_{script},
        totals_{worker.state<Totals>("totals")},
        odd_{worker.state<Odd>("odd")},
        pasts_{worker.state<std::array<Past, kInputs>>("pasts")},
        told_{worker.state<std::uint64_t>("told")},
        rows_{worker.table<std::uint64_t, Row>("rows", kRows)} {
    if (!script_.file.empty()) file_.emplace(worker, "file", script_.file);
    if (script_.before_commit) detail::WorkerAccess::before_any_commit(worker, script_.before_commit);
  }

  void operator()(const In& in, Output<Fact>& facts, Output<Note>& notes) {
    const Item& item = item_of(in);
    if (!leaves_state(item)) change(item);
    const Row* row = rows_.find(key_of(item));
    const Row seen = row != nullptr ? *row : Row{};
    for (std::uint64_t i = 0; i < facts_before(item); ++i)
      facts.push(fact_of(item, seen));
    for (std::uint64_t i = 0; i < notes_of(script_, item); ++i)
      notes.push(note_head(item, (*pasts_)[item.lane], i), note_body(script_, item, i));
    for (std::uint64_t i = 0; i < facts_after(item); ++i)
      facts.push([&](Fact& fact) { fact = fact_of(item, seen); });
    if (file_) file_->append(line_of(item));
    if (reports(script_, item)) worker_.report(problem_of(item));
    if (fails_first(script_, item) && worker_.incarnation() == 1) throw std::runtime_error{"a first attempt"};
  }

  // Says every row, some slots at a time.
  bool finish(Output<Fact>& facts, Output<Note>&) {
    constexpr std::uint64_t kPortion = 5;
    const std::uint64_t end = std::min(*told_ + kPortion, rows_.slots());
    for (std::uint64_t slot = *told_; slot < end; ++slot) {
      if (const auto* row = rows_.slot(slot)) {
        facts.push({kLastWord, row->key, row->key, row->value.count, row->value.mixed});
      }
    }
    told_.set(end);
    return end < rows_.slots();
  }

 private:
  static const Item& item_of(const In& in) {
    if constexpr (detail::is_record<In>) {
      return in.head;
    } else {
      return in;
    }
  }

  void change(const Item& item) {
    const Totals totals = changed(*totals_, item);
    totals_.edit(&Totals::events) = totals.events;
    totals_.edit(&Totals::sum) = totals.sum;
    odd_.set(changed(*odd_, item));
    auto pasts = *pasts_;
    pasts[item.lane] = changed(pasts[item.lane], item);
    pasts_.set(pasts);
    if (erases(item)) rows_.erase(key_of({item.lane, item.number - 2}));
    Row& row = rows_[key_of(item)];
    row = changed(row, item);
  }

  Worker& worker_;
  Script script_;
  Recoverable<Totals> totals_;
  Recoverable<Odd> odd_;
  Recoverable<std::array<Past, kInputs>> pasts_;
  Recoverable<std::uint64_t> told_;
  Rows rows_;
  std::optional<AppendFile> file_;
};

// The same, many items at once.
class Spans {
 public:
  Spans(Worker& worker, const Script& script) : workload_{worker, script} {}
  void operator()(std::span<const Item> items, Output<Fact>& facts, Output<Note>& notes) {
    for (const Item& item : items)
      workload_(item, facts, notes);
  }
  bool finish(Output<Fact>& facts, Output<Note>& notes) { return workload_.finish(facts, notes); }

 private:
  Workload<Item> workload_;
};

// Makes the items that a workload would be given, lane by turns, and handles them; now and then it has none.
class SelfService {
 public:
  SelfService(Worker& worker, const Script& script)
      : script_{script},
        made_{worker.state<std::array<std::uint64_t, kInputs>>("made")},
        workload_{worker, script} {}

  SourceState operator()(Output<Fact>& facts, Output<Note>& notes) {
    if (++calls_ % 5 == 0) return SourceState::nothing_now;
    std::array<std::uint64_t, kInputs> made = *made_;
    if (made == script_.items) return SourceState::end;
    const bool left = made[0] <= made[1] ? made[0] < script_.items[0] : made[1] == script_.items[1];
    const std::size_t lane = left ? 0 : 1;
    const Item item{lane, ++made[lane]};
    made_.set(made);
    workload_(item, facts, notes);
    return SourceState::more;
  }
  bool finish(Output<Fact>& facts, Output<Note>& notes) { return workload_.finish(facts, notes); }

 private:
  Script script_;
  Recoverable<std::array<std::uint64_t, kInputs>> made_;
  Workload<Item> workload_;
  std::uint64_t calls_ = 0;
};

// Two inlets, or one, the worker under test, two sinks that get its facts by key, and an outlet for its notes.
Pipeline workload_pipeline(const Script& script);

}  // namespace sluice::test
