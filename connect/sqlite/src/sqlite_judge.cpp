// SPDX-License-Identifier: Apache-2.0
#include "sqlite_judge.hpp"

#include <sqlite3.h>

namespace sluice::detail {

namespace {

bool is(const char* name, const char* other) noexcept {
  return name != nullptr && ::sqlite3_stricmp(name, other) == 0;
}

bool is_ours(const char* table) noexcept {
  return is(table, "sluice_owner") || is(table, "sluice_watermark");
}

}  // namespace

int judge_effect(void*, int action, const char* what, const char*, const char* database, const char*) {
  switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
    case SQLITE_PRAGMA:
      return SQLITE_DENY;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
      return is_ours(what) || !is(database, "main") ? SQLITE_DENY : SQLITE_OK;
    default:
      return SQLITE_OK;
  }
}

int judge_schema(void*, int action, const char* what, const char* on, const char*, const char*) {
  switch (action) {
    case SQLITE_TRANSACTION:
      return SQLITE_DENY;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
    case SQLITE_CREATE_TABLE:
    case SQLITE_DROP_TABLE:
      return is_ours(what) ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_ALTER_TABLE:  // Of which the first name is the database's.
      return is_ours(on) ? SQLITE_DENY : SQLITE_OK;
    default:
      return SQLITE_OK;
  }
}

}  // namespace sluice::detail
