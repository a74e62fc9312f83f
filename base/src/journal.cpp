// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/journal.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::detail {

// Source: systemd.exec(5), $JOURNAL_STREAM: device and inode of what the journal reads.
bool is_journal(int descriptor) noexcept {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  unsigned long long device = 0;
  unsigned long long inode = 0;
  return stream != nullptr && std::sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
         ::fstat(descriptor, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

// Source: sd-daemon(3): a line may begin with its priority in angle brackets.
void say(Priority priority, std::string_view lines) {
  std::string all;
  const bool journal = is_journal(STDERR_FILENO);
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size() - 1) + 1;
    if (journal) all.append({'<', static_cast<char>(priority), '>'});
    all.append(lines.substr(0, end));
    lines.remove_prefix(end);
  }
  std::fwrite(all.data(), 1, all.size(), stderr);
}

}  // namespace sluice::detail
