// SPDX-License-Identifier: Apache-2.0
// What a test asks its server.
#include <libpq-fe.h>
#include <stdexcept>

#include "postgres_server.hpp"

namespace sluice::test {
namespace {

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};

}  // namespace

void PostgresServer::Session::Finish::operator()(pg_conn* session) const {
  PQfinish(session);
}

PostgresServer::Session::Session(const std::string& url) : session_{PQconnectdb(url.c_str())} {
  PQsetNoticeReceiver(
      session_.get(), [](void*, const PGresult*) {}, nullptr);
}

std::string PostgresServer::Session::query(const std::string& sql) const {
  const std::unique_ptr<PGresult, ClearResult> result{PQexec(session_.get(), sql.c_str())};
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    throw std::runtime_error{"\"" + sql + "\": " + PQerrorMessage(session_.get())};
  std::string rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      if (column != 0) rows.push_back('|');
      rows.append(PQgetvalue(result.get(), row, column));
    }
    rows.push_back('\n');
  }
  return rows;
}

}  // namespace sluice::test
