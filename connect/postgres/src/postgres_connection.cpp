// SPDX-License-Identifier: Apache-2.0
#include "postgres_connection.hpp"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

namespace sluice::detail {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kOldestServer = 120000;
constexpr std::size_t kMostText = 400;
constexpr std::string_view kOfAnOption = "22023";  // What the server calls a value that it does not take.

// What libpq says of a connection string quotes pieces of it, and a piece may be of the password.
std::string without_quotes(std::string_view text) {
  std::string kept;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') kept.append(quoted ? "...\"" : "\"");
    if (c == '"') quoted = !quoted;
    if (!quoted && c != '"' && c != '\n') kept.push_back(c);
  }
  return kept;
}

std::string one_line(const char* text) {
  std::string plain = plain_text_of(text == nullptr ? "" : text);
  return printable(cut_text(plain, kMostText));
}

std::string field_of(const PGresult* result, int field) {
  const char* text = PQresultErrorField(result, field);
  return text == nullptr ? std::string{} : std::string{text};
}

// Milliseconds for poll(), rounded up.
int left_until(PgDeadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  constexpr std::chrono::milliseconds kMost{60'000};
  return static_cast<int>(std::clamp(left, std::chrono::milliseconds{0}, kMost).count());
}

// False when the time is over.
bool wait_for_events(int descriptor, short events, PgDeadline deadline) {
  while (true) {
    pollfd wanted{descriptor, events, 0};
    const int ready = ::poll(&wanted, 1, left_until(deadline));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // libpq finds out what is wrong with it.
    if (Clock::now() >= deadline) return false;
  }
}

using ConnectionFields =
    std::unique_ptr<PQconninfoOption, decltype([](PQconninfoOption* fields) { PQconninfoFree(fields); })>;

struct FreeFields {
  void operator()(PQconninfoOption* fields) const noexcept { PQconninfoFree(fields); }
};

}  // namespace

PgTarget target_of(const std::string& url) {
  char* text = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeFields> fields{PQconninfoParse(url.c_str(), &text)};
  if (!fields) {
    const std::string why = without_quotes(text == nullptr ? "there is no memory left" : text);
    PQfreemem(text);
    throw Error{{.tried = "use the URL of PostgresOptions",
                 .object = {},
                 .why = why,
                 .remedy = "write it as \"host=db1 dbname=bank\" or \"postgresql://db1/bank\"; it is not "
                           "shown here, since it "
                           "may hold a password"}};
  }
  PgTarget target;
  std::string host;
  std::string port;
  std::string database;
  for (const PQconninfoOption* field = fields.get(); field->keyword != nullptr; ++field) {
    if (field->val == nullptr) continue;
    const std::string_view keyword = field->keyword;
    if (keyword == "host" || (keyword == "hostaddr" && host.empty())) host = field->val;
    if (keyword == "port") port = field->val;
    if (keyword == "dbname") database = field->val;
    if (keyword == "target_session_attrs") target.read_write = true;
    if (keyword == "tcp_user_timeout") target.user_timeout = true;
  }
  target.hosts = 1 + static_cast<unsigned>(std::count(host.begin(), host.end(), ','));
  target.text = database.empty() ? "the database" : "the database " + database;
  if (!host.empty()) target.text.append(" at ").append(host);
  if (!host.empty() && !port.empty()) target.text.append(":").append(port);
  target.text = printable(target.text);
  return target;
}

ServerError error_of(const PGresult* result) {
  ServerError error{.state = field_of(result, PG_DIAG_SQLSTATE),
                    .text = field_of(result, PG_DIAG_MESSAGE_PRIMARY),
                    .function = field_of(result, PG_DIAG_SOURCE_FUNCTION),
                    .placed = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION) != nullptr ||
                              PQresultErrorField(result, PG_DIAG_INTERNAL_POSITION) != nullptr};
  const std::string detail = field_of(result, PG_DIAG_MESSAGE_DETAIL);
  if (!detail.empty()) error.text.append(": ").append(detail);
  if (error.text.empty()) error.text = one_line(PQresultErrorMessage(result));
  return error;
}

PgConnection::PgConnection(const PostgresOptions& options, const PgTarget& target,
                           const std::string& application)
    : target_{target} {
  connect(options, application);
  if (version() < kOldestServer) {
    const char* name = PQparameterStatus(session_.get(), "server_version");
    throw Error{{.tried = "use",
                 .object = target_.text,
                 .why = fmt::format("its server has version {}", name == nullptr ? "unknown" : name),
                 .remedy = "PostgresStore needs PostgreSQL 12 or later"}};
  }
  PQsetErrorVerbosity(session_.get(), PQERRORS_DEFAULT);
  PQsetNoticeReceiver(session_.get(), &PgConnection::on_notice, this);
  if (PQsetnonblocking(session_.get(), 1) != 0 || PQenterPipelineMode(session_.get()) != 1)
    lost(one_line(PQerrorMessage(session_.get())));
}

// Others ("relation exists already, skipping") are for people at a terminal.
void PgConnection::on_notice(void* connection, const PGresult* notice) {
  if (field_of(notice, PG_DIAG_SOURCE_FUNCTION) == "SyncRepWaitForLSN")
    static_cast<PgConnection*>(connection)->unreplicated_ = true;
}

void PgConnection::connect(const PostgresOptions& options, const std::string& application) {
  std::vector<const char*> keywords{"dbname", "client_encoding", "fallback_application_name"};
  std::vector<const char*> values{options.url.c_str(), "UTF8", application.c_str()};
  const auto add = [&](const char* keyword, const char* value) {
    keywords.push_back(keyword);
    values.push_back(value);
  };
  // A standby takes no rows. It may become a primary, or another host of the URL may be one.
  if (!target_.read_write) add("target_session_attrs", "read-write");
  // Linux bounds the handshake by it too: a host that swallows packets does not keep us from the next one of the URL.
  const std::string user_timeout = std::to_string(options.connect_limit.count());
  if (!target_.user_timeout) add("tcp_user_timeout", user_timeout.c_str());
  add(nullptr, nullptr);
  session_.reset(PQconnectStartParams(keywords.data(), values.data(), 1));
  if (!session_) throw Unavailable{target_.text + ": there is no memory left"};
  // The SQLSTATE of a connection that was not made stands in its verbose text alone.
  PQsetErrorVerbosity(session_.get(), PQERRORS_VERBOSE);
  poll_until_connected(Clock::now() + options.connect_limit * target_.hosts);
}

void PgConnection::poll_until_connected(PgDeadline deadline) {
  if (PQstatus(session_.get()) == CONNECTION_BAD) say_why_not();
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) say_why_not();
    const short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (!wait_for_events(PQsocket(session_.get()), events, deadline))
      lost("no connection was made within connect_limit");
    state = PQconnectPoll(session_.get());
  }
}

void PgConnection::say_why_not() {
  const char* verbose = PQerrorMessage(session_.get());
  const std::string text = one_line(verbose);
  const std::string state = state_in(verbose);
  const bool needs_password = PQconnectionNeedsPassword(session_.get()) != 0;
  const bool wrong_value = state.empty() && is_of_our_options(text, target_.hosts == 1);
  if (!needs_password && !wrong_value &&
      judge_connection({.state = state, .text = text, .function = {}}) == Verdict::away)
    lost(text);
  throw Error{{.tried = "connect to",
               .object = target_.text,
               .why = text,
               .remedy = std::string{remedy_for(needs_password            ? "28P01"
                                                : state.starts_with("42") ? kOfAnOption
                                                                          : state)}}};
}

void PgConnection::queue(const std::string& sql, const std::vector<std::string>& values) {
  std::vector<const char*> pointers(values.size());
  std::transform(values.begin(), values.end(), pointers.begin(),
                 [](const std::string& value) { return value.c_str(); });
  check(PQsendQueryParams(session_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                          pointers.data(), nullptr, nullptr, 0));
}

void PgConnection::queue_prepared(const char* name, const PgParameters& values) {
  check(PQsendQueryPrepared(session_.get(), name, values.count(), values.values(), values.lengths(),
                            values.formats(), 0));
}

void PgConnection::queue_prepared(const char* name, const std::vector<std::string>& values) {
  std::vector<const char*> pointers(values.size());
  std::transform(values.begin(), values.end(), pointers.begin(),
                 [](const std::string& value) { return value.c_str(); });
  check(PQsendQueryPrepared(session_.get(), name, static_cast<int>(values.size()), pointers.data(), nullptr,
                            nullptr, 0));
}

void PgConnection::queue_prepare(const std::string& name, const std::string& sql) {
  check(PQsendPrepare(session_.get(), name.c_str(), sql.c_str(), 0, nullptr));
}

void PgConnection::queue_describe(const std::string& name) {
  check(PQsendDescribePrepared(session_.get(), name.c_str()));
}

std::optional<PgFailure> PgConnection::finish(PgDeadline deadline, std::vector<PgResult>* answers) {
  check(PQpipelineSync(session_.get()));
  std::optional<PgFailure> failure;
  // An answer is one result or more and a null.
  for (std::size_t statement = 0;;) {
    wait_for_answer(deadline);
    PgResult result{PQgetResult(session_.get())};
    if (!result) {
      if (PQstatus(session_.get()) == CONNECTION_BAD) lost(one_line(PQerrorMessage(session_.get())));
      ++statement;
      continue;
    }
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_PIPELINE_SYNC) {
      if (unreplicated_) lost("a transaction was committed, and no standby has it yet");
      return failure;
    }
    if (status == PGRES_FATAL_ERROR) {
      ServerError error = error_of(result.get());
      if (PQstatus(session_.get()) == CONNECTION_BAD) lost(error.text);
      if (!failure) failure = PgFailure{statement, std::move(error)};
    }
    if (answers != nullptr) answers->push_back(std::move(result));
  }
}

void PgConnection::wait_for_answer(PgDeadline deadline) {
  while (PQisBusy(session_.get()) != 0) {
    const int unsent = PQflush(session_.get());
    if (unsent < 0) lost(one_line(PQerrorMessage(session_.get())));
    const short events = unsent == 0 ? POLLIN : POLLIN | POLLOUT;
    if (!wait_for_events(PQsocket(session_.get()), events, deadline))
      lost("there was no answer within call_limit");
    if (PQconsumeInput(session_.get()) == 0) lost(one_line(PQerrorMessage(session_.get())));
  }
}

void PgConnection::check(int accepted) {
  if (accepted != 1) lost(one_line(PQerrorMessage(session_.get())));
}

void PgConnection::lost(const std::string& why) {
  throw Unavailable{target_.text + ": " + why};
}

}  // namespace sluice::detail
