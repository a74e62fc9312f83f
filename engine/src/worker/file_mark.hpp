// SPDX-License-Identifier: Apache-2.0
// File marks: what tells a file that is written through all lives of a pipeline from another of the same inode, by what
// was written into it first. Not the number of its file system: where that is drawn at each mount (btrfs, overlayfs, NFS)
// it is another one after a boot.
//
// Used by AppendFile and the files of dead letters, which keep a mark beside the committed length and the inode.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::detail {

// Of a file without a byte.
inline constexpr std::uint64_t kEmptyFileMark = 0xcbf29ce484222325;

// The mark of a file of `length_bytes` once `text` stands behind them: of its first `marked_bytes` at most. Pure.
std::uint64_t mark_with(std::uint64_t mark, std::uint64_t length_bytes, std::string_view text,
                        std::uint64_t marked_bytes) noexcept;

// Of the first `bytes` of an open file, which may be open for writing only. None if they cannot be read, since nobody may
// or since there are fewer.
std::optional<std::uint64_t> mark_of(int file, std::uint64_t bytes) noexcept;

}  // namespace sluice::detail
