// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/table_index.hpp"

#include <array>
#include <span>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

std::uint64_t checked(const StateArea& area, std::string_view name, std::uint64_t rows) {
  if (rows <= kMostTableRows) return rows;
  throw Error{{"make the table", fmt::format("'{}' of stage {}", name, area.stage()),
               fmt::format("{} rows are more than {}, the most that a table can have", rows, kMostTableRows),
               "keep the rows in several tables or workers"}};
}

}  // namespace

TableIndex::TableIndex(StateArea& area, std::string_view name, std::uint64_t rows, std::size_t row_bytes,
                       std::string type)
    : area_{&area}, name_{name}, rows_{checked(area, name, rows)}, mask_{table_slots(rows_) - 1} {
  const TableHeader fresh{0, 0, 0, rows_, row_bytes, {}};
  header_ = reinterpret_cast<TableHeader*>(area.claim(
      name, table_bytes(rows_, row_bytes), std::as_bytes(std::span{&fresh, 1}), {std::move(type), rows_}));
  entries_ = reinterpret_cast<std::uint64_t*>(header_ + 1);
  area.claimed_table(rows_, row_bytes);
  if (header_->rows != rows_ || header_->row_bytes != row_bytes || header_->size > header_->fresh ||
      header_->fresh > rows_ || header_->first_free > header_->fresh) {
    corrupt();
  }
}

}  // namespace sluice::detail
