// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/csv.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>

namespace sluice::detail {
namespace {

constexpr std::size_t kNoColumn = static_cast<std::size_t>(-1);
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

// Fills values_; what is wrong with the row, or nothing.
std::string CsvReader::split(std::string_view row) {
  if (row.ends_with('\r')) row.remove_suffix(1);
  found_ = 0;
  while (true) {  // Every turn is a field; the one that no comma follows is the last.
    if (found_ == values_.size()) values_.emplace_back();
    Value& value = values_[found_++];
    value.text.clear();
    value.quoted = row.starts_with('"');
    if (!value.quoted) {
      const std::size_t comma = row.find(',');
      value.text = row.substr(0, comma);
      if (value.text.find('"') != std::string::npos)
        return fmt::format("column {}: a quote within a field", found_);
      if (value.text.find('\r') != std::string::npos)
        return fmt::format("column {}: a carriage return within a field", found_);
      if (comma == std::string_view::npos) return {};
      row.remove_prefix(comma + 1);
      continue;
    }
    row.remove_prefix(1);
    for (std::size_t quote = row.find('"');; quote = row.find('"')) {
      if (quote == std::string_view::npos) return fmt::format("column {}: a quote that does not end", found_);
      value.text.append(row.substr(0, quote));
      row.remove_prefix(quote + 1);
      if (!row.starts_with('"')) break;
      value.text += '"';
      row.remove_prefix(1);
    }
    if (row.empty()) return {};
    if (!row.starts_with(',')) return fmt::format("column {}: something behind its quotes", found_);
    row.remove_prefix(1);
  }
}

std::string CsvReader::read_names(std::string_view row) {
  if (row.starts_with(kByteOrderMark)) row.remove_prefix(kByteOrderMark.size());
  if (std::string fault = split(row); !fault.empty()) return "its first row: " + fault;
  columns_ = found_;
  column_of_.assign(fields_.size(), kNoColumn);
  const auto names = values_.begin();
  const auto end = names + static_cast<std::ptrdiff_t>(found_);
  for (std::size_t field = 0; field < fields_.size(); ++field) {
    const auto is_it = [&](const Value& name) { return name.text == fields_[field].name; };
    const auto column = std::find_if(names, end, is_it);
    if (column == end && fields_[field].required)
      return fmt::format("it has no column {}", fields_[field].name);
    if (column == end) continue;
    if (std::find_if(column + 1, end, is_it) != end)
      return fmt::format("it has two columns {}", fields_[field].name);
    column_of_[field] = static_cast<std::size_t>(column - names);
  }
  return {};
}

bool CsvReader::is_blank(std::string_view row) const noexcept {
  return columns_ > 1 && (row.empty() || row == "\r");
}

std::string CsvReader::read(std::string_view row, std::byte* object) {
  if (std::string fault = split(row); !fault.empty()) return fault;
  if (found_ != columns_)
    return fmt::format("{}, and the first row has {}", detail::counted(found_, "column"), columns_);
  for (std::size_t field = 0; field < fields_.size(); ++field) {
    const std::size_t column = column_of_[field];
    const bool missing = column == kNoColumn || (values_[column].text.empty() && !values_[column].quoted);
    if (missing && fields_[field].required) return fmt::format("{}: it is missing", fields_[field].name);
    if (missing) continue;
    if (const std::string fault = store_text(fields_[field].place, values_[column].text, object);
        !fault.empty())
      return fmt::format("{}: {}", fields_[field].name, fault);
  }
  return {};
}

}  // namespace sluice::detail
