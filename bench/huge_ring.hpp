// SPDX-License-Identifier: Apache-2.0
// A ring in 2 MiB pages, mapped twice in a row as a segment does it in plain ones: to see what they would
// change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <linux/memfd.h>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

namespace sluice::bench {

class HugeRing {
 public:
  static constexpr std::size_t kPageBytes = std::size_t{2} << 20;

  // Throws std::runtime_error where the kernel has no such pages to give.
  explicit HugeRing(std::size_t bytes) : bytes_{(bytes + kPageBytes - 1) / kPageBytes * kPageBytes} {
    const int memory = ::memfd_create("bench", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
    if (memory != -1 && ::ftruncate(memory, static_cast<off_t>(bytes_)) == 0) map_twice(memory);
    if (memory != -1) ::close(memory);
    if (!mapped_) {
      unmap();
      throw std::runtime_error{"no pages of 2 MiB to have: vm.nr_hugepages = 8 would give them"};
    }
    std::memset(data(), 1, bytes_);
  }
  ~HugeRing() { unmap(); }
  HugeRing(const HugeRing&) = delete;
  HugeRing& operator=(const HugeRing&) = delete;

  std::byte* data() const noexcept { return start_; }
  std::size_t size() const noexcept { return bytes_; }

 private:
  void map_twice(int memory) noexcept {
    reserved_ = ::mmap(nullptr, 2 * bytes_ + kPageBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reserved_ == MAP_FAILED) return;
    const auto address = reinterpret_cast<std::uintptr_t>(reserved_);
    start_ = static_cast<std::byte*>(reserved_) + (kPageBytes - address % kPageBytes) % kPageBytes;
    mapped_ = true;
    for (std::size_t i = 0; i < 2; ++i) {
      mapped_ &= ::mmap(start_ + i * bytes_, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory,
                        0) != MAP_FAILED;
    }
  }
  void unmap() noexcept {
    if (reserved_ != MAP_FAILED) ::munmap(reserved_, 2 * bytes_ + kPageBytes);
  }

  std::size_t bytes_;
  void* reserved_ = MAP_FAILED;
  std::byte* start_ = nullptr;
  bool mapped_ = false;
};

}  // namespace sluice::bench
