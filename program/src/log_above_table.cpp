// SPDX-License-Identifier: Apache-2.0
#include "log_above_table.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {

LogAboveTable::LogAboveTable() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    const int reason = errno;
    throw Error{{"create", "a pipe for the log", errno_text(), remedy_for_call(reason, "pipe2")}};
  }
  reading_ = Descriptor{ends[0]};
  writing_ = Descriptor{ends[1]};
  ::fcntl(reading_.get(), F_SETFL, O_NONBLOCK);
}

void LogAboveTable::show(const std::function<void()>& clear) {
  std::array<char, 4096> bytes;
  bool cleared = false;
  for (ssize_t got = 0; (got = ::read(reading_.get(), bytes.data(), bytes.size())) > 0;) {
    if (!cleared) clear();
    cleared = true;
    std::fwrite(bytes.data(), 1, static_cast<std::size_t>(got), stderr);
  }
}

}  // namespace sluice::detail
