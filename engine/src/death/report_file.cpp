// SPDX-License-Identifier: Apache-2.0
#include "death/report_file.hpp"

#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <sluice/detail/own_directory.hpp>

namespace sluice::detail {
namespace {

bool is_full(int fd, std::uint64_t most_bytes) noexcept {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && static_cast<std::uint64_t>(status.st_size) >= most_bytes;
}

// Of several that find the file full one moves it; the others find that done.
Descriptor open_with_room(const OwnDirectory& directory, const std::string& name, std::uint64_t most_bytes) {
  Descriptor file = directory.open_file(name, O_APPEND);
  if (!is_full(file.get(), most_bytes)) return file;
  // A lock of its own: closed with this descriptor, and with the process.
  const Descriptor lock{::openat(directory.descriptor(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  ::flock(lock.get(), LOCK_EX);
  file = directory.open_file(name, O_APPEND);
  if (!is_full(file.get(), most_bytes)) return file;
  const std::string old = name + ".1";
  ::renameat(directory.descriptor(), name.c_str(), directory.descriptor(), old.c_str());
  return directory.open_file(name, O_APPEND);
}

}  // namespace

bool append_report(const std::string& path, std::string_view fields, std::string_view more,
                   std::uint64_t most_bytes) noexcept {
  try {
    const std::filesystem::path file{path};
    const OwnDirectory directory{file.parent_path()};
    const Descriptor to = open_with_room(directory, file.filename().string(), most_bytes);
    const auto part = [](std::string_view text) {
      return iovec{const_cast<char*>(text.data()), text.size()};
    };
    const bool both = !fields.empty() && !more.empty();
    const iovec parts[] = {part("{"), part(fields), part(both ? "," : ""), part(more), part("}\n")};
    const ssize_t written = ::writev(to.get(), parts, static_cast<int>(std::size(parts)));
    return written == static_cast<ssize_t>(3 + fields.size() + more.size() + (both ? 1 : 0));
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace sluice::detail
