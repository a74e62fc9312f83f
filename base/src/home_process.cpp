// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/home_process.hpp"

#include <sys/mman.h>
#include <unistd.h>

namespace sluice::detail {

HomeProcess::HomeProcess() noexcept
    : page_bytes_{static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))}, pid_{::getpid()} {
  void* page = ::mmap(nullptr, page_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  // Since Linux 4.14.
  if (::madvise(page, page_bytes_, MADV_WIPEONFORK) != 0) {
    ::munmap(page, page_bytes_);
    return;
  }
  auto* word = static_cast<std::uint32_t*>(page);
  *word = 1;
  page_ = word;
}

HomeProcess::~HomeProcess() {
  if (page_ != nullptr) ::munmap(const_cast<std::uint32_t*>(page_), page_bytes_);
}

bool HomeProcess::asked() const noexcept {
  return ::getpid() == pid_;
}

}  // namespace sluice::detail
