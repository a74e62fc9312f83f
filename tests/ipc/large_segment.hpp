// SPDX-License-Identifier: Apache-2.0
// What the tests of the pages behind a segment share: one with large pieces, ways to see what it holds and what the kernel
// says of it, and a filter of system calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <span>
#include <sstream>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <sluice/ipc/segment.hpp>

namespace sluice::ipc::test {

inline constexpr std::size_t kMib = std::size_t{1} << 20U;
inline constexpr std::size_t kHuge = kHugePageBytes[kTwoMib];
inline constexpr HugePages kRequired{{kHuge, 0}, {true, false}};
inline constexpr HugePages kWelcome{{kHuge, 0}, {}};

// One page of control and 5 MiB of state, a large and a small ring; a neighbour.
inline const std::array kLarge{RegionSpec{5 * kMib + 4096, {4 * kMib, 65536}, 4096},
                               RegionSpec{4096, {}, 4096}};

// From now on this process gets `error` for that call with that argument.
inline bool deny(long call, unsigned argument, std::uint32_t value, int error) {
  const auto at = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t));
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// What smaps says of all mappings of a segment together, in KiB.
inline std::size_t kib_of(const std::string& segment, const std::string& key) {
  std::ifstream file{"/proc/self/smaps"};
  bool inside = false;
  std::size_t sum = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words{line};
    std::string first;
    std::size_t kib = 0;
    words >> first >> kib;
    if (first.back() != ':') inside = line.find("sluice:" + segment) != std::string::npos;
    if (inside && first == key) sum += kib;
  }
  return sum;
}

// Another byte at each address, so that what is mapped in the wrong place shows.
inline void fill(std::span<std::byte> bytes, unsigned seed) {
  for (std::size_t at = 0; at < bytes.size(); at += 512)
    bytes[at] = static_cast<std::byte>((at / 512 * 31 + seed) % 251);
}

inline bool is_filled(std::span<const std::byte> bytes, unsigned seed) {
  for (std::size_t at = 0; at < bytes.size(); at += 512) {
    if (bytes[at] != static_cast<std::byte>((at / 512 * 31 + seed) % 251)) return false;
  }
  return true;
}

inline void fill(const Segment& segment) {
  fill(segment.plain(0), 1);
  for (const std::size_t ring : {0U, 1U})
    fill({segment.ring(0, ring).data, segment.ring(0, ring).capacity_bytes}, 2 + static_cast<unsigned>(ring));
}

inline bool is_filled(const Segment& segment) {
  bool right = is_filled(segment.plain(0), 1);
  for (const std::size_t ring : {0U, 1U}) {
    const RingView view = segment.ring(0, ring);
    const unsigned seed = 2 + static_cast<unsigned>(ring);
    right = right && is_filled({view.data, view.capacity_bytes}, seed) &&
            is_filled({view.data + view.capacity_bytes, view.capacity_bytes}, seed);
  }
  return right;
}

}  // namespace sluice::ipc::test
