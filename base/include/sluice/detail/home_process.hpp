// SPDX-License-Identifier: Apache-2.0
// HomeProcess: remembers in which process it was made. A fork takes a copy of everything along, and what acts
// on other processes must not act from the copy.
//
// To ask costs a load: the kernel clears the page behind it in every child (MADV_WIPEONFORK). Where that
// cannot be had the process's number is asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/types.h>

namespace sluice::detail {

class HomeProcess {
 public:
  HomeProcess() noexcept;
  ~HomeProcess();
  HomeProcess(const HomeProcess&) = delete;
  HomeProcess& operator=(const HomeProcess&) = delete;

  // This is the process that made it. Any thread.
  bool here() const noexcept { return page_ != nullptr ? *page_ != 0 : asked(); }
  pid_t pid() const noexcept { return pid_; }

 private:
  bool asked() const noexcept;

  const volatile std::uint32_t* page_ = nullptr;
  std::size_t page_bytes_ = 0;
  pid_t pid_;
};

}  // namespace sluice::detail
