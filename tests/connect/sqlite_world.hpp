// SPDX-License-Identifier: Apache-2.0
// Databases for the tests: made and read by SQLite itself, past the store that is tested.
#pragma once

#include <memory>
#include <sqlite3.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "outside_world.hpp"

namespace sluice::test {

// A connection of another program's.
class OtherConnection {
 public:
  explicit OtherConnection(const std::string& path) {
    sqlite3* handle = nullptr;
    const int code = ::sqlite3_open(path.c_str(), &handle);
    handle_.reset(handle);
    if (code != SQLITE_OK) throw std::runtime_error{::sqlite3_errstr(code)};
    ::sqlite3_busy_timeout(handle, 10'000);
  }

  // Each row as "a|b|c", NULL as "NULL"; bytes as X'0102'.
  std::vector<std::string> rows(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    check(::sqlite3_prepare_v2(handle_.get(), sql.c_str(), -1, &statement, nullptr));
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> owner{statement, &::sqlite3_finalize};
    std::vector<std::string> rows;
    int code = SQLITE_OK;
    while ((code = ::sqlite3_step(statement)) == SQLITE_ROW) {
      std::string row;
      for (int column = 0; column < ::sqlite3_column_count(statement); ++column) {
        if (column != 0) row += '|';
        row += text_of(statement, column);
      }
      rows.push_back(std::move(row));
    }
    if (code != SQLITE_DONE) check(code);
    return rows;
  }
  void run(const std::string& sql) {
    check(::sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr));
  }

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept { ::sqlite3_close(handle); }
  };
  static std::string text_of(sqlite3_stmt* statement, int column) {
    const int type = ::sqlite3_column_type(statement, column);
    if (type == SQLITE_NULL) return "NULL";
    const auto* bytes = static_cast<const unsigned char*>(::sqlite3_column_blob(statement, column));
    std::string value{reinterpret_cast<const char*>(bytes),
                      static_cast<std::size_t>(::sqlite3_column_bytes(statement, column))};
    if (type != SQLITE_BLOB) return value;
    std::string text = "X'";
    for (const char byte : value) {
      constexpr char kDigits[] = "0123456789abcdef";
      const auto number = static_cast<unsigned char>(byte);
      text += kDigits[number / 16U];
      text += kDigits[number % 16U];
    }
    return text + "'";
  }
  void check(int code) const {
    if (code != SQLITE_OK) throw std::runtime_error{::sqlite3_errmsg(handle_.get())};
  }

  std::unique_ptr<sqlite3, Close> handle_;
};

class WithSqlite : public WithOutside {
 protected:
  std::string database() const { return file("book.db"); }
  void run(const std::string& sql) const { OtherConnection{database()}.run(sql); }
  std::vector<std::string> rows(const std::string& sql) const {
    return OtherConnection{database()}.rows(sql);
  }

  // Whole, and with no lock left over.
  void expect_sound() const {
    EXPECT_THAT(rows("PRAGMA integrity_check"), testing::ElementsAre("ok"));
    OtherConnection other{database()};
    EXPECT_NO_THROW(other.run("BEGIN EXCLUSIVE; COMMIT"));
  }
};

}  // namespace sluice::test
