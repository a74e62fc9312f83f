// SPDX-License-Identifier: Apache-2.0
#include "read_files.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>

#include <fmt/format.h>

#include <sluice/connect/file_source.hpp>
#include <sluice/detail/counted.hpp>
#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

namespace {

constexpr std::uint64_t kEndBytes = 64;
constexpr std::size_t kForgottenAtOnce = 1024;  // The undo log has a note of each.

Descriptor open_to_look(const std::string& path) {
  Descriptor opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!opened) throw_if_away(errno, path);
  return opened;
}

}  // namespace

FileId id_in(std::uint64_t place, const FileThere& file) {
  const std::uint64_t elsewhere = file.link ? file.status.device : 0;
  return {file.status.inode, place ^ (elsewhere * 0x9e3779b97f4a7c15)};
}

ReadFiles::ReadFiles(Worker& worker, std::uint64_t rows)
    : worker_{worker}, files_{worker.table<FileId, Mark>("done", rows)} {}

bool ReadFiles::knows(const FileId& id, const FileThere& file) {
  const Mark* const mark = files_.find(id);
  if (mark == nullptr) return false;
  const FileStatus& status = file.status;
  // The number of one that is gone is given to another.
  if (mark->born_ns != 0 && status.born_ns != 0 && mark->born_ns != status.born_ns) return false;
  if (mark->bytes == status.size_bytes && mark->written_ns == status.written_ns) return true;
  // Of one that was empty nothing was read.
  if (mark->bytes == 0 || status.size_bytes < mark->bytes) return false;
  const Descriptor opened = open_to_look(file.path);
  if (!opened || !stands_in(opened.get(), *mark)) return false;
  if (status.size_bytes > mark->bytes) {
    worker_.report(fmt::format("{} has grown by {} since it was done with: that is not read", file.path,
                               detail::counted(status.size_bytes - mark->bytes, "byte")));
  }
  note(id, opened.get(), status, status.size_bytes);
  return true;
}

bool ReadFiles::has_place(std::uint64_t place) const {
  bool found = false;
  files_.for_each([&](const FileId& id, const Mark&) { found = found || id.place == place; });
  return found;
}

bool ReadFiles::stands_in(int file, const Mark& mark) {
  return head_of(file, mark.head_bytes) == mark.head &&
         key_of_bytes(file, mark.bytes - mark.end_bytes, mark.end_bytes) == mark.end;
}

bool ReadFiles::knows_text(const FileThere& file, TextOfFile& text) const {
  bool known = false;
  std::uint64_t hashed_bytes = 0;
  std::uint64_t hash = 0;
  files_.for_each([&](const FileId& id, const Mark& mark) {
    if (known || id.inode == 0 || mark.head_bytes == 0 || mark.head_bytes > text.head().size()) return;
    if (mark.head_bytes != hashed_bytes) {
      hashed_bytes = mark.head_bytes;
      hash = file_key(text.head().substr(0, hashed_bytes));
    }
    if (hash != mark.head) return;
    if (!text.has_bytes(mark.bytes)) return;
    const Descriptor opened = open_to_look(file.path);
    known = text.compressed() || (opened && stands_in(opened.get(), mark));
  });
  return known;
}

void ReadFiles::note(const FileId& id, const FileThere& file) {
  const Descriptor opened = open_to_look(file.path);
  note(id, opened.get(), file.status, file.status.size_bytes);
}

void ReadFiles::note(const FileId& id, int file, const FileStatus& status, std::uint64_t bytes) {
  Mark mark{};
  mark.bytes = std::min(bytes, status.size_bytes);
  mark.written_ns = status.written_ns;
  mark.born_ns = status.born_ns;
  mark.head_bytes = std::min(mark.bytes, kHeadBytes);
  mark.end_bytes = std::min(mark.bytes, kEndBytes);
  mark.head = head_of(file, mark.head_bytes).value_or(0);
  mark.end = key_of_bytes(file, mark.bytes - mark.end_bytes, mark.end_bytes).value_or(0);
  keep_apart(id, mark);
  files_[id] = mark;
}

// The number of one that is gone was given to this one. What was read of that one may stand in a compressed file that no look has
// found yet: it stays known, under a number of nobody's.
void ReadFiles::keep_apart(const FileId& id, const Mark& mark) {
  const Mark* const former = files_.find(id);
  if (former == nullptr || former->head_bytes == 0 || !has_room()) return;
  const bool born_apart = former->born_ns != 0 && mark.born_ns != 0 && former->born_ns != mark.born_ns;
  if (!born_apart && (former->head_bytes != mark.head_bytes || former->head == mark.head)) return;
  const Mark kept = *former;
  files_[{id.inode, id.place ^ kept.head}] = kept;
}

void ReadFiles::forget_all_but(std::vector<FileId> there) {
  const auto less = [](const FileId& one, const FileId& other) {
    return one.inode != other.inode ? one.inode < other.inode : one.place < other.place;
  };
  std::sort(there.begin(), there.end(), less);
  std::vector<FileId> gone;
  files_.for_each([&](const FileId& id, const Mark&) {
    if (id.inode != 0 && gone.size() < kForgottenAtOnce &&
        !std::binary_search(there.begin(), there.end(), id, less))
      gone.push_back(id);
  });
  for (const FileId& id : gone)
    files_.erase(id);
}

}  // namespace sluice::detail
