// SPDX-License-Identifier: Apache-2.0
// CSV as events: a source of files, each of which begins with a row of names. Fields<T> (fields.hpp) says which columns make a T;
// others are passed over, in any order, and files may differ in that.
//
//     auto trades = pipeline.source<sluice::CsvSource<Trade>>("read", {.workers = 2},
//                                                             sluice::FileSourceOptions{.paths = {"/data/day"}}, kTrade);
//
// Rows as RFC 4180 has them: fields between commas, in double quotes if they hold commas, newlines or quotes, a quote
// doubled; a carriage return before the newline is no part of the row. An empty field that is not quoted is missing. A row that
// makes no T is reported (Worker::report) with its file, line and reason, and left out; so is a file whose names lack a
// column that is required. A quote in the midst of a field is a fault of its row alone; a quoted field that is not closed takes the
// lines along up to the next quote, and the report says how many. A row of more than `max_line_bytes` is left out up to its end,
// with the newlines within its quotes; a field that is not closed within sixteen times as much ends at the next newline. Each row
// is an event exactly once, as with FileSource, which says what becomes of files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/connect/fields.hpp>
#include <sluice/connect/file_source.hpp>

namespace sluice {

namespace detail {

// One thread uses it.
class CsvReader {
 public:
  explicit CsvReader(std::vector<NamedField> fields) : fields_{std::move(fields)} {}

  // The first row of a file. What is wrong with it; empty when nothing is.
  std::string read_names(std::string_view row);
  // Whether a line is none of the rows: it is empty, and rows have several columns.
  bool is_blank(std::string_view row) const noexcept;
  // Another row: fills `object`, which holds defaults before. What is wrong with it; empty when nothing is.
  std::string read(std::string_view row, std::byte* object);

 private:
  struct Value {
    std::string text;
    bool quoted = false;
  };

  std::string split(std::string_view row);

  std::vector<NamedField> fields_;
  std::vector<std::size_t> column_of_;  // For each field; kNoColumn when the file has none.
  std::size_t columns_ = 0;
  std::vector<Value> values_;  // Of the last row; the first `found_` count.
  std::size_t found_ = 0;
};

}  // namespace detail

// The files of `options`, whose `header` is taken for true.
template <class T>
class CsvSource {
 public:
  // Throws Error as FileSource does.
  CsvSource(Worker& worker, FileSourceOptions options, const Fields<T>& fields)
      : files_{worker, with_header(std::move(options)), true}, reader_{fields.named()} {}

  SourceState operator()(Output<T>& out) {
    Rows rows{reader_, out};
    return files_.read(rows);
  }

 private:
  struct Rows final : detail::LineTaker {
    Rows(detail::CsvReader& of, Output<T>& output) : reader{of}, out{output} {}
    std::string begin_file(std::string_view header, bool whole) override {
      return whole ? reader.read_names(header) : "its first row is longer than max_line_bytes";
    }
    std::string take(const FileLineHead&, std::string_view line) override {
      if (reader.is_blank(line)) return {};
      T row{};
      std::string fault = reader.read(line, reinterpret_cast<std::byte*>(&row));
      if (fault.empty()) out.push(row);
      return fault;
    }
    detail::CsvReader& reader;
    Output<T>& out;
  };

  static FileSourceOptions with_header(FileSourceOptions options) {
    options.header = true;
    return options;
  }

  detail::FileLines files_;
  detail::CsvReader reader_;
};

}  // namespace sluice
