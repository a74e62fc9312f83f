// SPDX-License-Identifier: Apache-2.0
// A batch is BEGIN, advance() (postgres_tables.hpp), the statements of the effects, COMMIT: sent at once, answered at once.
//
//   we die before all of it is sent    the server reads the end of the connection and rolls back
//   we die after that                  it commits, or the claim of our replacement came first: then advance() raises
//   the answer is lost                 Unavailable; the watermarks of the next claim say whether it was committed
//   an effect is refused               rolled back, and done again with a savepoint an event, to find all that are refused
//
// Each round trip may take call_limit. The search for all that are refused begins none when it has lasted as long: so that a
// batch takes three of them at most.
#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
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
std::string array_of(std::span<const WatermarkMove> marks, Value value) {
  std::string text = "{";
  for (const WatermarkMove& mark : marks) {
    if (text.size() > 1) text.push_back(',');
    text.append(bigint_text(value(mark)));
  }
  text.push_back('}');
  return text;
}

RefusedEvent refusal_of(const SinkBatch<SqlEffect>& batch, std::size_t effect, const PgFailure& failure) {
  return {batch.effects[effect].event, shown_why(failure.error.text)};
}

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
       array_of(batch.watermarks, [](const WatermarkMove& mark) { return mark.origin; }),
       array_of(batch.watermarks, [](const WatermarkMove& mark) { return mark.from; }),
       array_of(batch.watermarks, [](const WatermarkMove& mark) { return mark.end; })});
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
  throw Error{
      {.tried = "write to",
       .object = fmt::format("{}, {}", target.text, shown_sql(statement.sql)),
       .why = fmt::format("it has {} and was given {}", detail::counted(statement.kinds.size(), "parameter"),
                          detail::counted(effect.values.size(), "value")),
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
  if (parts_->all_fit(batch)) {
    parts_->commit_at_once(batch);
  } else {
    parts_->commit_event_by_event(batch, {});
  }
}

void PostgresStore::Parts::commit_at_once(const SinkBatch<SqlEffect>& batch) {
  queue_begin(batch);
  for (const PendingEffect<SqlEffect>& pending : batch.effects)
    queue_effect(pending.effect);
  session().queue_prepared(kPgCommit);
  const auto failure = session().finish(deadline());
  if (!failure) return;
  if (failure->statement < kOpening) fail(*failure, "write to");
  const std::size_t effect = failure->statement - kOpening;
  const bool at_commit = effect >= batch.effects.size();
  if (judge(failure->error) != Verdict::refused)
    fail(*failure, "write to", at_commit ? std::string{} : statement_of(batch.effects[effect].effect).sql);
  // A constraint that is deferred to the COMMIT says not whose event it is.
  if (at_commit) throw Refused{shown_why(failure->error.text)};
  session().queue("ROLLBACK");
  finish(deadline(), "write to");
  commit_event_by_event(batch, PgRefusal{effect, shown_why(failure->error.text)});
}

// What stands before the first event that is known to be refused was fine, and is sent as it was. Behind it each event stands between a
// savepoint and its release. One that is refused takes those behind it in its round down with it: they are sent again. The next
// round has half as many events, and one that went through is followed by one of twice as many: so that all rounds together send the
// batch a few times, however many are refused. If none is any more, this commits.
void PostgresStore::Parts::commit_event_by_event(const SinkBatch<SqlEffect>& batch,
                                                 const std::optional<PgRefusal>& known) {
  PgConnection& to = session();
  const PgDeadline enough = deadline();
  PgSearch search{.next = 0, .most = batch.effects.size(), .opening = kOpening, .events = {}, .refused = {}};
  queue_begin(batch);
  if (known) queue_what_was_fine(batch, *known, search);
  for (bool last = false; !last;) {
    queue_round(batch, search);
    last = search.next == batch.effects.size();
    if (last && search.refused.empty()) to.queue_prepared(kPgCommit);
    const auto failure = to.finish(deadline());
    if (!failure) {
      search.most = std::min(2 * search.most, batch.effects.size());
      search.opening = 0;
    } else if (judge(failure->error) != Verdict::refused ||
               failure->statement < std::min(search.opening, kOpening)) {
      fail(*failure, "write to");
    } else if (failure->statement < search.opening) {
      // Something has changed meanwhile: this one is refused as well, and there is no savepoint before it.
      search.refused.push_back(refusal_of(batch, failure->statement - kOpening, *failure));
      break;
    } else if (search.events.empty() || failure->statement >= search.events.back().after) {
      throw Refused{shown_why(failure->error.text)};
    } else {
      const PgEvent& event = event_of(search.events, failure->statement);
      search.refused.push_back(refusal_of(batch, event.effect, *failure));
      search.next = event.end;
      search.most = std::max<std::size_t>(search.events.size() / 2, 1);
      last = search.next == batch.effects.size();
      to.queue("ROLLBACK TO SAVEPOINT sluice_event");
      to.queue_prepared(kPgRelease);
      search.opening = kOpening;  // As many as the opening.
    }
    // The others are found by the next try.
    if (search.refused.size() >= kMostRefusals || std::chrono::steady_clock::now() > enough) break;
  }
  // What the session has open goes with it: the handler is made anew.
  if (!search.refused.empty()) throw Refused{std::move(search.refused)};
}

// The effects before that event, without savepoints.
void PostgresStore::Parts::queue_what_was_fine(const SinkBatch<SqlEffect>& batch, const PgRefusal& known,
                                               PgSearch& search) {
  const EventId& event = batch.effects[known.effect].event;
  std::size_t begin = known.effect;
  while (begin != 0 && batch.effects[begin - 1].event == event)
    --begin;
  for (std::size_t i = 0; i < begin; ++i)
    queue_effect(batch.effects[i].effect);
  search.opening += begin;
  search.next = known.effect;
  while (search.next != batch.effects.size() && batch.effects[search.next].event == event)
    ++search.next;
  search.refused.push_back({event, known.why});
}

// The events from `next` on, as many as are to be of one round.
void PostgresStore::Parts::queue_round(const SinkBatch<SqlEffect>& batch, PgSearch& search) {
  search.events.clear();
  std::size_t statement = search.opening;
  while (search.next < batch.effects.size() && search.events.size() < search.most) {
    const std::size_t first = search.next;
    const EventId& id = batch.effects[first].event;
    std::optional<std::string> why;
    for (; search.next < batch.effects.size() && batch.effects[search.next].event == id; ++search.next) {
      const SqlEffect& effect = batch.effects[search.next].effect;
      if (!why) why = unfit(statement_of(effect), effect.values);
    }
    if (why) {
      search.refused.push_back({id, shown_why(*why)});
      continue;
    }
    session().queue_prepared(kPgSave);
    for (std::size_t i = first; i < search.next; ++i)
      queue_effect(batch.effects[i].effect);
    session().queue_prepared(kPgRelease);
    const std::size_t begin = std::exchange(statement, statement + (search.next - first) + 2);
    search.events.push_back({begin, statement, first, search.next});
  }
}

}  // namespace sluice
