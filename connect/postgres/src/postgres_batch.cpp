// SPDX-License-Identifier: Apache-2.0
// A batch is BEGIN, advance() (postgres_tables.hpp), the statements of the effects, COMMIT: sent at once, answered at once.
//
//   we die before all of it is sent    the server reads the end of the connection and rolls back
//   we die after that                  it commits, or the claim of our replacement came first: then advance() raises
//   the answer is lost                 Unavailable; the watermarks of the next claim say whether it was committed
//   an effect is refused               rolled back, and done again with a savepoint an event, to find all that are refused
#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/refused.hpp>

#include "postgres_parts.hpp"

namespace sluice {
namespace detail {
namespace {

// BEGIN and advance(): they come before the effects.
constexpr std::size_t kOpening = 2;
// More are found by the next try; poison.budget ends the pipeline long before.
constexpr std::size_t kMostRefusals = 1000;

template <class Value>
std::string array_of(std::span<const Watermark> marks, Value value) {
  std::string text = "{";
  for (const Watermark& mark : marks) {
    if (text.size() > 1) text.push_back(',');
    text.append(bigint_text(value(mark)));
  }
  text.push_back('}');
  return text;
}

// An event in a round of statements that has one sync.
struct PgEvent {
  std::size_t statement;  // Its first one in the round.
  std::size_t effect;     // Its first one in the batch, and the one behind its last.
  std::size_t end;
};

// Which event a statement belongs to. `events` begin at or before it.
const PgEvent& event_of(const std::vector<PgEvent>& events, std::size_t statement) {
  const auto after =
      std::upper_bound(events.begin(), events.end(), statement,
                       [](std::size_t at, const PgEvent& event) { return at < event.statement; });
  return *std::prev(after);
}

}  // namespace
}  // namespace detail

using namespace detail;

void PostgresStore::Parts::queue_begin(const SinkBatch<SqlEffect>& batch) {
  session().queue_prepared(kPgBegin);
  session().queue_prepared(
      kPgAdvance,
      {batch.owner.name, batch.owner.stage, std::to_string(batch.owner.replica), bigint_text(batch.epoch),
       array_of(batch.watermarks, [](const Watermark& mark) { return mark.origin; }),
       array_of(batch.watermarks, [](const Watermark& mark) { return mark.end; })});
}

const PgStatement& PostgresStore::Parts::statement_of(const SqlEffect& effect) const {
  if (effect.statement.number >= statements.size()) {
    throw Error{{.tried = "write to",
                 .object = target.text,
                 .why = fmt::format("there is no statement {}", effect.statement.number),
                 .remedy = "a Statement is of the store that has prepared it"}};
  }
  const PgStatement& statement = statements[effect.statement.number];
  if (effect.values.size() == statement.kinds.size()) return statement;
  throw Error{{.tried = "write to",
               .object = fmt::format("{}, {}", target.text, shown_sql(statement.sql)),
               .why = fmt::format("it has {} parameters and was given {} values", statement.kinds.size(),
                                  effect.values.size()),
               .remedy = "give it a value for each"}};
}

void PostgresStore::Parts::queue_effect(const SqlEffect& effect) {
  const PgStatement& statement = statement_of(effect);
  parameters.assign(statement, effect.values);
  session().queue_prepared(statement.name.c_str(), parameters);
}

// Whether all values can be sent as they are.
bool PostgresStore::Parts::all_fit(const SinkBatch<SqlEffect>& batch) const {
  return std::none_of(batch.effects.begin(), batch.effects.end(), [this](const auto& pending) {
    return unfit(statement_of(pending.effect), pending.effect.values).has_value();
  });
}

void PostgresStore::apply(const SinkBatch<SqlEffect>& batch) {
  const PgDeadline until = parts_->deadline();
  if (parts_->all_fit(batch)) {
    parts_->commit_at_once(batch, until);
  } else {
    parts_->commit_event_by_event(batch, until);
  }
}

void PostgresStore::Parts::commit_at_once(const SinkBatch<SqlEffect>& batch, PgDeadline until) {
  queue_begin(batch);
  for (const PendingEffect<SqlEffect>& pending : batch.effects)
    queue_effect(pending.effect);
  session().queue_prepared(kPgCommit);
  const auto failure = session().finish(until);
  if (!failure) return;
  if (failure->statement < kOpening) fail(*failure, "write to");
  const std::size_t effect = failure->statement - kOpening;
  const bool at_commit = effect >= batch.effects.size();
  if (judge(failure->error) != Verdict::refused)
    fail(*failure, "write to", at_commit ? std::string{} : statement_of(batch.effects[effect].effect).sql);
  // A constraint that is deferred to the COMMIT says not whose event it is.
  if (at_commit) throw Refused{shown_why(failure->error.text)};
  session().queue("ROLLBACK");
  finish(until, "write to");
  commit_event_by_event(batch, until);
}

// Each event stands between a savepoint and its release. One that is refused takes those behind it down with it: they are
// sent again, so that each that is refused costs a round trip. If none is any more, this commits.
void PostgresStore::Parts::commit_event_by_event(const SinkBatch<SqlEffect>& batch, PgDeadline until) {
  PgConnection& to = session();
  std::vector<RefusedEvent> refused;
  std::vector<PgEvent> events;
  const auto queue_event = [&](std::size_t statement, std::size_t first) {
    const EventId& id = batch.effects[first].event;
    std::size_t end = first;
    std::optional<std::string> why;
    for (; end < batch.effects.size() && batch.effects[end].event == id; ++end) {
      const SqlEffect& effect = batch.effects[end].effect;
      if (!why) why = unfit(statement_of(effect), effect.values);
    }
    if (why) {
      refused.push_back({id, shown_why(*why)});
      return end;
    }
    events.push_back({statement, first, end});
    to.queue_prepared(kPgSave);
    for (std::size_t i = first; i < end; ++i)
      queue_effect(batch.effects[i].effect);
    to.queue_prepared(kPgRelease);
    return end;
  };
  queue_begin(batch);
  for (std::size_t next = 0; true;) {
    events.clear();
    std::size_t statements_sent = kOpening;
    while (next < batch.effects.size()) {
      const std::size_t known = events.size();
      const std::size_t first = std::exchange(next, queue_event(statements_sent, next));
      if (events.size() != known) statements_sent += next - first + 2;
    }
    if (refused.empty()) to.queue_prepared(kPgCommit);
    const auto failure = to.finish(until);
    if (!failure) break;
    if (judge(failure->error) != Verdict::refused || failure->statement < kOpening)
      fail(*failure, "write to");
    if (failure->statement >= statements_sent) throw Refused{shown_why(failure->error.text)};
    const PgEvent& event = event_of(events, failure->statement);
    refused.push_back({batch.effects[event.effect].event, shown_why(failure->error.text)});
    next = event.end;
    if (next == batch.effects.size() || refused.size() >= kMostRefusals) break;
    // As many as the opening.
    to.queue("ROLLBACK TO SAVEPOINT sluice_event");
    to.queue_prepared(kPgRelease);
  }
  // What the session has open goes with it: the handler is made anew.
  if (!refused.empty()) throw Refused{std::move(refused)};
}

}  // namespace sluice
