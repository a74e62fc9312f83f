// SPDX-License-Identifier: Apache-2.0
// Stores the squares of numbers by two workers, twice, in a database that it makes: the second run adds to the first.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include <sluice/connect/sql_sink.hpp>
#include <sluice/connect/sqlite.hpp>
#include <sluice/sluice.hpp>
#include <sluice/wide.hpp>

struct Number {
  std::uint64_t value = 0;
};

struct Square {
  void operator()(const Number& number, sluice::Output<Number>& out) const {
    out.push({number.value * number.value});
  }
};

void store(const std::string& path) {
  sluice::Pipeline pipeline{"numbers"};
  pipeline.inlet<Number>("in")
      .to<sluice::Wide<Square>>("square", {.threads = 2})
      .to<sluice::SqlSink<sluice::SqliteStore, Number>>(
          "store", {.workers = 2},
          sluice::SqliteOptions{.path = path, .schema = "CREATE TABLE IF NOT EXISTS number(value INTEGER)"},
          sluice::Sql<Number>{"INSERT INTO number VALUES (?)", &Number::value});
  sluice::Engine engine{pipeline};
  engine.start();
  auto in = engine.inlet<Number>("in");
  for (std::uint64_t value = 0; value < 1000; ++value)
    if (in.push({value}) != sluice::PushResult::accepted) break;
  in.close();
  engine.wait();
}

int main() {
  const std::string path = (std::filesystem::current_path() / "numbers.db").string();
  for (const char* suffix : {"", "-wal", "-shm"})
    std::filesystem::remove(path + suffix);
  try {
    store(path);
    store(path);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::printf("%llu bytes\n", static_cast<unsigned long long>(std::filesystem::file_size(path)));
  return std::filesystem::file_size(path) > 20'000 ? 0 : 1;
}
