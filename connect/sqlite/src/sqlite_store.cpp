// SPDX-License-Identifier: Apache-2.0
// One transaction a batch: BEGIN IMMEDIATE, is the epoch still ours, the effects, the watermarks, COMMIT.
//
// A violated constraint rolls all of it back. The batch is then tried once more in a transaction that never
// commits, each event between savepoints, to find all that are refused: the others are done again without
// them.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include <sluice/connect/detail/time_limit.hpp>
#include <sluice/detail/counted.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/refused.hpp>
#include <sluice/unavailable.hpp>

#include "sluice/connect/sqlite.hpp"
#include "sqlite_database.hpp"
#include "sqlite_errors.hpp"

namespace sluice {

namespace detail {

// A statement of the user's.
struct SqliteUserStatement {
  std::string sql;
  SqlitePrepared prepared;
  std::vector<std::size_t> value_of;  // For each parameter, which of the values it takes.
  std::size_t values = 0;
};

struct SqliteStatements {
  explicit SqliteStatements(SqliteDatabase& database)
      : epoch{database.prepare(
            "SELECT epoch, run, life FROM sluice_owner WHERE name=?1 AND stage=?2 AND replica=?3")},
        raise{database.prepare(
            "INSERT INTO sluice_owner(name, stage, replica, epoch, run, life) VALUES (?1, ?2, ?3, 1, ?4, ?5) "
            "ON CONFLICT(name, stage, replica) DO UPDATE SET epoch=epoch+1, run=excluded.run, "
            "life=excluded.life")},
        raise_gone{database.prepare("UPDATE sluice_owner SET epoch=epoch+1, life=?5 WHERE name=?1 AND "
                                    "stage=?2 AND replica>=?3 AND replica<>?4")},
        watermarks{database.prepare(
            "SELECT origin, position FROM sluice_watermark WHERE name=?1 AND origin BETWEEN ?2 AND ?3")},
        begin{database.prepare(
            "INSERT OR IGNORE INTO sluice_watermark(name, origin, position) VALUES (?1, ?2, ?3)")},
        move{database.prepare(
            "UPDATE sluice_watermark SET position=?3 WHERE name=?1 AND origin=?2 AND position=?4")},
        savepoint{database.prepare("SAVEPOINT sluice_event")},
        roll_back_event{database.prepare("ROLLBACK TO sluice_event")},
        release{database.prepare("RELEASE sluice_event")} {}

  SqlitePrepared epoch;
  SqlitePrepared raise;
  SqlitePrepared raise_gone;
  SqlitePrepared watermarks;
  SqlitePrepared begin;
  SqlitePrepared move;
  SqlitePrepared savepoint;
  SqlitePrepared roll_back_event;
  SqlitePrepared release;
  std::vector<SqliteUserStatement> users;
};

namespace {

constexpr std::string_view kTables =
    "CREATE TABLE IF NOT EXISTS sluice_owner(name TEXT NOT NULL, stage TEXT NOT NULL, replica INTEGER NOT "
    "NULL, "
    "epoch INTEGER NOT NULL, run INTEGER NOT NULL, life INTEGER NOT NULL DEFAULT 0, "
    "PRIMARY KEY(name, stage, replica)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS sluice_watermark(name TEXT NOT NULL, origin INTEGER NOT NULL, "
    "position INTEGER NOT NULL, PRIMARY KEY(name, origin)) WITHOUT ROWID;";

// Tables of earlier versions have none.
constexpr const char* kLife = "ALTER TABLE sluice_owner ADD COLUMN life INTEGER NOT NULL DEFAULT 0";

// The lanes of an owner: the low bits of an origin.
constexpr std::uint64_t kLaneBitsOfOrigin = (std::uint64_t{1} << EventId::kLaneBits) - 1;

void run_own(SqliteDatabase& database, sqlite3_stmt* statement, const char* tried) {
  const int code = run_sqlite(statement);
  if (code != SQLITE_DONE) database.fail(tried, code);
}

void bind_owner(sqlite3_stmt* statement, const SinkOwner& owner, unsigned replica) {
  ::sqlite3_bind_text64(statement, 1, owner.name.data(), owner.name.size(), SQLITE_STATIC, SQLITE_UTF8);
  ::sqlite3_bind_text64(statement, 2, owner.stage.data(), owner.stage.size(), SQLITE_STATIC, SQLITE_UTF8);
  ::sqlite3_bind_int64(statement, 3, replica);
}

// What the database has for an owner; an epoch of 0 when it has nothing.
struct Ownership {
  std::uint64_t epoch = 0;
  std::int64_t run = 0;
  std::int64_t life = 0;
};

std::int64_t run_of(const SinkOwner& owner) noexcept {
  return static_cast<std::int64_t>(EventId{owner.origin, 0}.run());
}

std::string worker_name(const SinkOwner& owner) {
  return fmt::format("worker {}/{} of {}", owner.stage, owner.replica, printable(owner.name));
}

Ownership ownership_of(SqliteDatabase& database, const SqliteStatements& statements, const SinkOwner& owner) {
  sqlite3_stmt* statement = statements.epoch.get();
  bind_owner(statement, owner, owner.replica);
  const int code = ::sqlite3_step(statement);
  Ownership found;
  if (code == SQLITE_ROW)
    found = {from_sqlite(::sqlite3_column_int64(statement, 0)), ::sqlite3_column_int64(statement, 1),
             ::sqlite3_column_int64(statement, 2)};
  ::sqlite3_reset(statement);
  if (code != SQLITE_ROW && code != SQLITE_DONE) database.fail("read sluice_owner of", code);
  return found;
}

std::vector<Watermark> watermarks_of(SqliteDatabase& database, const SqliteStatements& statements,
                                     const SinkOwner& owner) {
  sqlite3_stmt* statement = statements.watermarks.get();
  ::sqlite3_bind_text64(statement, 1, owner.name.data(), owner.name.size(), SQLITE_STATIC, SQLITE_UTF8);
  ::sqlite3_bind_int64(statement, 2, to_sqlite(owner.origin));
  ::sqlite3_bind_int64(statement, 3, to_sqlite(owner.origin | kLaneBitsOfOrigin));
  std::vector<Watermark> marks;
  int code = SQLITE_OK;
  while ((code = ::sqlite3_step(statement)) == SQLITE_ROW) {
    marks.push_back({from_sqlite(::sqlite3_column_int64(statement, 0)),
                     from_sqlite(::sqlite3_column_int64(statement, 1))});
  }
  ::sqlite3_reset(statement);
  if (code != SQLITE_DONE) database.fail("read sluice_watermark of", code);
  return marks;
}

void raise_epochs(SqliteDatabase& database, const SqliteStatements& statements, const SinkOwner& owner) {
  bind_owner(statements.raise.get(), owner, owner.replica);
  ::sqlite3_bind_int64(statements.raise.get(), 4, run_of(owner));
  ::sqlite3_bind_int64(statements.raise.get(), 5, to_sqlite(owner.life));
  run_own(database, statements.raise.get(), "raise the epoch in");
  bind_owner(statements.raise_gone.get(), owner, owner.replicas);
  ::sqlite3_bind_int64(statements.raise_gone.get(), 4, owner.replica);
  ::sqlite3_bind_int64(statements.raise_gone.get(), 5, to_sqlite(owner.life));
  run_own(database, statements.raise_gone.get(), "raise the epoch in");
}

[[noreturn]] void taken_over(const SqliteDatabase& database, const SinkOwner& owner, const std::string& how) {
  throw Error{{"write to the database", printable(database.path()),
               fmt::format("another process has taken over as {} ({})", worker_name(owner), how),
               "nothing of this one was written since; if both are to run, give each a SqliteOptions::name"}};
}

// A zombie whose store is made anew must not take its place back: its run has written here, and another has
// come since; or a later life of its own run has.
void check_run(SqliteDatabase& database, const SqliteStatements& statements, const SinkOwner& owner,
               const std::vector<Watermark>& marks) {
  const Ownership found = ownership_of(database, statements, owner);
  if (found.epoch != 0 && found.run != run_of(owner) && !marks.empty())
    taken_over(database, owner, fmt::format("run {:x}, this one is {:x}", found.run, run_of(owner)));
  if (found.run == run_of(owner) && from_sqlite(found.life) > owner.life)
    taken_over(database, owner, "a later start of the same run, from a checkpoint, say");
}

void check_epoch(SqliteDatabase& database, const SqliteStatements& statements,
                 const SinkBatch<SqlEffect>& batch) {
  const std::uint64_t epoch = ownership_of(database, statements, batch.owner).epoch;
  if (epoch == batch.epoch) return;
  if (epoch > batch.epoch)
    taken_over(database, batch.owner, fmt::format("epoch {}, this one has {}", epoch, batch.epoch));
  throw Error{
      {"write to the database", printable(database.path()),
       fmt::format("sluice_owner has epoch {} for {}, and had {}: it was put back to an earlier state", epoch,
                   worker_name(batch.owner), batch.epoch),
       "start the pipeline anew, if that is what is wanted"}};
}

// Where a watermark is not where it was left, the database was put back while this writer was at work.
void move_watermarks(SqliteDatabase& database, const SqliteStatements& statements,
                     const SinkBatch<SqlEffect>& batch) {
  const std::string& name = batch.owner.name;
  for (const WatermarkMove& mark : batch.watermarks) {
    sqlite3_stmt* move = mark.from == 0 ? statements.begin.get() : statements.move.get();
    ::sqlite3_bind_text64(move, 1, name.data(), name.size(), SQLITE_STATIC, SQLITE_UTF8);
    ::sqlite3_bind_int64(move, 2, to_sqlite(mark.origin));
    ::sqlite3_bind_int64(move, 3, to_sqlite(mark.end));
    if (mark.from != 0) ::sqlite3_bind_int64(move, 4, to_sqlite(mark.from));
    run_own(database, move, "move the watermark in");
    if (!database.changed_one_row()) store_went_back(batch.owner);
  }
}

// Why SQLite refuses the event, or nothing when the effect has come about. Throws for all else.
std::optional<std::string> refusal_of(SqliteDatabase& database, const SqliteStatements& statements,
                                      const SqlEffect& effect) {
  if (effect.statement.number >= statements.users.size()) {
    throw Error{{"run a statement in the database", printable(database.path()),
                 "this store has not prepared it",
                 "keep the Statement of each store's prepare() for its own effects"}};
  }
  const SqliteUserStatement& user = statements.users[effect.statement.number];
  if (effect.values.size() != user.values) {
    throw Error{{"run", fmt::format("'{}'", printable(user.sql)),
                 fmt::format("it takes {} and was given {}", detail::counted(user.values, "value"),
                             effect.values.size()),
                 "mend the handler"}};
  }
  for (const SqlValue& value : effect.values) {
    const auto* const real = std::get_if<double>(&value);
    if (real != nullptr && std::isnan(*real))
      return "a value is no number (NaN), of which SQLite would make NULL";
  }
  sqlite3_stmt* statement = user.prepared.get();
  int code = SQLITE_OK;
  for (std::size_t i = 0; i < user.value_of.size() && code == SQLITE_OK; ++i)
    code = bind_sqlite(statement, static_cast<int>(i + 1), effect.values[user.value_of[i]]);
  if (code == SQLITE_OK) code = run_sqlite(statement);
  if (code == SQLITE_DONE) return std::nullopt;
  const SqliteTrouble trouble = sqlite_trouble(code);
  if (trouble == SqliteTrouble::away) database.fail("run a statement in", code);
  std::string why = database.problem();
  if (trouble == SqliteTrouble::event) return why;
  // A schema that has changed is no fault of the event: then the statement cannot be prepared any more.
  if (trouble == SqliteTrouble::unclear && database.try_prepare(user.sql) != nullptr) return why;
  throw Error{{fmt::format("run '{}' in", printable(user.sql)), "the database " + printable(database.path()),
               why, sqlite_remedy(code)}};
}

// Runs the batch as far as needed to find all events that are refused, and leaves nothing of it.
std::vector<RefusedEvent> find_refused(SqliteDatabase& database, const SqliteStatements& statements,
                                       const SinkBatch<SqlEffect>& batch) {
  std::vector<RefusedEvent> refused;
  const SqliteTransaction never_committed{database};
  check_epoch(database, statements, batch);
  for (auto effect = batch.effects.begin(); effect != batch.effects.end();) {
    // What an event does it does as a whole.
    const EventId event = effect->event;
    run_own(database, statements.savepoint.get(), "set a savepoint in");
    std::optional<std::string> why;
    for (; effect != batch.effects.end() && effect->event == event; ++effect) {
      if (!why) why = refusal_of(database, statements, effect->effect);
    }
    if (why) {
      refused.push_back({event, *std::move(why)});
      // A statement with OR ROLLBACK has ended the transaction: those behind it are found when the others are
      // done again.
      if (!database.in_transaction()) return refused;
      run_own(database, statements.roll_back_event.get(), "roll back to a savepoint in");
    }
    run_own(database, statements.release.get(), "release a savepoint in");
  }
  return refused;
}

// False when an event is refused: then nothing of it is left.
bool write(SqliteDatabase& database, const SqliteStatements& statements, const SinkBatch<SqlEffect>& batch) {
  SqliteTransaction transaction{database};
  check_epoch(database, statements, batch);
  for (const PendingEffect<SqlEffect>& pending : batch.effects) {
    if (refusal_of(database, statements, pending.effect)) return false;
  }
  move_watermarks(database, statements, batch);
  if (!transaction.commit()) {
    // A constraint that is checked at the end. Which event violates it shows when they are done one by one.
    throw Refused{database.problem()};
  }
  return true;
}

// The replacement of a worker would run it again, and be the end of the pipeline.
void refuse_what_runs_once(SqliteDatabase& database, const std::string& schema) {
  database.run("SAVEPOINT sluice_schema");
  try {
    database.run_schema(schema);
  } catch (const Error&) {
    throw Error{{"run SqliteOptions::schema a second time in", "the database " + printable(database.path()),
                 database.problem(),
                 "write CREATE TABLE IF NOT EXISTS and the like: it is run whenever a worker begins, also in "
                 "the place of one that died"}};
  }
  database.run("ROLLBACK TO sluice_schema");
  database.run("RELEASE sluice_schema");
}

// $1 names its value by number, as in PostgreSQL, whatever comes before it; for SQLite it would be a name
// like any other.
std::size_t value_of_parameter(const char* name, std::size_t parameter) {
  const std::string_view text = name == nullptr ? "" : name;
  std::size_t number = 0;
  if (!text.starts_with('$')) return parameter;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
  const bool is_number =
      error == std::errc{} && end == text.data() + text.size() && number >= 1 && number <= 32'766;
  return is_number ? number - 1 : parameter;
}

}  // namespace

}  // namespace detail

using namespace detail;

SqliteStore::SqliteStore(const SqliteOptions& options) : options_{options} {
  constexpr std::chrono::milliseconds kHour = std::chrono::hours{1};
  const auto refuse = [](const char* option, std::chrono::milliseconds given, const std::string& why) {
    throw Error{{"take", fmt::format("SqliteOptions::{} = {} ms", option, given.count()), why, ""}};
  };
  if (options.busy < std::chrono::milliseconds{0} || options.busy > kHour)
    refuse("busy", options.busy, "it is between 0 and an hour");
  check_time_limit("SqliteOptions::call_limit", options.call_limit);
  if (options.call_limit <= options.busy)
    refuse("call_limit", options.call_limit,
           "a call must be able to last longer than its wait, SqliteOptions::busy");
}

SqliteStore::~SqliteStore() = default;

std::string SqliteStore::name_or(const std::string& pipeline) const {
  return options_.name.empty() ? pipeline : options_.name;
}

SinkClaim SqliteStore::claim(const SinkOwner& owner) {
  statements_.reset();
  database_ = std::make_unique<SqliteDatabase>(options_);
  SqliteTransaction transaction{*database_};
  if (!options_.schema.empty()) {
    const bool first = database_->try_prepare("SELECT epoch FROM sluice_owner") == nullptr;
    database_->run_schema(options_.schema);
    if (first) refuse_what_runs_once(*database_, options_.schema);
  }
  database_->run(std::string{kTables});
  if (database_->try_prepare("SELECT life FROM sluice_owner") == nullptr) database_->run(kLife);
  statements_ = std::make_unique<SqliteStatements>(*database_);
  std::vector<Watermark> marks = watermarks_of(*database_, *statements_, owner);
  check_run(*database_, *statements_, owner, marks);
  raise_epochs(*database_, *statements_, owner);
  SinkClaim claim{ownership_of(*database_, *statements_, owner).epoch, std::move(marks)};
  if (!transaction.commit()) database_->fail("commit in", SQLITE_CONSTRAINT);
  return claim;
}

void SqliteStore::apply(const SinkBatch<SqlEffect>& batch) {
  database_->check_identity();
  if (write(*database_, *statements_, batch)) return;
  std::vector<RefusedEvent> refused = find_refused(*database_, *statements_, batch);
  // Another writer has mended meanwhile what was violated.
  if (refused.empty())
    throw Unavailable{fmt::format("the database {} changed meanwhile", printable(database_->path()))};
  throw Refused{std::move(refused)};
}

Statement SqliteStore::prepare(std::string_view sql, std::optional<std::size_t> values) {
  SqliteUserStatement user;
  user.sql = sql;
  user.prepared = database_->prepare_effect(sql);
  const int parameters = ::sqlite3_bind_parameter_count(user.prepared.get());
  for (int parameter = 1; parameter <= parameters; ++parameter) {
    const char* name = ::sqlite3_bind_parameter_name(user.prepared.get(), parameter);
    user.value_of.push_back(value_of_parameter(name, static_cast<std::size_t>(parameter - 1)));
    user.values = std::max(user.values, user.value_of.back() + 1);
  }
  if (values && *values != user.values) {
    throw Error{{"prepare", fmt::format("'{}'", printable(sql)),
                 fmt::format("it has {} and is to be given {}", detail::counted(user.values, "parameter"),
                             detail::counted(*values, "value")),
                 "give it as many as it has"}};
  }
  statements_->users.push_back(std::move(user));
  return {static_cast<std::uint32_t>(statements_->users.size() - 1)};
}

}  // namespace sluice
