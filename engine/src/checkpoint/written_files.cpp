// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/written_files.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {

namespace {

// Otherwise the call failed before anything was written.
bool was_tried(int reason) noexcept {
  return reason != EPERM && reason != EACCES && reason != ENOSYS && reason != EINTR && reason != ENOMEM;
}

}  // namespace

// Whether it could be looked at.
bool WrittenFiles::look_at(pid_t worker) {
  if (worker == 0) return false;
  std::error_code error;
  for (std::filesystem::directory_iterator at{fmt::format("/proc/{}/fd", worker), error}, end;
       !error && at != end; at.increment(error)) {
    // The permissions of the link are how the file is open.
    struct stat link {};
    struct stat file {};
    const char* path = at->path().c_str();
    if (::lstat(path, &link) != 0 || (link.st_mode & S_IWUSR) == 0) continue;
    if (::stat(path, &file) != 0 || !S_ISREG(file.st_mode) || open_.contains(file.st_dev)) continue;
    Descriptor open{::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!open) return false;
    open_.emplace(file.st_dev, std::move(open));
  }
  return !error;
}

void WrittenFiles::bring_to_disk(const std::vector<pid_t>& workers) {
  bool seen_all = true;
  for (const pid_t worker : workers)
    seen_all = look_at(worker) && seen_all;
  if (!seen_all) ::sync();
  for (const auto& [device, file] : open_) {
    if (::syncfs(file.get()) == 0) continue;
    if (!was_tried(errno)) {
      throw Error{{"bring to the disk", "what the workers have written into files", errno_text(),
                   "look at that disk, or set checkpoint.sync=no"}};
    }
    if (lost_ == 0) lost_ = errno;
  }
  if (lost_ == 0) return;
  throw Error{
      {"bring to the disk", "what the workers have written into files",
       fmt::format("{}: a part of it may be missing there", errno_text(lost_)),
       "look at that disk, then stop the pipeline and start it again from its last checkpoint, without "
       "the file of segment.path: what is behind it is written anew"}};
}

}  // namespace sluice::detail
