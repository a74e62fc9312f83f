// SPDX-License-Identifier: Apache-2.0
// JSON: FromJson behind a FileSource beside a program that reads the same objects with simdjson from std::getline; and JsonReader in
// that program, for what Fields costs alone. All fill a StoredRow. The program asks simdjson for four members by their
// names, and for nothing else: it does not look whether the rest of an object is sound.
#include <fstream>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <simdjson.h>

#include <sluice/connect/file_source.hpp>
#include <sluice/connect/json.hpp>
#include <sluice/sluice.hpp>

#include "rows_file.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

std::string json_line(const StoredRow& row) {
  return fmt::format(R"({{"number":{},"account":{},"cents":{},"purpose":"{}"}})", row.number, row.account,
                     row.cents, row.purpose) +
         "\n";
}

void read_by_stages(const std::string& path, std::uint64_t rows) {
  Pipeline pipeline{"bench"};
  pipeline.source<FileSource>("read", FileSourceOptions{.paths = {path}})
      .to<FromJson<StoredRow, FileRecord>>("parse", stored_fields())
      .to<CountRow>("count", rows);
  run_to_its_end(pipeline);
}

void read_by_reader(const std::string& path, std::uint64_t rows) {
  JsonReader<StoredRow> reader{stored_fields()};
  std::ifstream file{path};
  StoredRow row;
  for (std::string line; std::getline(file, line);) {
    if (reader.read(line, row)) note_read(row, rows);
  }
}

void read_by_simdjson(const std::string& path, std::uint64_t rows) {
  simdjson::ondemand::parser parser;
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    line.reserve(line.size() + simdjson::SIMDJSON_PADDING);
    simdjson::ondemand::document document = parser.iterate(line);
    StoredRow row;
    row.number = document["number"].get_uint64();
    row.account = static_cast<std::uint32_t>(std::uint64_t{document["account"].get_uint64()});
    row.cents = static_cast<std::int32_t>(std::int64_t{document["cents"].get_int64()});
    const std::string_view purpose = document["purpose"].get_string();
    purpose.copy(row.purpose, sizeof(row.purpose));
    note_read(row, rows);
  }
}

}  // namespace

std::vector<SourceRuns> json_runs(bool quick) {
  const auto file = std::make_shared<RowsFile>("json", "", &json_line);
  const std::uint64_t rows = quick ? 200'000 : 1'000'000;
  const auto runs_of = [&](const std::string& group, void (*sluice)(const std::string&, std::uint64_t)) {
    return SourceRuns{group,
                      "members:4",
                      rows,
                      [file, rows] { file->written(rows); },
                      [file, rows, sluice] { sluice(file->written(rows), rows); },
                      [file, rows] { read_by_simdjson(file->written(rows), rows); }};
  };
  return {runs_of("from_json", &read_by_stages), runs_of("json_reader", &read_by_reader)};
}

}  // namespace sluice::bench
