// SPDX-License-Identifier: Apache-2.0
// CSV: CsvSource beside a program that takes the same rows apart at their commas. Both fill a StoredRow; the program knows neither
// quotes nor the names of columns, and says of no row what is wrong with it.
#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <string>

#include <fmt/format.h>

#include <sluice/connect/csv.hpp>
#include <sluice/sluice.hpp>

#include "rows_file.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

std::string csv_line(const StoredRow& row) {
  return fmt::format("{},{},{},{}\n", row.number, row.account, row.cents, row.purpose);
}

void read_by_source(const std::string& path, std::uint64_t rows) {
  Pipeline pipeline{"bench"};
  pipeline.source<CsvSource<StoredRow>>("read", FileSourceOptions{.paths = {path}}, stored_fields())
      .to<CountRow>("count", rows);
  run_to_its_end(pipeline);
}

// The field at the front, which is taken off.
std::string_view field_of(std::string_view& line) {
  const std::size_t end = std::min(line.find(','), line.size());
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

template <class Number>
void fill(Number& number, std::string_view field) {
  std::from_chars(field.data(), field.data() + field.size(), number);
}

void read_by_program(const std::string& path, std::uint64_t rows) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::string_view rest = line;
    StoredRow row;
    fill(row.number, field_of(rest));
    fill(row.account, field_of(rest));
    fill(row.cents, field_of(rest));
    field_of(rest).copy(row.purpose, sizeof(row.purpose));
    note_read(row, rows);
  }
}

}  // namespace

std::vector<SourceRuns> csv_runs(bool quick) {
  const auto file = std::make_shared<RowsFile>("csv", "number,account,cents,purpose\n", &csv_line);
  const std::uint64_t rows = quick ? 200'000 : 1'000'000;
  return {{"csv_source", "columns:4", rows, [file, rows] { file->written(rows); },
           [file, rows] { read_by_source(file->written(rows), rows); },
           [file, rows] { read_by_program(file->written(rows), rows); }}};
}

}  // namespace sluice::bench
