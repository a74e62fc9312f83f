// SPDX-License-Identifier: Apache-2.0
// The sink of a pipeline drawn by chance (any_pipeline.hpp) that writes rows of a database. The table refuses those of one mark.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include <fmt/format.h>

#include <sluice/connect/sqlite.hpp>

#include "any_pipeline.hpp"
#include "any_stages.hpp"
#include "sqlite_world.hpp"

namespace sluice::test {

template <class Event>
class AnyRows : private AnyWork {
 public:
  AnyRows(Worker& worker, const AnyStage& stage, const std::filesystem::path& file)
      : AnyWork{worker, stage},
        sink_{worker, options(file)},
        insert_{sink_.prepare("INSERT INTO token VALUES (?1, ?2, ?3)")} {}
  void operator()(const Event& event) {
    const Token& token = token_in(event);
    sink_.add(insert_, fmt::format("{}", token.id), token.weight, mark_of(token));
    handle(token, [](std::size_t, const Token&) {});
  }

 private:
  static SqliteOptions options(const std::filesystem::path& file) {
    return {.path = file.string(),
            .schema = fmt::format("CREATE TABLE IF NOT EXISTS token(id TEXT, weight INTEGER, mark INTEGER "
                                  "CHECK (mark <> {}))",
                                  kRefusedMark),
            .synchronous = SqliteSynchronous::normal};
  }

  TransactionSink<SqliteStore> sink_;
  Statement insert_;
};

inline void read_rows(const std::filesystem::path& file, std::map<Token, std::uint64_t>& tokens) {
  for (const std::string& row : OtherConnection{file.string()}.rows("SELECT id, weight FROM token")) {
    const std::size_t bar = row.find('|');
    ++tokens[{std::stoull(row.substr(0, bar)), std::stoull(row.substr(bar + 1))}];
  }
}

}  // namespace sluice::test
