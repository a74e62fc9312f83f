// SPDX-License-Identifier: Apache-2.0
// FileLines and the one file that it reads: how it is opened, and known again.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>

#include <fmt/format.h>

#include <sluice/connect/file_source.hpp>
#include <sluice/error.hpp>

#include "files_there.hpp"
#include "read_files.hpp"

namespace sluice::detail {

namespace fs = std::filesystem;

namespace {

// Before it says that it is alive, and can be drained.
constexpr std::chrono::milliseconds kReadsAtOnce{20};

}  // namespace

std::string beyond_the_lane(std::uint64_t bytes, std::uint64_t most_bytes) {
  return fmt::format(
      "{} bytes, more than {}, which the lanes of the stages behind take: raise their lane.bytes", bytes,
      most_bytes);
}

// Whether the file of that name now is the one of the position: by what survives a boot and a new mount, and a cut.
bool FileLines::is_of_position(const std::string& name) const {
  const Descriptor file{::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!file) throw_if_away(errno, name);
  const auto status = file ? status_of(file.get()) : std::nullopt;
  if (!status || !status->regular || status->inode != position_->inode) return false;
  return position_->head_bytes == 0 || head_of(file.get(), position_->head_bytes) == position_->head;
}

// A path by which nothing is known is that by which something is, if both lead to the same: it was spelled so in the life before.
void FileLines::settle_paths() {
  check_paths();
  const auto is_known = [this](const std::string& path) {
    const std::uint64_t place = file_key(path);
    return position_->place == place || read_->has_place(place);
  };
  for (std::string& path : options_.paths) {
    if (is_known(path)) continue;
    for (std::string& other : other_spellings(path)) {
      const bool is_listed =
          std::find(options_.paths.begin(), options_.paths.end(), other) != options_.paths.end();
      if (other.empty() || is_listed || !is_known(other)) continue;
      path = std::move(other);
      break;
    }
  }
}

// Whether what was read still stands in the file: by its first bytes, and by those before the position.
bool FileLines::stands(int file) const {
  if (position_->head_bytes != 0 && head_of(file, position_->head_bytes) != position_->head) return false;
  if (position_->compressed != 0) return true;
  const Reached& reached = position_->reached;
  const std::uint64_t bytes = reached.before_bytes;
  return key_of_bytes(file, reached.line.offset_bytes - bytes, bytes) == file_key({reached.before, bytes});
}

// The name under which the file of the position stands in the directory of `path` now; empty if it does not.
std::string FileLines::find_renamed(const std::string& path) const {
  const fs::path directory = fs::absolute(path).parent_path();
  std::error_code error;
  for (fs::directory_iterator entry{directory, error}; !error && entry != fs::directory_iterator{};
       entry.increment(error)) {
    std::string name = entry->path().string();
    const auto status = status_of(name);
    if (status && status->inode == position_->inode && is_of_position(name)) return name;
  }
  throw_if_away(error.value(), directory.string());
  return {};
}

// The file of the position, which an earlier process has read.
void FileLines::take_up() {
  if (const auto path = followed_path()) return take_up_followed(*path);
  for (int tries = 0; tries < kTries; ++tries) {
    for (const auto& [id, file] : files()) {
      if (id.place != position_->place || (id.inode != 0 && id.inode != position_->inode)) continue;
      std::string name = is_of_position(file.path) ? file.path : "";
      if (name.empty() && id.inode == 0) name = find_renamed(file.path);
      if (!name.empty()) return open(file.path, name, id.place);
    }
  }
  lose();
}

// The file of the position is gone, or another by what it begins with.
void FileLines::lose() {
  const std::uint64_t offset = position_->reached.line.offset_bytes;
  const auto listed =
      std::find_if(options_.paths.begin(), options_.paths.end(), [&](const std::string& path) {
        const auto status = status_of(path);
        return file_key(path) == position_->place && !(status && status->directory);
      });
  if (listed == options_.paths.end()) {
    worker_.report(fmt::format("a file of {} is gone, or was written anew: what was behind byte {} is lost",
                               worker_.stage(), offset));
    return forget_file();
  }
  const std::string name = find_renamed(*listed);
  if (!name.empty()) return open(*listed, name, position_->place);
  if (status_of(*listed)) {
    worker_.report(
        fmt::format("{} is another file than the one that was read to byte {}, or was written anew: what "
                    "was behind that is lost, and it is read from its beginning",
                    *listed, offset));
  } else {
    worker_.report(fmt::format("{} is gone: what was behind byte {} is lost", *listed, offset));
    if (!options_.follow) read_->note({0, position_->place});
  }
  forget_file();
}

// Until there are kHeadBytes. Of a plain file no more than what was read: what follows may be written otherwise yet.
void FileLines::note_head() {
  const auto status = status_of(same_file_.get());
  if (!status) return;
  std::uint64_t bytes = std::min(status->size_bytes, kHeadBytes);
  if (!reader_->compressed()) bytes = std::min(bytes, position_->reached.line.offset_bytes);
  if (bytes <= position_->head_bytes) return;
  const auto head = head_of(same_file_.get(), bytes);
  if (!head) return;
  position_.edit(&Position::head_bytes) = bytes;
  position_.edit(&Position::head) = *head;
}

LineReaderOptions FileLines::reader_options() const {
  LineReaderOptions options;
  options.max_line_bytes = options_.max_line_bytes;
  options.quoted = quoted_;
  options.framing = options_.framing;
  options.growing = followed_;
  options.access_point_every_bytes = std::size_t{128} << 10;
  options.at_once = kReadsAtOnce;
  return options;
}

// The same file is opened twice, and is what had the name before and after; no reader when it is to be looked for again.
void FileLines::open_reader(const std::string& name, const LineReaderOptions& options) {
  std::optional<FileStatus> before;
  std::optional<FileStatus> after;
  do {
    before = status_of(name);
    // Whoever opens a pipe waits for its other side.
    if (before && !before->regular)
      throw Error{
          {"read the file", name, "it is no file any more", "put a file there; a PipeSource reads pipes"}};
    try {
      reader_ = std::make_unique<LineReader>(name, options);
    } catch (const Error&) {
      // It may have been renamed since it was looked at: then it is looked for again, or what has its name by now is opened.
      after = status_of(name);
      if (before && after && is(*after, before->device, before->inode)) throw;
      if (!after) return reader_.reset();
      after.reset();
      continue;
    }
    same_file_ = Descriptor{::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!same_file_) throw_if_away(errno, name);
    if (!same_file_ && errno != ENOENT)
      throw Error{{"open the file", name, errno_text(), "check the right to read it, and `ulimit -n`"}};
    after = same_file_ ? status_of(same_file_.get()) : std::nullopt;
    const auto named = status_of(name);
    if (!named) return reader_.reset();
    if (after && !is(*named, after->device, after->inode)) after.reset();
  } while (!before || !after || !is(*after, before->device, before->inode));
  // Nor is another file that took the name meanwhile read from the position of the one before.
  if (position_->file != 0 && after->inode != position_->inode) return reader_.reset();
  device_ = after->device;
}

// `path` is what the file is called in the options or its directory, `name` where it stands now.
void FileLines::open(const std::string& path, const std::string& name, std::uint64_t place) {
  followed_ = followed_path().has_value();
  ending_ = false;
  left_at_ = {};
  path_ = path;
  const LineReaderOptions options = reader_options();
  open_reader(name, options);
  if (reader_ == nullptr) return;
  const auto status = status_of(same_file_.get());
  // A file that is taken up in its midst has its header all the same.
  header_.reset();
  if (options_.header && position_->file != 0 && position_->reached.line.line_number != 0) {
    LineReaderOptions at_once = options;
    at_once.at_once = {};
    LineReader beginning{name, at_once};
    header_.emplace(beginning.next().text);
  }
  if (position_->file == 0) {
    Position first;
    first.file = file_key(path);
    first.place = place;
    first.inode = status->inode;
    first.compressed = reader_->compressed() ? 1 : 0;
    position_.set(first);
    return note_head();
  }
  const std::uint64_t offset = position_->reached.line.offset_bytes;
  reader_->resume(position_->reached.line, &*access_point_);
  if (followed_) {
    if (!stands(same_file_.get())) return begin_again();
  } else if (!reader_->compressed() && status->size_bytes < offset) {
    worker_.report(fmt::format("{} holds {} bytes, {} were read: it was truncated since", path,
                               status->size_bytes, offset));
  } else if (!stands(same_file_.get())) {
    worker_.report(fmt::format(
        "{} holds something else before byte {}, as far as which it was read: it was written over, "
        "and is read on behind that",
        path, offset));
  }
  note_head();
}

}  // namespace sluice::detail
