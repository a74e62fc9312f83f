// SPDX-License-Identifier: Apache-2.0
// A session of libpq in pipeline mode, in which nothing waits for longer than it was told.
//
// Statements are queued, each without an answer; finish() sends what is left of them with one sync and reads the answers.
// The server stops at the first that fails, and skips the rest. What ends the session (the server is away, does not answer in
// time) is thrown as Unavailable, and the session is of no use any more: it is closed, never cancelled, since a cancel
// is a connection of its own that may hang as well.
#pragma once

#include <chrono>
#include <libpq-fe.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sluice/connect/postgres.hpp>

#include "postgres_values.hpp"
#include "sqlstate.hpp"

namespace sluice::detail {

struct PgClear {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
  void operator()(PGconn* session) const noexcept { PQfinish(session); }
};
using PgResult = std::unique_ptr<PGresult, PgClear>;
using PgDeadline = std::chrono::steady_clock::time_point;

// What a connection string says, without what is secret in it.
struct PgTarget {
  std::string text;  // "the database bank at db1:5432"
  unsigned hosts = 1;
  // libpq's keywords that the string sets itself.
  bool read_write = false;
  bool user_timeout = false;
};
// Throws Error for a string that is none, with nothing of it that may be a password.
PgTarget target_of(const std::string& url);

// A statement that the server refused: the how manyth since the last finish(), from 0, and what it said.
struct PgFailure {
  std::size_t statement = 0;
  ServerError error;
};

class PgConnection {
 public:
  // Connects. `application` is the name that pg_stat_activity shows. Throws Unavailable or Error.
  PgConnection(const PostgresOptions& options, const PgTarget& target, const std::string& application);
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  // Text and its parameters as text; a prepared statement.
  void queue(const std::string& sql, const std::vector<std::string>& values = {});
  void queue_prepared(const char* name, const PgParameters& values);
  void queue_prepared(const char* name, const std::vector<std::string>& values = {});
  void queue_prepare(const std::string& name, const std::string& sql);
  // Asks of which types the parameters of a prepared statement are.
  void queue_describe(const std::string& name);

  // Sends everything and reads all answers, into `answers` if there is one, an answer each. The first failure. Throws
  // Unavailable; also for a COMMIT that was answered before the standbys had it which synchronous_standby_names asks for: the
  // server says so by a warning, when the wait for them was cancelled.
  std::optional<PgFailure> finish(PgDeadline deadline, std::vector<PgResult>* answers = nullptr);

  int version() const noexcept { return PQserverVersion(session_.get()); }

 private:
  void connect(const PostgresOptions& options, const std::string& application);
  void poll_until_connected(PgDeadline deadline);
  [[noreturn]] void say_why_not();
  void check(int accepted);
  void wait_for_answer(PgDeadline deadline);
  [[noreturn]] void lost(const std::string& why);

  static void on_notice(void* connection, const PGresult* notice);

  const PgTarget& target_;
  bool unreplicated_ = false;  // A COMMIT since the last finish() is not where it was to be.
  std::unique_ptr<PGconn, PgClear> session_;
};

// What the server said of a result that is an error.
ServerError error_of(const PGresult* result);

}  // namespace sluice::detail
