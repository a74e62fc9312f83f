// SPDX-License-Identifier: Apache-2.0
// What the workload does to one item, and the same once more in plain containers.
#include "workload.hpp"

#include <cstring>

namespace sluice::test {

using namespace detail;
namespace {

constexpr std::uint64_t kKeysOfALane = 4;

std::array<std::uint64_t, kInputs * kKeysOfALane> make_keys() {
  std::array<std::uint64_t, kInputs * kKeysOfALane> keys{};
  const std::uint64_t slots = table_slots(kRows);
  // The scene has drawn no seed.
  const HashSeed seed;
  std::uint64_t candidate = 1;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    // Every fourth wants the slot before the last, all others the last: probes go around the table's end.
    while ((table_hash(candidate, seed) & (slots - 1)) != slots - (i % kKeysOfALane == 0 ? 2 : 1))
      ++candidate;
    keys[i] = candidate++;
  }
  return keys;
}

// They stand in the middle of nothing: no worker takes these events.
struct Sink {
  void operator()(const Fact&) const noexcept {}
};

}  // namespace

std::uint64_t key_of(const Item& item) {
  static const auto keys = make_keys();
  return keys[item.lane * kKeysOfALane + item.number * item.number % 7 % kKeysOfALane];
}

std::size_t sink_of(std::uint64_t key) {
  // As OutputPort::pick() chooses.
  return static_cast<std::size_t>((hash_key(key) >> 32) * 2 >> 32);
}

Row changed(const Row& row, const Item& item) noexcept {
  return {row.count + 1, item.number, mix(row.mixed ^ item.number)};
}
Totals changed(const Totals& totals, const Item& item) noexcept {
  return {totals.events + 1, totals.sum + mix(item.lane * 1000 + item.number)};
}
Past changed(const Past& past, const Item& item) noexcept {
  return {past.items + 1, mix(past.mixed + item.number)};
}
Odd changed(const Odd& odd, const Item& item) noexcept {
  Odd result = odd;
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::uint64_t change = mix(item.lane * 100 + item.number + i * 10'000);
    result[i] = static_cast<char>(result[i] ^ static_cast<char>(change));
  }
  return result;
}

Fact fact_of(const Item& item, const Row& row) noexcept {
  return {item.lane, item.number, key_of(item), row.count, row.mixed};
}
NoteHead note_head(const Item& item, const Past& past, std::uint64_t index) noexcept {
  return {item.lane, item.number, past.mixed + index};
}
std::string note_body(const Script& script, const Item& item, std::uint64_t index) {
  const std::uint64_t bytes = mix(item.number + index) % 23 + (script.bulk ? 600 : 0);
  return std::string(bytes, static_cast<char>('a' + (item.number + index) % 26));
}
std::string line_of(const Item& item) {
  return std::to_string(item.lane) + " " + std::to_string(item.number) + "\n";
}
std::string problem_of(const Item& item) {
  return "a problem with item " + std::to_string(item.number);
}

Record<Item> record_of(const Item& item) {
  // The body says nothing but has many lengths.
  static constexpr std::string_view kPadding = "0123456789abc";
  return {item, std::as_bytes(std::span{kPadding.data(), item.number % kPadding.size()})};
}
std::string payload_of(const Script& script, const Item& item) {
  return bytes_of(item) + (script.records ? std::string{record_of(item).text()} : std::string{});
}

void Oracle::apply(const Script& script, std::size_t lane) {
  const Item item{lane, ++items[lane]};
  if (is_poison(script, item)) {
    dead_letters[lane].push_back(payload_of(script, item));
    return;
  }
  if (!leaves_state(item)) {
    totals = changed(totals, item);
    odd = changed(odd, item);
    pasts[lane] = changed(pasts[lane], item);
    if (erases(item)) rows.erase(key_of({lane, item.number - 2}));
    Row& row = rows[key_of(item)];
    row = changed(row, item);
  }
  const auto row = rows.find(key_of(item));
  const Fact fact = fact_of(item, row != rows.end() ? row->second : Row{});
  const std::uint64_t facts = facts_before(item) + facts_after(item);
  for (std::uint64_t i = 0; i < facts; ++i)
    outputs[sink_of(fact.key)][lane].push_back(bytes_of(fact));
  const std::uint64_t notes = notes_of(script, item);
  for (std::uint64_t i = 0; i < notes; ++i)
    outputs[kNotes][lane].push_back(bytes_of(note_head(item, pasts[lane], i)) + note_body(script, item, i));
  outputs_made += facts + notes;
  if (!script.file.empty()) lines[lane].push_back(line_of(item));
  if (reports(script, item)) problems.push_back(problem_of(item));
}

Pipeline workload_pipeline(const Script& script) {
  Pipeline pipeline{"workload"};
  const StageOptions options{.workers = 1, .state_bytes = 4096, .undo_bytes = 8192};
  const auto connect = [&](auto facts, auto notes) {
    facts.by(&Fact::key).template to<Sink>("sink", {.workers = 2, .state_bytes = 64, .undo_bytes = 64});
    notes.outlet("notes");
  };
  if (script.source) {
    auto [facts, notes] = pipeline.source<SelfService>("workload", options, script);
    connect(facts, notes);
  } else if (script.alone && script.records) {
    auto [facts, notes] =
        pipeline.inlet<Record<Item>>("left").to<Workload<Record<Item>>>("workload", options, script);
    connect(facts, notes);
  } else if (script.alone) {
    auto [facts, notes] = pipeline.inlet<Item>("left").to<Workload<Item>>("workload", options, script);
    connect(facts, notes);
  } else if (script.records) {
    auto left = pipeline.inlet<Record<Item>>("left");
    auto right = pipeline.inlet<Record<Item>>("right");
    auto [facts, notes] = left.merge(right).template to<Workload<Record<Item>>>("workload", options, script);
    connect(facts, notes);
  } else {
    auto left = pipeline.inlet<Item>("left");
    auto right = pipeline.inlet<Item>("right");
    const auto both = left.merge(right);
    auto [facts, notes] = script.spans ? both.template to<Spans>("workload", options, script)
                                       : both.template to<Workload<Item>>("workload", options, script);
    connect(facts, notes);
  }
  return pipeline;
}

}  // namespace sluice::test
