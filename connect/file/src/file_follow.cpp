// SPDX-License-Identifier: Apache-2.0
// FileLines of a path that is followed: which file is read when it names another, and what is done when what was read
// no longer stands there.
#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include <sluice/connect/file_source.hpp>
#include <sluice/error.hpp>
#include <sluice/unavailable.hpp>

#include "files_there.hpp"
#include "read_files.hpp"
#include "rotated_files.hpp"

namespace sluice::detail {

namespace {

// That of the kernel's times of files: a file that is written later has no earlier one.
std::int64_t file_clock_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

// This worker's; none when it has none, or directories.
std::optional<std::string> FileLines::followed_path() const {
  if (!options_.follow) return std::nullopt;
  for (std::size_t index = 0; index < options_.paths.size(); ++index) {
    const auto status = status_of(options_.paths[index]);
    if (mine(index) && !(status && status->directory)) return options_.paths[index];
  }
  return std::nullopt;
}

std::vector<FileThere> FileLines::rotated(const std::string& path) {
  auto files = rotated_files(path);
  if (!files && following_->told == 0) {
    following_.edit(&Following::told) = 1;
    worker_.report(fmt::format(
        "the directory of {} cannot be read: files that come and go between two looks are not found", path));
  }
  return files ? *std::move(files) : std::vector<FileThere>{};
}

// Opens what is to be read next; false when there is nothing, or it is to be looked for again.
//
// The path is looked at, then what is beside it, then the path is opened. If it names the same file still, all that it has named
// before was beside it at the second look:
//
//     it names X | X's forerunners are all renamed | we look beside it | ... | it still names X
bool FileLines::follow(const std::string& path) {
  const bool looked_before = following_->since_ns != 0;
  if (!looked_before) begin_to_follow(path);
  const std::uint64_t place = file_key(path);
  for (int tries = 0; tries < kTries; ++tries) {
    const auto now = status_of(path);
    const auto rotated = next_rotated(path, now);
    // Once the first look is committed: what comes and goes before the next one is to be found.
    if (!rotated && !now && looked_before)
      throw Unavailable{fmt::format("{} is not there, and is followed once it is", path)};
    if (!rotated && (!now || now->inode == following_->left_out || is_done_with(path, *now))) return false;
    open(path, rotated ? rotated->path : path, place);
    const FileStatus& meant = rotated ? rotated->status : *now;
    if (reader_ != nullptr && is(meant, device_, position_->inode)) return true;
    forget_file();
  }
  return false;
}

// Whether what the path names now was read to an end that is one although the path names it still: that of a compressed file, to
// which nothing is appended, or of a damaged one.
bool FileLines::is_done_with(const std::string& path, const FileStatus& now) {
  const FileThere file{path, now};
  return read_->knows(id_in(file_key(path), file), file);
}

// What is beside the path before it is looked at for the first time is older than what it names.
void FileLines::begin_to_follow(const std::string& path) {
  following_.edit(&Following::since_ns) = file_clock_ns();
  const auto now = status_of(path);
  for (const FileThere& file : rotated(path)) {
    if (!now || !is(file.status, now->device, now->inode)) read_->note(id_in(file_key(path), file), file);
  }
}

// The oldest file that the path has named and that is not read: without the one that is read now, and the one that it names now.
// One that is renamed meanwhile may be it, and nothing that is younger comes before it: who opens it sees that, and looks again.
std::optional<FileThere> FileLines::next_rotated(const std::string& path,
                                                 const std::optional<FileStatus>& now) {
  const auto call = long_look();
  const std::vector<FileThere> files = rotated(path);
  const std::uint64_t place = file_key(path);
  if (!read_->has_room()) {
    std::vector<FileId> there(files.size());
    std::transform(files.begin(), files.end(), there.begin(),
                   [&](const FileThere& file) { return id_in(place, file); });
    if (now) there.push_back(id_in(place, {path, *now}));
    read_->forget_all_but(std::move(there));
  }
  for (const FileThere& file : files) {
    if (now && is(file.status, now->device, now->inode)) continue;
    if (position_->file != 0 && is(file.status, device_, position_->inode)) continue;
    if (is_to_be_read(id_in(place, file), file)) return file;
  }
  return std::nullopt;
}

bool FileLines::is_to_be_read(const FileId& id, const FileThere& file) {
  if (file.status.size_bytes == 0 || read_->knows(id, file)) return false;
  std::string why_not;
  bool was_read = false;
  if (is_of_unreadable_kind(file.path)) {
    why_not = "it is neither plain nor gzip nor zstd";
  } else {
    try {
      auto text = text_of(file);
      if (!text) return true;
      was_read = read_->knows_text(file, *text);
    } catch (const Error& error) {
      why_not = error.what();
    }
    if (!was_read && has_moved(file)) return true;
  }
  if (why_not.empty() && file.status.written_ns < following_->since_ns)
    why_not = "it is older than this source, and was not there when it began";
  if (!was_read && why_not.empty()) return true;
  if (!was_read) worker_.report(fmt::format("{}, which was rotated, was not read: {}", file.path, why_not));
  read_->note(id, file);
  return false;
}

// The file of the position, which an earlier process has read.
void FileLines::take_up_followed(const std::string& path) {
  // Nothing of it was read, so that it cannot be told from another that has its number by now: its turn is found anew.
  if (position_->reached.line == LinePosition{}) return forget_file();
  for (int tries = 0; tries < kTries; ++tries) {
    const std::string name = is_of_position(path) ? path : find_renamed(path);
    if (!name.empty()) return open(path, name, position_->place);
  }
  if (take_up_copy(path).empty()) lose();
}

// What holds all that was read, under another number: a compressed file, or the copy of one that was cut. It is read on there;
// its name, or empty when there is none.
std::string FileLines::take_up_copy(const std::string& path) {
  const auto call = long_look();
  bool moved = true;
  for (int tries = 0; moved && tries < kTries; ++tries) {
    moved = false;
    for (const FileThere& file : rotated(path)) {
      if (is_of_unreadable_kind(file.path) || read_->knows(id_in(position_->place, file), file)) continue;
      if (const auto text = text_if_copy(file)) return go_on_in_copy(path, file, *text);
      moved = moved || has_moved(file);
    }
  }
  return {};
}

std::string FileLines::go_on_in_copy(const std::string& path, const FileThere& file, const TextOfFile& text) {
  Position there = *position_;
  there.inode = file.status.inode;
  there.head_bytes = there.head = 0;
  there.compressed = text.compressed() ? 1 : 0;
  position_.set(there);
  access_point_.set({});
  open(path, file.path, there.place);
  return file.path;
}

std::optional<TextOfFile> FileLines::text_if_copy(const FileThere& file) const {
  const Reached& reached = position_->reached;
  if (position_->compressed != 0 || position_->head_bytes == 0 || reached.before_bytes == 0)
    return std::nullopt;
  try {
    std::optional<TextOfFile> text = text_of(file);
    if (!text) return std::nullopt;
    const std::string_view head = text->head().substr(0, position_->head_bytes);
    if (head.size() < position_->head_bytes || file_key(head) != position_->head) return std::nullopt;
    LineReader reader{file.path, {.access_point_every_bytes = 0}};
    reader.resume(reached.line);
    throw_if_away(reader.read_error(), file.path);
    if (reader.failure().empty() && reader.before().ends_with({reached.before, reached.before_bytes}))
      return text;
  } catch (const Error&) {
    // If it is one, it is reported when its turn comes.
  }
  return std::nullopt;
}

// What was read no longer stands in the file.
void FileLines::begin_again() {
  // Of what was no line yet.
  if (stands(same_file_.get())) return reader_->resume(position_->reached.line);
  const std::uint64_t offset = position_->reached.line.offset_bytes;
  const auto status = status_of(same_file_.get());
  const std::uint64_t bytes = status ? status->size_bytes : 0;
  const std::string how = bytes < offset
                              ? fmt::format("was truncated to {} bytes, {} were read", bytes, offset)
                              : fmt::format("was cut and filled again, it was read to byte {}", offset);
  const std::string path = path_;
  const std::string copy = take_up_copy(path);
  worker_.report(fmt::format("{} {}: what came behind that {}, and it is read from its beginning", path, how,
                             copy.empty() ? "and was not read is lost" : "is read from its copy " + copy));
  if (copy.empty()) forget_file();
}

SourceState FileLines::at_end_of_followed() {
  if (ending_ || reader_->compressed()) {
    check_is_there();
    close_file();
    return SourceState::more;
  }
  const auto own = status_of(same_file_.get());
  if (!own || !stands(same_file_.get())) {
    begin_again();
    return SourceState::more;
  }
  const auto now = status_of(path_);
  constexpr std::chrono::nanoseconds kNoLimit = std::chrono::hours{1};
  if (now && is(*now, device_, position_->inode)) return wait(kNoLimit);
  // Whoever writes may go on in the old file until it has opened the new one.
  if ((!now || now->size_bytes == 0) && !next_rotated(path_, now)) return wait(kNoLimit);
  if (const auto left = grace_left(*own); left.count() > 0) return wait(left);
  // What came since is read before it ends.
  ending_ = true;
  reader_->stop_growing();
  return SourceState::more;
}

// How long the file that is followed, and ends within its archive, is waited for: whoever compresses it may be at it.
std::chrono::nanoseconds FileLines::left_to_be_written() {
  if (!followed_ || !reader_->ends_early()) return {};
  const auto own = status_of(same_file_.get());
  return own ? grace_left(*own) : std::chrono::nanoseconds{};
}

// Whoever rotates removes the oldest first: while the file that was read is there, so is what came behind it.
void FileLines::check_is_there() {
  const auto own = status_of(same_file_.get());
  if (!own || own->names != 0) return;
  const auto call = long_look();
  bool moved = true;
  for (int tries = 0; moved && tries < kTries; ++tries) {
    moved = false;
    for (const FileThere& file : rotated(path_)) {
      try {
        auto text = text_of(file);
        moved = moved || !text;
        if (text && file_key(text->head().substr(0, position_->head_bytes)) == position_->head &&
            text->has_bytes(position_->reached.line.offset_bytes))
          return;
      } catch (const Error&) {
        continue;  // It is reported when its turn comes.
      }
    }
  }
  worker_.report(fmt::format(
      "{} was removed before it was done with: a file that came and went behind it is not found", path_));
}

// Since the last that came into the file, or its new name, was seen or happened.
std::chrono::nanoseconds FileLines::grace_left(const FileStatus& own) {
  const auto now = std::chrono::steady_clock::now();
  if (left_at_.time_since_epoch().count() == 0 || own.size_bytes != left_bytes_) {
    left_bytes_ = own.size_bytes;
    left_at_ = now;
  }
  const std::chrono::nanoseconds seen = now - left_at_;
  const std::chrono::nanoseconds happened{file_clock_ns() - own.changed_ns};
  return options_.rotation_grace - std::max(seen, happened);
}

}  // namespace sluice::detail
