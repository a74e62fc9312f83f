// SPDX-License-Identifier: Apache-2.0
// Bytes are written before the commit that counts them, as by AppendFile; what a commit has completed is
// renamed after it. A replacement cuts off what was not counted, and renames what its predecessor no longer
// could. After a restore from a checkpoint the manifest goes on behind what is committed: what it names there
// is taken back.
#include "sluice/connect/file_sink.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <zstd.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/kept_from_children.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

#include "completed_files.hpp"
#include "rolling_options.hpp"

namespace sluice {

namespace {

namespace fs = std::filesystem;
using detail::Descriptor;
using detail::fail;

constexpr const char* kRemedy =
    "put the file back that was written, or start the pipeline anew, without its checkpoints and its "
    "segment.path";

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
        manifest_{open(manifest_path(), O_CREAT)},
        state_{worker.state<RollingState>("rolling", first_state())} {
    lock();
    take_back();
    recover();
    worker.before_commit([this] { flush(); });
    worker.after_commit([this] { publish(); });
    if (options_.rotate_after.count() != 0) worker.when_idle([this] { complete_if_old(); });
  }

  void append(std::string_view text) {
    pending_.append(text);
    ++pending_records_;
  }
  void append_line(std::string_view text) {
    pending_.append(text).push_back('\n');
    ++pending_records_;
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
    if (::stat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
      throw Error{{"write files into", printable(directory.string()),
                   errno == ENOENT ? errno_text() : "it is no directory", "make it, or name another"}};
    }
    return directory;
  }
  fs::path manifest_path() const { return directory_ / (prefix_ + ".manifest"); }
  std::string name_of(std::uint64_t number) const {
    return fmt::format("{}-{:06}.{}{}", prefix_, number, options_.suffix,
                       options_.compression == FileCompression::zstd ? ".zst" : "");
  }
  fs::path complete_path(std::uint64_t number) const { return directory_ / name_of(number); }
  fs::path part_path(std::uint64_t number) const { return directory_ / (name_of(number) + ".part"); }

  // Never through a link.
  static Descriptor open(const fs::path& path, int more_flags) {
    Descriptor file{::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | more_flags, 0644)};
    if (file.get() < 0) fail("open", path, errno);
    return file;
  }
  static struct stat status_of(const Descriptor& file, const fs::path& path) {
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) fail("look at", path, errno);
    if (!S_ISREG(status.st_mode))
      throw Error{{"write", printable(path.string()), "it is no regular file", "move it away"}};
    return status;
  }

  // Behind all files that are there, those of other runs too.
  RollingState first_state() const {
    RollingState first{};
    const std::string before = prefix_ + "-";
    for (const auto& entry : fs::directory_iterator{directory_}) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(before)) continue;
      std::uint64_t number = 0;
      const char* end = name.data() + name.size();
      const auto [digits, error] = std::from_chars(name.data() + before.size(), end, number);
      // Behind the last of all numbers there is none.
      if (error == std::errc{} && digits != end && *digits == '.' && number != ~std::uint64_t{0})
        first.number = std::max(first.number, number);
    }
    ++first.number;
    const struct stat manifest = status_of(manifest_, manifest_path());
    first.manifest_bytes = static_cast<std::uint64_t>(manifest.st_size);
    first.manifest_inode = manifest.st_ino;
    return first;
  }

  void lock() const {
    constexpr auto kPatience = std::chrono::milliseconds{500};
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (::flock(manifest_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (std::chrono::steady_clock::now() >= until) {
        throw Error{{"lock", printable(manifest_path().string()),
                     "another worker or program writes these files",
                     "give each stage a RollingFileOptions::name"}};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
  }

  // What was published behind the checkpoint that the state is from. The manifest, which says what that is, is cut last.
  void take_back() const {
    check_is(manifest_, manifest_path(), state_->manifest_inode, state_->manifest_bytes);
    std::vector<detail::CompletedFile> behind =
        detail::completed_behind(manifest_.get(), state_->manifest_bytes);
    std::uint64_t end = state_->number;
    for (const detail::CompletedFile& file : behind) {
      if (file.name != name_of(end)) break;
      ++end;
    }
    behind.resize(end - state_->number);
    bool taken = false;
    for (std::uint64_t number = end; number > state_->number; --number) {
      remove_part(number);
      const bool goes_on = number - 1 == state_->number && state_->length_bytes != 0;
      if (!goes_on && detail::remove_completed(directory_, behind[number - 1 - state_->number])) taken = true;
    }
    if (state_->length_bytes != 0 &&
        detail::take_back(complete_path(state_->number), part_path(state_->number), state_->inode))
      taken = true;
    if (taken && options_.sync != FileSync::none) bring_names_to_disk();
  }

  // Of a batch that is not committed: this number is nobody else's.
  void remove_part(std::uint64_t number) const {
    const fs::path part = part_path(number);
    if (::unlink(part.c_str()) != 0 && errno != ENOENT) fail("remove", part, errno);
  }

  void recover() {
    cut(manifest_, manifest_path(), state_->manifest_inode, state_->manifest_bytes);
    published_ = 0;
    publish();
    const fs::path part = part_path(state_->number);
    if (state_->length_bytes == 0) {
      remove_part(state_->number);
    } else {
      if (::access(part.c_str(), F_OK) != 0)
        throw Error{
            {"go on writing", printable(part.string()), errno_text() + ", nor without .part", kRemedy}};
      file_.emplace(open(part, 0));
      cut(*file_, part, state_->inode, state_->length_bytes);
    }
  }

  static void check_is(const Descriptor& file, const fs::path& path, std::uint64_t inode,
                       std::uint64_t bytes) {
    const struct stat status = status_of(file, path);
    std::string why;
    if (status.st_ino != inode) why = "another file has taken its place";
    if (static_cast<std::uint64_t>(status.st_size) < bytes)
      why = fmt::format("it holds {} bytes and {} were committed", status.st_size, bytes);
    if (!why.empty()) throw Error{{"go on writing", printable(path.string()), why, kRemedy}};
  }
  // Takes off what was not committed.
  static void cut(const Descriptor& file, const fs::path& path, std::uint64_t inode, std::uint64_t bytes) {
    check_is(file, path, inode, bytes);
    if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) fail("cut", path, errno);
  }

  // Nobody has removed, moved or cut it since: a file that is still open takes bytes all the same.
  static void check_is_there(const fs::path& path, std::uint64_t inode, std::uint64_t bytes) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) fail("go on writing", path, errno);
    std::string why;
    if (status.st_ino != inode) why = "another file has taken its place";
    if (static_cast<std::uint64_t>(status.st_size) < bytes)
      why = fmt::format("it holds {} bytes and {} were written", status.st_size, bytes);
    if (!why.empty()) throw Error{{"go on writing", printable(path.string()), why, kRemedy}};
  }

  // Of the file that is being written.
  bool holds_any() const { return state_->content_bytes != 0 || !pending_.empty(); }

  void flush() {
    if (!pending_.empty()) write_pending();
    if (pending_records_ != 0) state_.edit(&RollingState::records) += std::exchange(pending_records_, 0);
    if (state_->length_bytes != 0 && !interrupted_ && (ending_ || is_large() || is_old())) complete();
  }
  // Where no events come no batch does it.
  void complete_if_old() {
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
    const fs::path part = part_path(state_->number);
    RollingState& state = state_.edit();
    if (!file_) {
      file_.emplace(open(part, O_CREAT | O_EXCL));
      state.inode = status_of(*file_, part).st_ino;
      state.began_ns = wall_clock_ns();
    } else {
      check_is_there(part, state.inode, state.length_bytes);
    }
    const std::string_view bytes = options_.compression == FileCompression::zstd ? frame() : pending_;
    write(*file_, part, bytes, state.length_bytes);
    state.length_bytes += bytes.size();
    state.content_bytes += pending_.size();
    pending_.clear();
    if (options_.sync == FileSync::commit) bring_to_disk(*file_, part);
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

  static void write(const Descriptor& file, const fs::path& path, std::string_view bytes, std::uint64_t at) {
    while (!bytes.empty()) {
      const ssize_t written = ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail("write", path, written < 0 ? errno : ENOSPC);
      bytes.remove_prefix(static_cast<std::size_t>(written));
      at += static_cast<std::uint64_t>(written);
    }
  }
  static void bring_to_disk(const Descriptor& file, const fs::path& path) {
    if (::fsync(file.get()) != 0) fail("bring to the disk", path, errno);
  }

  // Of what is not whole: nobody is to take it for an answer, and nobody is to miss what may be nowhere else any more.
  bool leave_part() {
    interrupted_ = true;
    if (holds_any())
      worker_.report(fmt::format("{} is not published: a drain has interrupted a source before it",
                                 printable(part_path(state_->number).string())));
    return false;
  }

  // By the commit that follows.
  void complete() {
    check_is_there(part_path(state_->number), state_->inode, state_->length_bytes);
    check_is_there(manifest_path(), state_->manifest_inode, state_->manifest_bytes);
    if (options_.sync != FileSync::none) bring_to_disk(*file_, part_path(state_->number));
    RollingState& state = state_.edit();
    const std::string line = detail::manifest_line({name_of(state.number), state.length_bytes},
                                                   state.content_bytes, state.records);
    write(manifest_, manifest_path(), line, state.manifest_bytes);
    if (options_.sync != FileSync::none) bring_to_disk(manifest_, manifest_path());
    state.manifest_bytes += line.size();
    state.complete = state.number++;
    state.length_bytes = state.content_bytes = state.records = state.inode = 0;
    state.began_ns = 0;
    file_.reset();
  }

  // After it, or by a replacement.
  void publish() {
    const std::uint64_t number = state_->complete;
    if (number == published_) return;
    detail::publish(part_path(number), complete_path(number));
    if (options_.sync != FileSync::none) bring_names_to_disk();
    published_ = number;
  }
  void bring_names_to_disk() const {
    const Descriptor directory{::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (directory.get() < 0) fail("open", directory_, errno);
    bring_to_disk(directory, directory_);
  }

  struct FreeZstd {
    void operator()(ZSTD_CCtx* context) const noexcept { ::ZSTD_freeCCtx(context); }
  };

  Worker& worker_;
  RollingFileOptions options_;
  std::string prefix_;
  fs::path directory_;
  Descriptor manifest_;
  detail::KeptFromChildren kept_{manifest_.get()};
  Recoverable<RollingState> state_;
  std::optional<Descriptor> file_;  // The part that is being written.
  // Of this batch, and gone with this object if that is not committed: what undoes a batch makes a new handler.
  std::string pending_;
  std::uint64_t pending_records_ = 0;
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
