// SPDX-License-Identifier: Apache-2.0
#include "worker/letter_file.hpp"

#include <cerrno>
#include <chrono>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/file_limit.hpp>
#include <sluice/detail/own_directory.hpp>
#include <sluice/error.hpp>
#include <sluice/unavailable.hpp>

namespace sluice::detail {
namespace {

struct Identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
};

// Of the file, which is made if need be; of none when that cannot be done now.
Identity identity_of(const std::filesystem::path& directory, const std::string& name) {
  struct stat status {};
  try {
    const OwnDirectory own{directory};
    const Descriptor file = own.open_file(name);
    if (::fstat(file.get(), &status) == 0) return {status.st_dev, status.st_ino};
  } catch (const Error&) {
    // It is made with the first letter.
  }
  return {};
}

}  // namespace

// Drawn once for the life of the pipeline: a replacement goes on in the same file, and no run in another's.
LetterFile::LetterFile(Worker& worker, std::filesystem::path directory)
    : directory_{std::move(directory)},
      stage_{worker.stage()},
      replica_{worker.replica()},
      run_{worker.state<RunMark>("sluice.dead_letters_run", new_run_mark())},
      committed_{worker.state<Committed>("sluice.dead_letters", [this] {
        const Identity file = identity_of(directory_, name());
        return Committed{0, file.device, file.inode};
      }())} {
  // What lies behind was written by a batch that never committed. A file that cannot be had now is looked at again when
  // a letter is to be written.
  const Identity file = identity_of(directory_, name());
  if (file.device != committed_->device || file.inode != committed_->inode) return;
  std::error_code error;
  const std::filesystem::path path = directory_ / name();
  if (std::filesystem::file_size(path, error) > committed_->length_bytes && !error)
    std::filesystem::resize_file(path, committed_->length_bytes, error);
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
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) unavailable(errno_text());
    const bool the_same = status.st_dev == committed_->device && status.st_ino == committed_->inode;
    if (the_same && static_cast<std::uint64_t>(status.st_size) >= committed_->length_bytes) return true;
    if (status.st_size != 0) {
      // What stands there is not ours to change: a name of its own for what follows.
      run_.set(new_run_mark());
      file_ = directory.open_file(name());
      if (::fstat(file_.get(), &status) != 0) unavailable(errno_text());
    }
    committed_.set({0, status.st_dev, status.st_ino});
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
  committed_.edit(&Committed::length_bytes) += letter.size();
}

}  // namespace sluice::detail
