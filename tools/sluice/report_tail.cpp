// SPDX-License-Identifier: Apache-2.0
#include "report_tail.hpp"

#include <algorithm>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/printable.hpp>

namespace sluice::command {
namespace {

// A link, or what another user made, leads elsewhere; but to root, who looks at it for the user whose pipeline it is.
bool is_own_file(const struct stat& status) {
  return S_ISREG(status.st_mode) && (status.st_uid == ::geteuid() || ::geteuid() == 0);
}

}  // namespace

std::vector<std::string> ReportTail::lines() {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0 || !is_own_file(status)) return {};
  const bool known = status.st_dev == device_ && status.st_ino == inode_;
  if (known && status.st_size == read_) return {};
  const detail::Descriptor file{::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  if (!file || ::fstat(file.get(), &status) != 0 || !is_own_file(status)) return {};
  off_t from = status.st_dev == device_ && status.st_ino == inode_ && status.st_size >= read_ ? read_ : 0;
  device_ = status.st_dev;
  inode_ = status.st_ino;
  const bool skips = status.st_size - from > kMostBytes;
  if (skips) from = status.st_size - kMostBytes;
  std::string text(static_cast<std::size_t>(status.st_size - from), '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), from);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  // What is being written at this moment is for the next call.
  const std::size_t whole = text.rfind('\n');
  if (whole == std::string::npos) {
    read_ = skips ? status.st_size : from;
    return {};
  }
  read_ = from + static_cast<off_t>(whole) + 1;
  std::string_view rest = std::string_view{text}.substr(0, whole + 1);
  if (skips) rest.remove_prefix(rest.find('\n') + 1);
  std::vector<std::string> found;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    found.emplace_back(cut_text(rest.substr(0, end), kMostLineBytes));
    rest.remove_prefix(end + 1);
  }
  return found;
}

}  // namespace sluice::command
