// SPDX-License-Identifier: Apache-2.0
// Larger tables: a worker's state is copied with more rows for its tables. Used by the host when a pipeline with a named
// segment is started again with a larger table.rows, before any worker lives. No type of a key is needed: the index of a
// table has the hashes of its keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sluice::detail {

// Copies the state `from`, which has been recovered, to `to`, which holds zeros, and gives each table `rows` rows. Throws
// Error: a table has more rows than that, `to` is too small, or `from` is corrupt. `stage` is for its text.
void copy_with_larger_tables(std::span<const std::byte> from, std::span<std::byte> to, std::uint64_t rows,
                             const std::string& stage);

}  // namespace sluice::detail
