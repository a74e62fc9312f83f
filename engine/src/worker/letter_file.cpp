// SPDX-License-Identifier: Apache-2.0
#include "worker/letter_file.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/file_limit.hpp>
#include <sluice/detail/own_directory.hpp>
#include <sluice/error.hpp>
#include <sluice/unavailable.hpp>

#include "worker/file_mark.hpp"

namespace sluice::detail {
namespace {

// Of a letter, what nothing changes once it is written: its head, up to the mark that it was retried.
constexpr std::uint64_t kMarkedBytes = 60;

// Of the file, which is made if need be; 0 when that cannot be done now: it is made with the first letter then.
std::uint64_t inode_of(const std::filesystem::path& directory, const std::string& name) {
  struct stat status {};
  try {
    const OwnDirectory own{directory};
    const Descriptor file = own.open_file(name);
    if (::fstat(file.get(), &status) == 0) return status.st_ino;
  } catch (const Error&) {
    return 0;
  }
  return 0;
}

}  // namespace

// Drawn once for the life of the pipeline: a replacement goes on in the same file, and no run in another's.
LetterFile::LetterFile(Worker& worker, std::filesystem::path directory)
    : directory_{std::move(directory)},
      stage_{worker.stage()},
      replica_{worker.replica()},
      run_{worker.state<RunMark>("sluice.dead_letters_run", new_run_mark())},
      committed_{worker.state<Committed>("sluice.dead_letters", [this] {
        return Committed{0, kEmptyFileMark, inode_of(directory_, name())};
      }())} {
  // What lies behind was written by a batch that never committed. A file that cannot be had now is looked at again when
  // a letter is to be written.
  try {
    const OwnDirectory own{directory_};
    const Descriptor file = own.open_file(name());
    struct stat status {};
    const auto committed = static_cast<off_t>(committed_->length_bytes);
    if (is_the_one(file.get()) && ::fstat(file.get(), &status) == 0 && status.st_size > committed)
      static_cast<void>(::ftruncate(file.get(), committed));
  } catch (const Error&) {
    return;
  }
}

// As far as can be told: one that nobody may read is known by its inode alone.
bool LetterFile::is_the_one(int file) const noexcept {
  struct stat status {};
  const Committed& committed = *committed_;
  if (::fstat(file, &status) != 0 || status.st_ino != committed.inode ||
      static_cast<std::uint64_t>(status.st_size) < committed.length_bytes)
    return false;
  const auto mark = mark_of(file, std::min(committed.length_bytes, kMarkedBytes));
  return !mark || *mark == committed.mark;
}

std::string LetterFile::name() const {
  const std::chrono::system_clock::time_point time{
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds{run_->time_ns})};
  return dead_letters_file(stage_, replica_, time, run_->number);
}

void LetterFile::unavailable(const std::string& why) const {
  throw Unavailable{fmt::format("a dead letter cannot be written into {}: {}", directory_.string(), why)};
}

bool LetterFile::ready() {
  try {
    const OwnDirectory directory{directory_};
    file_ = directory.open_file(name());
    if (is_the_one(file_.get())) return true;
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) unavailable(errno_text());
    if (status.st_size != 0) {
      // What stands there is not ours to change: a name of its own for what follows.
      run_.set(new_run_mark());
      file_ = directory.open_file(name());
      if (::fstat(file_.get(), &status) != 0) unavailable(errno_text());
    }
    committed_.set({0, kEmptyFileMark, status.st_ino});
    return false;
  } catch (const Error& error) {
    unavailable(error.parts().why);
  }
}

void LetterFile::append(std::string_view letter) {
  const Descriptor file = std::move(file_);
  const std::uint64_t begin = committed_->length_bytes;
  // What lies behind was written by a batch that never committed.
  if (::ftruncate(file.get(), static_cast<off_t>(begin)) != 0) unavailable(errno_text());
  if (beyond_the_limit_of_files(begin + letter.size())) unavailable(kBeyondTheLimitOfFiles);
  for (std::uint64_t done = 0; done < letter.size();) {
    const ssize_t bytes =
        ::pwrite(file.get(), letter.data() + done, letter.size() - done, static_cast<off_t>(begin + done));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) unavailable(bytes < 0 ? errno_text() : "nothing more is taken");
    done += static_cast<std::uint64_t>(bytes);
  }
  if (begin < kMarkedBytes)
    committed_.edit(&Committed::mark) = mark_with(committed_->mark, begin, letter, kMarkedBytes);
  committed_.edit(&Committed::length_bytes) = begin + letter.size();
}

}  // namespace sluice::detail
