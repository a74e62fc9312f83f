// SPDX-License-Identifier: Apache-2.0
// Bytes are written before the commit that counts them, as by AppendFile; what a commit has completed is
// renamed after it. A replacement cuts off what was not counted, and renames what its predecessor no longer
// could. A file keeps the name that it was begun with: the options of a later start are for the next one. After a restore
// from a checkpoint the manifest goes on behind what is committed: what it names there is taken back.
#include "sluice/connect/file_sink.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <optional>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <zstd.h>

#include <sluice/detail/kept_from_children.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/detail/promises.hpp>
#include <sluice/detail/storage.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "completed_files.hpp"
#include "rolling_options.hpp"
#include "written_file.hpp"

namespace sluice {

namespace {

namespace fs = std::filesystem;
using detail::fail;

constexpr std::string_view kPart = ".part";
// Between two looks whether a file is still where it was. A look costs as much as a dozen lines.
constexpr std::chrono::milliseconds kBetweenLooks{100};

// What is committed of a worker's files.
struct RollingState {
  std::uint64_t number;         // Of the file that is being written.
  std::uint64_t length_bytes;   // Of that file; 0: there may be none yet.
  std::uint64_t content_bytes;  // Before compression.
  std::uint64_t records;        // Calls of append() and append_line().
  std::uint64_t inode;
  std::int64_t began_ns;   // CLOCK_REALTIME.
  std::uint64_t complete;  // The newest complete file; 0: none of this run.
  std::uint64_t manifest_bytes;
  std::uint64_t manifest_inode;
};

std::int64_t wall_clock_ns() noexcept {
  return std::chrono::nanoseconds{std::chrono::system_clock::now().time_since_epoch()}.count();
}

}  // namespace

class RollingFile::Files {
 public:
  Files(Worker& worker, const RollingFileOptions& options)
      : worker_{worker},
        options_{options},
        prefix_{(options.name.empty() ? worker.stage() : options.name) + "-" +
                std::to_string(worker.replica())},
        directory_{checked_directory()},
        manifest_{directory_ / (prefix_ + ".manifest"), O_CREAT},
        state_{worker.state<RollingState>("rolling", first_state())} {
    lock();
    const Numbered there = files_from_here();
    name_ = begun_name(there);
    take_back(there);
    recover(there);
    worker.before_commit([this] { flush(); });
    worker.after_commit([this] { publish(); });
    if (options_.rotate_after.count() != 0) worker.when_idle([this] { complete_if_old(); });
  }

  void append(std::string_view text) {
    if (pending_records_ == 0 && !detail::is_in_event(worker_))
      detail::refuse_without_event(printable(part_path().string()));
    pending_.append(text);
    ++pending_records_;
  }
  void append_line(std::string_view text) {
    append(text);
    pending_.push_back('\n');
  }

  bool finish() {
    if (worker_.interrupted()) return leave_part();
    if (!ending_) {
      ending_ = true;
      return true;
    }
    // After the commit that its flush was for: several calls may come before.
    return holds_any() || state_->complete != published_;
  }

 private:
  fs::path checked_directory() const {
    detail::check_rolling(options_, prefix_);
    fs::path directory = detail::absolute_path(options_.directory);
    struct stat status {};
    const int reason = ::stat(directory.c_str(), &status) != 0 ? errno : 0;
    if (detail::is_storage_away(reason)) fail("look at", directory, reason);
    if (reason != 0 || !S_ISDIR(status.st_mode)) {
      throw Error{{"write files into", printable(directory.string()),
                   reason != 0 ? errno_text(reason) : "it is no directory", "make it, or name another"}};
    }
    return directory;
  }
  std::string name_of(std::uint64_t number) const {
    return fmt::format("{}-{:06}.{}{}", prefix_, number, options_.suffix,
                       options_.compression == FileCompression::zstd ? ".zst" : "");
  }
  // Of the file that is being written.
  fs::path part_path() const { return part_of(name_); }
  fs::path part_of(const std::string& name) const { return directory_ / (name + std::string{kPart}); }

  detail::NamesSynced names_synced() const {
    return options_.sync == FileSync::none ? detail::NamesSynced::no : detail::NamesSynced::yes;
  }

  // Behind all files that are there, those of other runs too.
  RollingState first_state() const {
    RollingState first{};
    detail::for_each_numbered(directory_, prefix_, [&](std::uint64_t number, const std::string&) {
      // Behind the last of all numbers there is none.
      if (number != ~std::uint64_t{0}) first.number = std::max(first.number, number);
    });
    ++first.number;
    first.manifest_bytes = manifest_.bytes();
    first.manifest_inode = manifest_.inode();
    return first;
  }

  void lock() const {
    constexpr auto kPatience = std::chrono::milliseconds{500};
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (::flock(manifest_.descriptor(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) fail("lock", manifest_.path(), errno);
      if (std::chrono::steady_clock::now() >= until) {
        throw Error{{"lock", printable(manifest_.path().string()),
                     "another worker or program writes these files",
                     "give each stage a RollingFileOptions::name"}};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
  }

  using Numbered = std::multimap<std::uint64_t, std::string>;
  // From the one that is being written on.
  Numbered files_from_here() const {
    Numbered there;
    detail::for_each_numbered(directory_, prefix_, [&](std::uint64_t number, const std::string& name) {
      if (number >= state_->number) there.emplace(number, name);
    });
    return there;
  }
  // The name, without .part, of the file that is being written: the options may have been others when it was begun.
  std::string begun_name(const Numbered& there) const {
    const auto [begin, end] = there.equal_range(state_->number);
    for (auto file = begin; file != end && state_->length_bytes != 0; ++file) {
      struct stat status {};
      std::string name = file->second;
      if (::lstat((directory_ / name).c_str(), &status) != 0 || status.st_ino != state_->inode) continue;
      if (name.ends_with(kPart)) name.resize(name.size() - kPart.size());
      return name;
    }
    return name_of(state_->number);
  }

  // What was published behind the checkpoint that the state is from. The manifest, which says what that is, is cut last.
  void take_back(const Numbered& there) const {
    manifest_.check_is(state_->manifest_inode, state_->manifest_bytes);
    std::vector<detail::CompletedFile> behind = detail::completed_behind(manifest_, state_->manifest_bytes);
    std::uint64_t end = state_->number;
    for (const detail::CompletedFile& file : behind) {
      if (detail::number_in(file.name, prefix_) != end) break;
      ++end;
    }
    behind.resize(end - state_->number);
    bool taken = false;
    for (std::uint64_t number = end; number > state_->number; --number) {
      remove_parts(there, number);
      const bool goes_on = number - 1 == state_->number && state_->length_bytes != 0;
      if (!goes_on && detail::remove_completed(directory_, behind[number - 1 - state_->number])) taken = true;
    }
    if (state_->length_bytes != 0 &&
        detail::take_back(directory_ / name_, part_path(), state_->inode, names_synced()))
      taken = true;
    if (taken && options_.sync != FileSync::none) detail::bring_to_disk(directory_);
  }

  // Of a batch that is not committed: this number is nobody else's.
  void remove_parts(const Numbered& there, std::uint64_t number) const {
    const auto [begin, end] = there.equal_range(number);
    for (auto file = begin; file != end; ++file) {
      const fs::path part = directory_ / file->second;
      if (file->second.ends_with(kPart) && ::unlink(part.c_str()) != 0 && errno != ENOENT)
        fail("remove", part, errno);
    }
  }

  void recover(const Numbered& there) {
    manifest_.cut(state_->manifest_bytes);
    published_ = 0;
    publish();
    const fs::path part = part_path();
    if (state_->length_bytes == 0) {
      remove_parts(there, state_->number);
    } else {
      if (::access(part.c_str(), F_OK) != 0)
        throw Error{{"go on writing", printable(part.string()), errno_text() + ", nor without .part",
                     detail::kPutItBack}};
      file_.emplace(part, O_APPEND);
      file_->check_is(state_->inode, state_->length_bytes);
      file_->cut(state_->length_bytes);
    }
  }

  // Of the file that is being written.
  bool holds_any() const { return state_->content_bytes != 0 || !pending_.empty(); }

  void flush() {
    committed_bytes_ = state_->length_bytes;
    // One that was begun with other options, of compression, say, is complete as it is.
    const bool was_other = state_->length_bytes != 0 && name_ != name_of(state_->number);
    if (was_other) complete();
    if (!pending_.empty()) write_pending();
    if (pending_records_ != 0) state_.edit(&RollingState::records) += std::exchange(pending_records_, 0);
    // A commit completes one file.
    if (state_->length_bytes != 0 && !interrupted_ && !was_other && (ending_ || is_large() || is_old()))
      complete();
  }
  // Where no events come no batch does it.
  void complete_if_old() {
    committed_bytes_ = state_->length_bytes;
    if (state_->length_bytes != 0 && !interrupted_ && is_old()) complete();
  }

  bool is_large() const {
    return options_.rotate_bytes != 0 && state_->length_bytes >= options_.rotate_bytes;
  }
  // By the wall clock, which goes on over lives and machines. Where that was set back nobody knows how old it is.
  bool is_old() const {
    if (options_.rotate_after.count() == 0) return false;
    const std::int64_t age_ns = wall_clock_ns() - state_->began_ns;
    return age_ns < 0 || age_ns >= options_.rotate_after.count();
  }

  void write_pending() {
    RollingState& state = state_.edit();
    if (!file_) {
      name_ = name_of(state.number);
      file_.emplace(part_path(), O_CREAT | O_EXCL | O_APPEND);
      state.inode = file_->inode();
      state.began_ns = wall_clock_ns();
    } else if (const auto now = std::chrono::steady_clock::now(); now >= look_again_) {
      file_->check_is_there(state.inode, state.length_bytes);
      look_again_ = now + kBetweenLooks;
    }
    const std::string_view bytes = options_.compression == FileCompression::zstd ? frame() : pending_;
    file_->write(bytes, state.length_bytes);
    state.length_bytes += bytes.size();
    state.content_bytes += pending_.size();
    pending_.clear();
    if (options_.sync == FileSync::commit) bring_to_disk();
  }
  // Bytes without a name would be lost with the power, too.
  void bring_to_disk() {
    file_->bring_to_disk();
    if (!std::exchange(has_name_on_disk_, true)) detail::bring_to_disk(directory_);
  }

  std::string_view frame() {
    if (!zstd_) {
      zstd_.reset(::ZSTD_createCCtx());
      ::ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, options_.level);
      ::ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_checksumFlag, 1);
    }
    compressed_.resize(::ZSTD_compressBound(pending_.size()));
    const std::size_t size = ::ZSTD_compress2(zstd_.get(), compressed_.data(), compressed_.size(),
                                              pending_.data(), pending_.size());
    if (::ZSTD_isError(size) != 0)
      throw Error{{"compress", "a batch", ::ZSTD_getErrorName(size), "give the worker more memory"}};
    return {compressed_.data(), size};
  }

  // Of what is not whole: nobody is to take it for an answer, and nobody is to miss what may be nowhere else any more.
  bool leave_part() {
    interrupted_ = true;
    if (holds_any())
      worker_.report(fmt::format("{} is not published: a drain has interrupted a source before it",
                                 printable(part_path().string())));
    return false;
  }

  // A disk that fails here may drop what it was given, and the next fsync says nothing of that. What this batch has written is
  // written again.
  void bring_whole_to_disk() const {
    const int reason = file_->sync();
    if (reason == 0) return;
    const bool has_more = options_.sync == FileSync::publish && committed_bytes_ != 0;
    if (!has_more) fail("bring to the disk", file_->path(), reason);
    throw Error{{"bring to the disk", printable(file_->path().string()),
                 errno_text(reason) + ": what it has of earlier commits may be missing there",
                 "look at the disk, and whether the file is whole; the next start publishes it as it is"}};
  }

  // By the commit that follows.
  void complete() {
    file_->check_is_there(state_->inode, state_->length_bytes);
    manifest_.check_is_there(state_->manifest_inode, state_->manifest_bytes);
    if (options_.sync != FileSync::none) bring_whole_to_disk();
    RollingState& state = state_.edit();
    const std::string line =
        detail::manifest_line({name_, state.length_bytes}, state.content_bytes, state.records);
    manifest_.write(line, state.manifest_bytes);
    if (options_.sync != FileSync::none) manifest_.bring_to_disk();
    state.manifest_bytes += line.size();
    state.complete = state.number++;
    state.length_bytes = state.content_bytes = state.records = state.inode = 0;
    state.began_ns = 0;
    file_.reset();
    has_name_on_disk_ = false;
  }

  // After it, or by a replacement.
  void publish() {
    const std::uint64_t number = state_->complete;
    if (number == published_) return;
    const std::string name = detail::last_completed(manifest_, state_->manifest_bytes);
    if (detail::number_in(name, prefix_) != number || name.find('/') != std::string::npos)
      throw Error{{"publish what is named in", printable(manifest_.path().string()),
                   "its last line is not what was written", detail::kPutItBack}};
    detail::publish(part_of(name), directory_ / name, names_synced());
    if (options_.sync != FileSync::none) detail::bring_to_disk(directory_);
    published_ = number;
  }

  struct FreeZstd {
    void operator()(ZSTD_CCtx* context) const noexcept { ::ZSTD_freeCCtx(context); }
  };

  Worker& worker_;
  RollingFileOptions options_;
  std::string prefix_;
  fs::path directory_;
  detail::WrittenFile manifest_;
  detail::KeptFromChildren kept_{manifest_.descriptor()};
  Recoverable<RollingState> state_;
  std::string name_;  // Of the file that is being written, without .part.
  // That file. Bytes go to its end: whoever cuts it leaves it shorter than it is to be, and no gap in it.
  std::optional<detail::WrittenFile> file_;
  bool has_name_on_disk_ = false;
  std::chrono::steady_clock::time_point look_again_{};
  // Of this batch, and gone with this object if that is not committed: what undoes a batch makes a new handler.
  std::string pending_;
  std::uint64_t pending_records_ = 0;
  std::uint64_t committed_bytes_ = 0;  // Of the file, before this batch.
  std::uint64_t published_ = 0;
  bool ending_ = false;
  bool interrupted_ = false;  // So that the last one is not whole.
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd_;
  std::vector<char> compressed_;
};

RollingFile::RollingFile(Worker& worker, const RollingFileOptions& options)
    : files_{std::make_unique<Files>(worker, options)} {}
RollingFile::~RollingFile() = default;

void RollingFile::append(std::string_view text) {
  files_->append(text);
}
void RollingFile::append_line(std::string_view text) {
  files_->append_line(text);
}
bool RollingFile::finish() {
  return files_->finish();
}

}  // namespace sluice
