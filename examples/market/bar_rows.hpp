// SPDX-License-Identifier: Apache-2.0
// Makes one row of the parts of a bar: a bar that made way before its second's last trade came is told in
// parts (trade_bars.hpp).
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace market {

// `rows` are rows of bars, sorted: key, separator and text, as RowText makes them. Rows of one instrument and
// second, which stand side by side in the order in which they were told, become one. `made` owns the new rows
// and must outlive the result. Throws sluice::Error for a row that is none.
std::vector<std::string_view> merge_bars(std::vector<std::string_view> rows, std::deque<std::string>& made);

}  // namespace market
