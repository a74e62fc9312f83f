// SPDX-License-Identifier: Apache-2.0
// Pipelines drawn by chance, with handlers that fail at events drawn by chance, and what has to come out of each: the
// answer is worked out without any pipeline, from the same few functions of an event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace sluice::test {

struct Token {
  std::uint64_t id = 0;
  std::uint64_t weight = 0;

  friend bool operator==(const Token&, const Token&) = default;
  friend bool operator<(const Token& a, const Token& b) {
    return std::tie(a.id, a.weight) < std::tie(b.id, b.weight);
  }
};

// What becomes of some of a stage's events, always the same ones.
struct Faults {
  bool throws = false;
  bool throws_late = false;  // Behind what it has pushed and changed.
  bool crashes = false;
  bool exits = false;
  bool refuses = false;
  // What costs no event.
  bool away = false;      // The outside, after so many calls since the handler was made.
  bool stumbles = false;  // The first two lives of a worker crash at some events.
  bool flushes = false;   // It has a flush, so that its batches are undone as a whole.
};

enum class Shape { source, inlet, each, spans, split, outlet, sink };
// The last two keep a row for each key: a number, or members that are changed one by one and rows that come and go.
enum class Work { hand_on, filter, repeat, count, gather };
enum class Kind { token, crate, record };  // Of 16 B, of 64 B, of a head and a body.
enum class Kept { segment, checkpoints, both };
enum class Way { in_turn, by_key, least_loaded, to_all };

struct Input {
  std::size_t stage;
  std::size_t output;
  Way way;
};

struct AnyStage {
  std::string name;
  Shape shape = Shape::each;
  Work work = Work::hand_on;
  Faults faults;
  std::uint64_t seed = 0;
  unsigned workers = 1;
  std::uint64_t events = 0;  // Of a source or an inlet.
  bool database = false;     // Of a sink: rows instead of lines. A table refuses some of them.
  std::vector<Input> inputs;
};

struct AnyPlan {
  std::vector<AnyStage> stages;  // The last one is the sink.
  Kind kind = Kind::token;
  Kept kept = Kept::segment;
  bool larger = false;  // Lanes and state of later lives are larger.
  std::vector<std::pair<std::string, std::string>> settings;
};

struct Answer {
  std::map<Token, std::uint64_t> out;     // How often each comes to the sink and is written there.
  std::map<Token, std::uint64_t> pulled;  // The same for the outlet.
  std::uint64_t dead_letters = 0;
};

// `databases`: whether there is one to write to.
AnyPlan plan_of(std::uint64_t seed, bool databases);
Answer answer_of(const AnyPlan& plan);

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) noexcept;
// The number that a stage's faults of an event depend on.
std::uint64_t fate_of(const AnyStage& stage, const Token& token) noexcept;
constexpr bool throws_at(const Faults& faults, std::uint64_t fate) noexcept {
  return faults.throws && fate % 701 == 3;
}
constexpr bool throws_late_at(const Faults& faults, std::uint64_t fate) noexcept {
  return faults.throws_late && fate % 709 == 3;
}
constexpr bool crashes_at(const Faults& faults, std::uint64_t fate) noexcept {
  return faults.crashes && fate % 1501 == 5;
}
constexpr bool exits_at(const Faults& faults, std::uint64_t fate) noexcept {
  return faults.exits && fate % 1511 == 9;
}
constexpr bool refuses_at(const Faults& faults, std::uint64_t fate) noexcept {
  return faults.refuses && fate % 503 == 11;
}
constexpr bool stumbles_at(const Faults& faults, std::uint64_t fate) noexcept {
  return faults.stumbles && fate % 1009 == 13;
}
constexpr std::uint64_t kMarks = 97;
// What the table of a sink has no room for: a row of this mark.
constexpr std::uint64_t kRefusedMark = 3;
constexpr std::uint64_t mark_of(const Token& token) noexcept {
  return token.id % kMarks;
}
// The event number `number` of a source or an inlet.
Token token_of(const AnyStage& source, std::uint64_t number) noexcept;
// What a stage makes of an event: with the output that each goes to.
using Made = std::vector<std::pair<std::size_t, Token>>;
void make_of(const AnyStage& stage, const Token& token, Made& made);
// A stage that counts or gathers has a row for each of so many keys, and says one of these for each event: at its end, or
// when the row goes.
constexpr bool has_keys(const AnyStage& stage) noexcept {
  return stage.work == Work::count || stage.work == Work::gather;
}
std::uint64_t key_of(const AnyStage& stage, const Token& token) noexcept;
Token said_of(const AnyStage& stage, std::uint64_t key) noexcept;

}  // namespace sluice::test
