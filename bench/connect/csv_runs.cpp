// SPDX-License-Identifier: Apache-2.0
// CSV: CsvSource beside a program that takes the same rows apart at their commas. Both fill a StoredRow; the program knows neither
// quotes nor the names of columns, and says of no row what is wrong with it.
#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <string>

#include <sluice/connect/csv.hpp>
#include <sluice/sluice.hpp>

#include "guarded_directory.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

class CsvRun {
 public:
  std::string written(std::uint64_t rows) const {
    std::string path = directory_.path() / "rows.csv";
    if (std::filesystem::exists(path)) return path;
    std::ofstream file{path};
    file << "number,account,cents,purpose\n";
    for (std::uint64_t number = 0; number < rows; ++number) {
      const StoredRow row = stored_row(number);
      file << row.number << ',' << row.account << ',' << row.cents << ',' << row.purpose << '\n';
    }
    return path;
  }

 private:
  GuardedDirectory directory_{"csv"};
};

void read_by_source(const std::string& path, std::uint64_t rows) {
  Pipeline pipeline{"bench"};
  pipeline.source<CsvSource<StoredRow>>("read", FileSourceOptions{.paths = {path}}, stored_fields())
      .to<CountRow>("count", rows);
  Settings settings;
  settings.set("observe.socket", "off");
  Engine engine{pipeline, settings};
  engine.start();
  engine.wait();
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
  const auto run = std::make_shared<CsvRun>();
  const std::uint64_t rows = quick ? 200'000 : 1'000'000;
  return {{"csv_source", "columns:4", rows, [run, rows] { run->written(rows); },
           [run, rows] { read_by_source(run->written(rows), rows); },
           [run, rows] { read_by_program(run->written(rows), rows); }}};
}

}  // namespace sluice::bench
