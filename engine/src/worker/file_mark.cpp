// SPDX-License-Identifier: Apache-2.0
#include "worker/file_mark.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

// FNV-1a, as http://www.isthe.com/chongo/tech/comp/fnv/ has it.
std::uint64_t mark_with(std::uint64_t mark, std::uint64_t length_bytes, std::string_view text,
                        std::uint64_t marked_bytes) noexcept {
  constexpr std::uint64_t kPrime = 0x100000001b3;
  if (length_bytes >= marked_bytes) return mark;
  for (const char byte : text.substr(0, marked_bytes - length_bytes))
    mark = (mark ^ static_cast<unsigned char>(byte)) * kPrime;
  return mark;
}

std::optional<std::uint64_t> mark_of(int file, std::uint64_t bytes) noexcept {
  const Descriptor readable{::open(fmt::format("/proc/self/fd/{}", file).c_str(), O_RDONLY | O_CLOEXEC)};
  if (!readable) return std::nullopt;
  std::array<char, 256> part{};
  std::uint64_t mark = kEmptyFileMark;
  for (std::uint64_t done = 0; done < bytes;) {
    const std::size_t most = std::min<std::uint64_t>(part.size(), bytes - done);
    const ssize_t got = ::pread(readable.get(), part.data(), most, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    mark = mark_with(mark, done, {part.data(), static_cast<std::size_t>(got)}, bytes);
    done += static_cast<std::uint64_t>(got);
  }
  return mark;
}

}  // namespace sluice::detail
