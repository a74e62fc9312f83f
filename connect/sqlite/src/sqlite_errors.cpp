// SPDX-License-Identifier: Apache-2.0
#include "sqlite_errors.hpp"

#include <sqlite3.h>

namespace sluice::detail {

namespace {

// The lower eight bits of an extended result code.
int primary(int code) noexcept {
  return code & 0xff;
}

}  // namespace

SqliteTrouble sqlite_trouble(int code) noexcept {
  switch (primary(code)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:  // The WAL's index is fought over.
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT:
      return SqliteTrouble::away;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
      return SqliteTrouble::event;
    case SQLITE_ERROR:
      return SqliteTrouble::unclear;
    default:
      return SqliteTrouble::hopeless;
  }
}

std::string sqlite_remedy(int code) {
  switch (primary(code)) {
    case SQLITE_NOTADB:
      return "name a database of SQLite, or move that file away";
    case SQLITE_CORRUPT:
      return "look at it by PRAGMA integrity_check, and put a backup in its place";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return "the pipeline's user must be able to write the database, its directory and the files -wal and "
             "-shm beside it";
    case SQLITE_AUTH:
      return "a statement of a handler leaves transactions, other databases, pragmas and the tables "
             "sluice_owner and "
             "sluice_watermark alone";
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
      return "make the tables as the statement needs them, or give SqliteOptions::schema";
    default:
      return {};
  }
}

}  // namespace sluice::detail
