// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/file_source.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <set>
#include <sys/inotify.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

#include "files_there.hpp"
#include "read_files.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
// Of a call: so many lines, and bytes with what a lane needs for each.
constexpr std::size_t kLinesAtOnce = 32;
constexpr std::uint64_t kBytesAtOnce = std::uint64_t{16} << 10;
constexpr std::uint64_t kBytesBesideALine = 64;

}  // namespace

// FNV-1a, then a mix so that near names are far apart. Source: Fowler, Noll, Vo; splitmix64's finisher.
std::uint64_t file_key(std::string_view path) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : path) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3;
  }
  hash = (hash ^ (hash >> 30U)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27U)) * 0x94d049bb133111eb;
  hash ^= hash >> 31U;
  return hash != 0 ? hash : 1;
}

namespace detail {

constexpr std::chrono::milliseconds kLook = std::chrono::milliseconds{250};  // At what inotify does not tell.

// Tells that something has changed in a directory. Where the kernel has no watch to give, the looks at kLook do it alone.
class FileLines::DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::vector<std::string>& paths)
      : fd_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)} {
    for (const std::string& path : paths) {
      const auto status = status_of(path);
      const std::string watched =
          status && status->directory ? path : fs::absolute(path).parent_path().string();
      if (fd_)
        ::inotify_add_watch(fd_.get(), watched.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM);
    }
  }
  int fd() const noexcept { return fd_.get(); }
  void drain() const noexcept {
    alignas(inotify_event) char events[4096];
    while (fd_ && ::read(fd_.get(), events, sizeof(events)) > 0) {
    }
  }

 private:
  detail::Descriptor fd_;
};

namespace {

// The path before `index` that names the same file, by a link say.
std::optional<std::string> named_before(const std::vector<std::string>& paths, std::size_t index) {
  const auto status = status_of(paths[index]);
  if (!status || status->directory) return std::nullopt;
  for (std::size_t other = 0; other < index; ++other) {
    const auto before = status_of(paths[other]);
    if (before && is(*before, status->device, status->inode)) return paths[other];
  }
  return std::nullopt;
}

// All that a file may be known by: what a link leads to may be beside it, or in another directory.
std::vector<FileId> ids_of(const FileId& id, const FileThere& file,
                           const std::vector<std::string>& directories) {
  std::vector<FileId> ids{id};
  if (id.inode == 0) return ids;
  for (const std::string& path : directories) {
    for (const bool link : {false, true})
      ids.push_back(id_in(file_key(path), {file.path, file.status, link}));
  }
  return ids;
}

bool is_read(ReadFiles& read, const std::vector<FileId>& ids, const FileThere& file) {
  return std::any_of(ids.begin(), ids.end(), [&](const FileId& id) {
    return read.contains(id) && (id.inode == 0 || read.knows(id, file));
  });
}

}  // namespace

FileLines::FileLines(Worker& worker, FileSourceOptions options, bool quoted)
    : worker_{worker},
      options_{with_tidy_paths(std::move(options))},
      quoted_{quoted},
      position_{worker.state<Position>("position")},
      access_point_{worker.state<AccessPoint>("access-point")},
      read_{std::make_unique<ReadFiles>(worker, options_.max_files)},
      following_{worker.state<Following>("following")} {
  if (quoted_ && options_.framing != Framing::lines)
    throw Error{
        {"read the rows of", worker_.stage(), "rows are lines", "leave FileSourceOptions::framing as it is"}};
  settle_paths();
  if (!options_.follow) return;
  worker_.declare_endless();
  watch_ = std::make_unique<DirectoryWatch>(options_.paths);
}

FileLines::~FileLines() = default;

void FileLines::check_paths() const {
  if (options_.paths.empty())
    throw Error{{"read files in", worker_.stage(), "none are named", "name files or directories"}};
  if (std::any_of(options_.paths.begin(), options_.paths.end(),
                  [](const std::string& path) { return path.empty(); }))
    throw Error{{"read files in", worker_.stage(), "a path is empty", "name files or directories"}};
  if (options_.rotation_grace.count() < 0)
    throw Error{{"follow the files of", worker_.stage(), "FileSourceOptions::rotation_grace is less than 0",
                 "give a time, or 0 for none"}};
  std::size_t directories = 0;
  for (const std::string& path : options_.paths) {
    const auto status = status_of(path);
    if (!status && options_.follow && errno == ENOENT) continue;  // It will be made.
    if (!status)
      throw Error{{"read the file", path, errno_text(), "check the path and the right to read it"}};
    if (status->directory) ++directories;
    if (!status->regular && !status->directory) {
      throw Error{{"read the file", path, "it is neither a file nor a directory",
                   "take a PipeSource for pipes; a terminal is the host's to read"}};
    }
  }
  for (std::size_t index = 0; options_.follow && index < options_.paths.size(); ++index) {
    if (const auto other = named_before(options_.paths, index))
      throw Error{
          {"follow the file", options_.paths[index], "it is the same as " + *other, "name each once"}};
  }
  const std::size_t files = options_.paths.size() - directories;
  if (options_.follow && ((directories != 0 && files != 0) || files > worker_.replicas())) {
    throw Error{{"follow the files of", worker_.stage(),
                 fmt::format("files: {}, directories: {}, workers: {}; each worker follows one file, or "
                             "directories",
                             files, directories, worker_.replicas()),
                 "give the stage as many workers as there are files, and directories a stage of their own"}};
  }
}

// This worker's, as they are now, in order.
std::vector<std::pair<FileId, FileThere>> FileLines::files() {
  const auto call = long_look();
  const std::vector<std::string>& paths = options_.paths;
  std::vector<std::vector<FileThere>> listed(paths.size());
  std::set<std::pair<std::uint64_t, std::uint64_t>> named;  // In a directory, or by a path before.
  for (std::size_t index = 0; index < paths.size(); ++index) {
    const auto status = status_of(paths[index]);
    if (!status || !status->directory) continue;
    listed[index] = regular_files_in(paths[index]);
    for (const FileThere& file : listed[index])
      named.emplace(file.status.device, file.status.inode);
  }
  std::vector<std::pair<FileId, FileThere>> files;
  for (std::size_t index = 0; index < paths.size(); ++index) {
    const std::string& path = paths[index];
    const std::uint64_t place = file_key(path);
    const auto status = status_of(path);
    if (status && status->directory) {
      for (FileThere& file : listed[index]) {
        // Known by what a new name does not change.
        if (mine(file_key(std::to_string(file.status.inode))))
          files.emplace_back(id_in(place, file), std::move(file));
      }
      continue;
    }
    const bool is_first = !status || named.emplace(status->device, status->inode).second;
    if (!is_first || !mine(index)) continue;
    if (status) {
      files.emplace_back(FileId{0, place}, FileThere{path, *status});
    } else if (!options_.follow && position_->place != place && !read_->contains({0, place})) {
      worker_.report(fmt::format("{} is gone: it was not read", path));
      read_->note({0, place});
    }
  }
  return files;
}

SourceState FileLines::read(LineTaker& taker) {
  if (reader_ == nullptr && !go_on()) {
    if (options_.follow) return wait(kLook);
    if (!nothing_left_) return SourceState::nothing_now;
    const bool tells = worker_.replica() == 0;
    for (const std::string& name : tells ? out_of_reach_in(options_.paths) : std::vector<std::string>{})
      worker_.report(name + ": it was not read");
    return SourceState::end;
  }
  if (header_ && !begin_file(taker, *std::exchange(header_, std::nullopt), true)) return SourceState::more;
  const std::uint64_t offset = reader_->position().offset_bytes;
  const FileLine line = reader_->next();
  if (reader_->compressed() && position_->compressed == 0) position_.edit(&Position::compressed) = 1;
  switch (line.status) {
    case LineStatus::line: {
      if (line.number == 1 && options_.header) {
        if (!begin_file(taker, line.text, true)) return SourceState::more;
        break;
      }
      take(taker, line, offset);
      take_more(taker);
      break;
    }
    case LineStatus::too_long:
      if (line.number == 1 && options_.header) {
        if (!begin_file(taker, line.text, false)) return SourceState::more;
        break;
      }
      worker_.report(fmt::format("{}, {} {}: {} bytes, more than {}: it was left out", path_, noun(),
                                 line.number, line.length_bytes, options_.max_line_bytes));
      break;
    case LineStatus::pending:
      return SourceState::nothing_now;
    case LineStatus::broken:
      throw_if_away(reader_->read_error(), path_);
      if (reader_->changed()) {
        begin_again();
        return SourceState::more;
      }
      if (const auto left = left_to_be_written(); left.count() > 0) {
        reader_->resume(position_->reached.line, &*access_point_);
        return wait(left);
      }
      // What was read before stands; the files behind it are read all the same.
      worker_.report(reader_->failure());
      close_file();
      return SourceState::more;
    case LineStatus::end:
      return followed_ ? at_end_of_followed() : at_end();
  }
  note_reached();
  if (position_->head_bytes < kHeadBytes) note_head();
  if (reader_->take_access_point(new_access_point_)) access_point_.set(new_access_point_);
  return SourceState::more;
}

void FileLines::note_reached() {
  Reached& reached = position_.edit(&Position::reached);
  reached.line = reader_->position();
  const std::string_view before = reader_->before();
  reached.before_bytes = before.size();
  before.copy(reached.before, before.size());
}

void FileLines::take(LineTaker& taker, const FileLine& line, std::uint64_t offset) {
  const std::string fault = taker.take({position_->file, line.number, offset}, line.text);
  if (fault.empty()) return;
  // Quotes that do not end where they should take lines along.
  const auto more = quoted_ ? std::count(line.text.begin(), line.text.end(), '\n') : 0;
  const std::string taken = more == 0 ? "it was" : fmt::format("it and {} more within its quotes were", more);
  worker_.report(fmt::format("{}, {} {}: {}: {} left out", path_, noun(), line.number, fault, taken));
}

// What a call costs whatever it does (the position that is noted, the engine's own) is shared by as many lines. A long one
// comes alone, so that what a lane cannot take is the only line of its call.
void FileLines::take_more(LineTaker& taker) {
  std::uint64_t room = std::min(taker.bytes_at_once(), kBytesAtOnce);
  for (std::size_t lines = 1; lines < kLinesAtOnce && room > kBytesBesideALine; ++lines) {
    const std::uint64_t offset = reader_->position().offset_bytes;
    const FileLine line = reader_->next_at_hand(room - kBytesBesideALine);
    if (line.status != LineStatus::line) return;
    take(taker, line, offset);
    room -= line.text.size() + kBytesBesideALine;
  }
}

bool FileLines::begin_file(LineTaker& taker, std::string_view header, bool whole) {
  const std::string fault = taker.begin_file(header, whole);
  if (fault.empty()) return true;
  worker_.report(fmt::format("{}: {}: it was left out", path_, fault));
  if (followed_) following_.edit(&Following::left_out) = position_->inode;
  close_file();
  return false;
}

// Opens the file that is next; false when there is none (nothing_left_), or it is to be looked for again.
bool FileLines::go_on() {
  nothing_left_ = false;
  if (position_->file != 0) take_up();
  if (reader_ != nullptr || position_->file != 0) return reader_ != nullptr;
  if (const auto path = followed_path()) return follow(*path);
  return open_next();
}

void FileLines::look() {
  next_ = 0;
  there_ = files();
  if (read_->has_room()) return;
  std::vector<FileId> there;
  // A file that is renamed while a directory is read may be missed once.
  for (const auto& look : {there_, files()}) {
    for (const auto& [id, file] : look) {
      for (const FileId& each : ids_of(id, file, options_.paths))
        there.push_back(each);
    }
  }
  read_->forget_all_but(std::move(there));
}

// What the last look has found is read in turn, each as it is by then; there is nothing left once a new look finds nothing else.
bool FileLines::open_next() {
  const auto call = long_look();
  bool looked = false;
  bool missed = false;
  if (!read_->has_room()) next_ = there_.size();
  for (;;) {  // Two looks at most, each of which has an end.
    if (next_ == there_.size()) {
      nothing_left_ = looked && !missed;
      if (looked) return false;
      look();
      looked = true;
      missed = false;
      continue;
    }
    auto& [id, file] = there_[next_++];
    const auto now = status_of(file.path);
    // It has another name by now, or none: the next look tells.
    missed = missed || !now || !is(*now, file.status.device, file.status.inode);
    if (!now || !is(*now, file.status.device, file.status.inode)) continue;
    file.status = *now;
    if (is_read(*read_, ids_of(id, file, options_.paths), file)) continue;
    open(file.path, file.path, id.place);
    if (reader_ != nullptr && is(file.status, device_, position_->inode)) return true;
    forget_file();
    missed = true;
  }
}

FileId FileLines::id() const {
  const bool of_directory = file_key(path_) != position_->place;
  return {followed_ || of_directory ? position_->inode : 0, position_->place};
}

void FileLines::close_file() {
  const auto status = status_of(same_file_.get());
  if (status && id().inode != 0) {
    const bool whole = reader_->compressed() || !reader_->failure().empty();
    read_->note(id(), same_file_.get(), *status,
                whole ? status->size_bytes : reader_->position().offset_bytes);
  } else {
    read_->note(id());
  }
  forget_file();
}

void FileLines::forget_file() {
  position_.set({});
  access_point_.set({});
  reader_.reset();
  same_file_ = Descriptor{};
}

SourceState FileLines::at_end() {
  const std::uint64_t offset = position_->reached.line.offset_bytes;
  const auto status = status_of(same_file_.get());
  if (status && !reader_->compressed()) {
    if (status->size_bytes < offset) {
      worker_.report(
          fmt::format("{} was truncated to {} bytes while it was read: {} were, and the rest is lost", path_,
                      status->size_bytes, offset));
    } else if (!stands(same_file_.get())) {
      worker_.report(fmt::format("{} was written over while it was read, to byte {}", path_, offset));
    }
  }
  close_file();
  return SourceState::more;
}

SourceState FileLines::wait(std::chrono::nanoseconds limit) {
  const std::chrono::nanoseconds at_most = std::min(limit, std::chrono::nanoseconds{kLook});
  if (watch_->fd() >= 0) {
    worker_.wait_for(watch_->fd(), at_most);
  } else {
    worker_.wait_for(at_most);
  }
  watch_->drain();
  return SourceState::nothing_now;
}

}  // namespace detail

}  // namespace sluice
