// SPDX-License-Identifier: Apache-2.0
#include "new_file.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::command {
namespace {

constexpr mode_t kForThisUser = S_IRUSR | S_IWUSR;

std::string nameless(int descriptor) {
  return fmt::format("/proc/self/fd/{}", descriptor);
}

}  // namespace

NewFile::NewFile(std::filesystem::path file, std::string what)
    : file_{std::move(file)}, what_{std::move(what)} {
  // Told before anything is done for it; publish() sees one that comes later.
  struct stat there {};
  if (::lstat(file_.c_str(), &there) == 0) {
    errno = EEXIST;
    refuse_to_make(file_);
  }
  const std::filesystem::path directory = file_.has_parent_path() ? file_.parent_path() : ".";
  open_ = detail::Descriptor{::open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kForThisUser)};
  // Without /proc it could not be named.
  if (open_ && ::access(nameless(open_.get()).c_str(), F_OK) == 0) return;
  part_ = file_.string() + ".part";
  open_ = detail::Descriptor{
      ::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kForThisUser)};
  if (!open_) refuse_to_make(part_);
}

NewFile::~NewFile() {
  if (open_ && !part_.empty()) ::unlink(part_.c_str());
}

void NewFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(open_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      throw Error{{"write " + what_ + " into", printable(file_.string()), errno_text(),
                   "make room on its file system"}};
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void NewFile::publish() {
  if (!give_name()) refuse_to_make(file_);
  open_.reset();
}

bool NewFile::give_name() const noexcept {
  if (part_.empty()) {
    return ::linkat(AT_FDCWD, nameless(open_.get()).c_str(), AT_FDCWD, file_.c_str(), AT_SYMLINK_FOLLOW) == 0;
  }
  if (::renameat2(AT_FDCWD, part_.c_str(), AT_FDCWD, file_.c_str(), RENAME_NOREPLACE) == 0) return true;
  // A file system that cannot promise that, such as NFS, has links.
  if (errno != EINVAL || ::link(part_.c_str(), file_.c_str()) != 0) return false;
  ::unlink(part_.c_str());
  return true;
}

void NewFile::refuse_to_make(const std::filesystem::path& file) const {
  throw Error{
      {"make the file", printable(file.string()), errno_text(),
       errno == EEXIST ? "name one that is not there yet" : "name one in a directory that can be written"}};
}

}  // namespace sluice::command
