// SPDX-License-Identifier: Apache-2.0
#include "sqlite_database.hpp"

#include <algorithm>
#include <bit>
#include <thread>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

#include "sqlite_errors.hpp"
#include "sqlite_fork.hpp"
#include "sqlite_judge.hpp"

namespace sluice::detail {

namespace {

using Clock = std::chrono::steady_clock;

// Between two looks at a lock that another holds. A transaction of a batch takes about as long.
constexpr std::chrono::microseconds kShortestPause{50};
constexpr std::chrono::microseconds kLongestPause{1000};

struct Judged {
  Judged(sqlite3* handle, SqliteJudge judge) : handle{handle} {
    ::sqlite3_set_authorizer(handle, judge, nullptr);
  }
  ~Judged() { ::sqlite3_set_authorizer(handle, nullptr, nullptr); }
  Judged(const Judged&) = delete;
  Judged& operator=(const Judged&) = delete;
  sqlite3* handle;
};

bool is_busy(int code) noexcept {
  return (code & 0xff) == SQLITE_BUSY;
}

// Whether only blanks and comments follow.
bool is_nothing(sqlite3* handle, const char* from, const char* to) {
  sqlite3_stmt* more = nullptr;
  const int code = ::sqlite3_prepare_v2(handle, from, static_cast<int>(to - from), &more, nullptr);
  const SqlitePrepared owner{more};
  return code == SQLITE_OK && more == nullptr;
}

}  // namespace

SqliteDatabase::SqliteDatabase(const SqliteOptions& options)
    : path_{checked_database(options.path, !options.schema.empty())}, busy_{options.busy} {
  if (sqlite_was_open_at_fork()) {
    throw Error{{"open the database", printable(path_),
                 "a connection of SQLite was open when the pipeline was started: what SQLite remembers of "
                 "its locks does not "
                 "hold in a process that is forked",
                 "close it before the pipeline is started; after that, the host may open it again"}};
  }
  open(!options.schema.empty());
  set_up(options);
  identity_ = identity_of(path_);
}

void SqliteDatabase::open(bool make) {
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | (make ? SQLITE_OPEN_CREATE : 0);
  sqlite3* handle = nullptr;
  const int code = ::sqlite3_open_v2(path_.c_str(), &handle, flags, nullptr);
  handle_.reset(handle);  // There is one also when it cannot be opened, to say why.
  if (handle == nullptr)
    throw Unavailable{fmt::format("the database {}: {}", printable(path_), ::sqlite3_errstr(code))};
  ::sqlite3_extended_result_codes(handle, 1);
  if (code != SQLITE_OK) fail("open", ::sqlite3_extended_errcode(handle));
  ::sqlite3_busy_handler(handle, wait_for_lock, this);
}

void SqliteDatabase::set_up(const SqliteOptions& options) {
  // A file that cannot be written is opened all the same, to be read.
  if (::sqlite3_db_readonly(handle_.get(), "main") == 1) {
    throw Error{
        {"write to the database", printable(path_), "it can only be read", sqlite_remedy(SQLITE_READONLY)}};
  }
  run(options.synchronous == SqliteSynchronous::full ? "PRAGMA synchronous=FULL"
                                                     : "PRAGMA synchronous=NORMAL");
  run(options.foreign_keys ? "PRAGMA foreign_keys=ON" : "PRAGMA foreign_keys=OFF");
  // SQLite does not wait for those that read and write a database while its mode is changed.
  const auto until = Clock::now() + busy_;
  int code = SQLITE_OK;
  std::string mode = text_of("PRAGMA journal_mode", code);
  while (code == SQLITE_OK && mode != "wal") {
    mode = text_of("PRAGMA journal_mode=WAL", code);
    if (code == SQLITE_OK && mode != "wal") {
      throw Error{{"bring the database into WAL mode", printable(path_), "it stays in mode " + mode,
                   "put it on a local file system, which can map files that processes share"}};
    }
    if (!is_busy(code) || Clock::now() >= until) break;
    code = SQLITE_OK;
    std::this_thread::sleep_for(kLongestPause);
  }
  if (code != SQLITE_OK) fail("bring into WAL mode", code);
}

// The one text that a pragma answers.
std::string SqliteDatabase::text_of(const std::string& pragma, int& code) {
  sqlite3_stmt* made = nullptr;
  code = ::sqlite3_prepare_v2(handle_.get(), pragma.c_str(), -1, &made, nullptr);
  const SqlitePrepared statement{made};
  if (code != SQLITE_OK) return {};
  code = ::sqlite3_step(made);
  if (code != SQLITE_ROW) return {};
  code = SQLITE_OK;
  const unsigned char* text = ::sqlite3_column_text(made, 0);
  return text == nullptr ? std::string{} : reinterpret_cast<const char*>(text);
}

// Called by SQLite when another connection has the lock, the first time with 0; whether to look again.
int SqliteDatabase::wait_for_lock(void* database, int times) {
  auto& self = *static_cast<SqliteDatabase*>(database);
  const auto now = Clock::now();
  if (times == 0) self.give_up_ = now + self.busy_;
  if (now >= self.give_up_) return 0;
  std::this_thread::sleep_for(std::min(kShortestPause * (1 << std::min(times, 10)), kLongestPause));
  return 1;
}

SqlitePrepared SqliteDatabase::try_prepare(std::string_view sql) {
  sqlite3_stmt* made = nullptr;
  ::sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                       &made, nullptr);
  return SqlitePrepared{made};
}

SqlitePrepared SqliteDatabase::prepare(std::string_view sql) {
  const std::string tried = fmt::format("prepare the statement '{}' for", printable(sql));
  sqlite3_stmt* made = nullptr;
  const char* rest = nullptr;
  const int code = ::sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &made, &rest);
  SqlitePrepared statement{made};
  if (code != SQLITE_OK) fail(tried, code);
  if (!statement)
    throw Error{{tried, "the database " + printable(path_), "it is empty", "give one statement of SQL"}};
  if (!is_nothing(handle_.get(), rest, sql.data() + sql.size())) {
    throw Error{{tried, "the database " + printable(path_), "more than one statement stands in it",
                 "prepare each by itself"}};
  }
  return statement;
}

SqlitePrepared SqliteDatabase::prepare_effect(std::string_view sql) {
  const Judged judged{handle_.get(), judge_effect};
  SqlitePrepared statement = prepare(sql);
  if (::sqlite3_stmt_readonly(statement.get()) != 0) {
    throw Error{{fmt::format("prepare the statement '{}' for", printable(sql)),
                 "the database " + printable(path_), "it changes nothing",
                 "the effect of an event is a statement that inserts, updates or deletes rows"}};
  }
  return statement;
}

void SqliteDatabase::run_schema(const std::string& schema) {
  const Judged judged{handle_.get(), judge_schema};
  const int code = ::sqlite3_exec(handle_.get(), schema.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return;
  const std::string tried =
      fmt::format("run SqliteOptions::schema '{}' in", printable(cut_text(schema, 200)));
  const std::string object = "the database " + printable(path_);
  if ((code & 0xff) == SQLITE_AUTH) {
    throw Error{{tried, object,
                 "it has BEGIN, COMMIT or ROLLBACK, or means the tables sluice_owner and sluice_watermark",
                 "leave them out: the store runs it in a transaction of its own, and these tables are the "
                 "store's"}};
  }
  if (sqlite_trouble(code) == SqliteTrouble::away) fail(tried, code);
  throw Error{{tried, object, problem(), "correct it: a worker that begins runs it"}};
}

void SqliteDatabase::run(const std::string& sql) {
  const int code = ::sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(fmt::format("run '{}' in", printable(cut_text(sql, 200))), code);
}

std::string SqliteDatabase::problem() const {
  std::string text = printable(::sqlite3_errmsg(handle_.get()));
  const int code = ::sqlite3_errcode(handle_.get()) & 0xff;
  if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN || code == SQLITE_FULL) {
    if (const int reason = ::sqlite3_system_errno(handle_.get()); reason != 0)
      text.append(": ").append(errno_text(reason));
  }
  return text;
}

void SqliteDatabase::fail(const std::string& tried, int code) const {
  if (sqlite_trouble(code) == SqliteTrouble::away) {
    throw Unavailable{
        is_busy(code)
            ? fmt::format("the database {} is locked by another connection for longer than {} ms: {}",
                          printable(path_), busy_.count(), problem())
            : fmt::format("the database {}: {}", printable(path_), problem())};
  }
  throw Error{{tried, "the database " + printable(path_), problem(), sqlite_remedy(code)}};
}

void SqliteDatabase::check_identity() const {
  if (identity_of(path_) != identity_) {
    throw Error{{"go on writing the database", printable(path_), "another file has taken its place",
                 "put the file back that was written, or start the pipeline anew"}};
  }
}

SqliteTransaction::SqliteTransaction(SqliteDatabase& database)
    : database_{database}, commit_{database.prepare("COMMIT")} {
  database_.run("BEGIN IMMEDIATE");
}

SqliteTransaction::~SqliteTransaction() {
  // SQLite itself has rolled back after some errors. What fails here is over when the connection is closed.
  if (!database_.in_transaction()) return;
  if (const SqlitePrepared rollback = database_.try_prepare("ROLLBACK")) run_sqlite(rollback.get());
}

bool SqliteTransaction::commit() {
  const int code = run_sqlite(commit_.get());
  if (code == SQLITE_DONE) return true;
  if (sqlite_trouble(code) == SqliteTrouble::event) return false;
  database_.fail("commit in", code);
}

int run_sqlite(sqlite3_stmt* statement) noexcept {
  int code = SQLITE_OK;
  do {
    code = ::sqlite3_step(statement);
  } while (code == SQLITE_ROW);
  ::sqlite3_reset(statement);
  return code;
}

int bind_sqlite(sqlite3_stmt* statement, int parameter, const SqlValue& value) noexcept {
  if (const auto* number = std::get_if<std::int64_t>(&value))
    return ::sqlite3_bind_int64(statement, parameter, *number);
  if (const auto* number = std::get_if<double>(&value))
    return ::sqlite3_bind_double(statement, parameter, *number);
  if (const auto* text = std::get_if<std::string>(&value))
    return ::sqlite3_bind_text64(statement, parameter, text->data(), text->size(), SQLITE_STATIC,
                                 SQLITE_UTF8);
  if (const auto* bytes = std::get_if<SqlBytes>(&value)) {
    // A null pointer would be NULL.
    return bytes->empty()
               ? ::sqlite3_bind_zeroblob(statement, parameter, 0)
               : ::sqlite3_bind_blob64(statement, parameter, bytes->data(), bytes->size(), SQLITE_STATIC);
  }
  return ::sqlite3_bind_null(statement, parameter);
}

std::int64_t to_sqlite(std::uint64_t number) noexcept {
  return std::bit_cast<std::int64_t>(number);
}

std::uint64_t from_sqlite(std::int64_t number) noexcept {
  return std::bit_cast<std::uint64_t>(number);
}

}  // namespace sluice::detail
