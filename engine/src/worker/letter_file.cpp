// SPDX-License-Identifier: Apache-2.0
#include "worker/letter_file.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/file_limit.hpp>
#include <sluice/detail/own_directory.hpp>
#include <sluice/detail/state_area.hpp>
#include <sluice/error.hpp>
#include <sluice/unavailable.hpp>

#include "worker/file_mark.hpp"
#include "worker/letters_there.hpp"

namespace sluice::detail {
namespace {

// Of a letter, what nothing changes once it is written: its head, up to the mark that it was retried.
constexpr std::uint64_t kMarkedBytes = 60;
constexpr std::uint64_t kLanes = (std::uint64_t{1} << EventId::kLaneBits) - 1;

[[noreturn]] void away(const std::filesystem::path& directory, const std::string& tried,
                       const std::string& why) {
  throw Unavailable{fmt::format("{} {}: {}", tried, directory.string(), why)};
}

constexpr const char* kRead = "the dead letters of before the restore cannot be read in";

}  // namespace

bool LetterFile::is_there(const Worker& worker, std::span<const std::byte> state, const LetterPlace& place) {
  if (StateArea::find(state, kState, sizeof(Committed)) != nullptr) return true;
  if (!place.restored) return false;
  try {
    const auto own = OwnDirectory::if_there(place.directory, "report.path");
    return own && own->open_to_read(dead_letters_file(worker.stage(), worker.replica(), worker.run(), 1));
  } catch (const Error& error) {
    away(place.directory, kRead, error.parts().why);
  }
}

void LetterFile::note_restore(std::span<std::byte> state) {
  const std::byte* const found = StateArea::find(state, kState, sizeof(Committed));
  if (found == nullptr) return;
  constexpr std::uint64_t kNoLife = 0;
  std::memcpy(state.data() + (found - state.data()) + offsetof(Committed, life), &kNoLife, sizeof(kNoLife));
}

LetterFile::LetterFile(Worker& worker, LetterPlace place, const std::function<bool(const EventId&)>& to_come)
    : place_{std::move(place)},
      stage_{worker.stage()},
      replica_{worker.replica()},
      run_{worker.run()},
      life_{worker.life()},
      origin_{worker.event_id().origin & ~kLanes},
      committed_{worker.state<Committed>(kState, fresh())} {
  const bool from_a_checkpoint = place_.restored && committed_->life == 0;
  if (!from_a_checkpoint) cut_what_never_counted();
  if (from_a_checkpoint || committed_->awaited != 0) go_on(to_come);
}

// A file that cannot be made now is made with the first letter; one that is there already is somebody else's. What was
// restored has to be looked at, whatever there is.
LetterFile::Committed LetterFile::fresh() const {
  Committed committed{0, kEmptyFileMark, 0, 0, place_.restored ? 0 : life_, 1, 0};
  struct stat status {};
  try {
    const OwnDirectory own{place_.directory};
    const Descriptor file = own.open_file(name(1));
    if (::fstat(file.get(), &status) == 0 && status.st_size == 0) committed.inode = status.st_ino;
  } catch (const Error&) {
    return committed;
  }
  return committed;
}

// A file that cannot be had now is looked at again when a letter is to be written.
void LetterFile::cut_what_never_counted() const {
  try {
    const OwnDirectory own{place_.directory};
    const Descriptor file = own.open_file(name(committed_->number));
    struct stat status {};
    const auto committed = static_cast<off_t>(committed_->length_bytes);
    if (is_the_one(file.get()) && ::fstat(file.get(), &status) == 0 && status.st_size > committed)
      static_cast<void>(::ftruncate(file.get(), committed));
  } catch (const Error&) {
    return;
  }
}

// What the files of this run hold counts. The last of them is gone on in, if nothing but letters of ours is in it.
void LetterFile::go_on(const std::function<bool(const EventId&)>& to_come) {
  Committed now{0, kEmptyFileMark, 0, committed_->order_ns, life_, 1, 0};
  const bool to_adopt = place_.restored && committed_->life == 0;
  try {
    const auto own = OwnDirectory::if_there(place_.directory, "report.path");
    for (std::uint32_t number = 1; own; ++number) {
      const std::optional<Descriptor> file = own->open_to_read(name(number));
      // One in the midst may have been taken away.
      if (!file && number < committed_->number) continue;
      if (!file) break;
      bool ours = true;
      LettersThere there = letters_there(file->get(), [&](const EventId& event) {
        ours = ours && (event.origin & ~kLanes) == origin_;
        return ours && to_come(event);
      });
      std::move(there.wanted.begin(), there.wanted.end(), std::back_inserter(written_));
      now = {0, kEmptyFileMark, 0, std::max(now.order_ns, there.last_order_ns), life_, number + 1, 0};
      struct stat status {};
      if (!ours || !there.sound || ::fstat(file->get(), &status) != 0) continue;
      now.number = number;
      now.length_bytes = there.whole_bytes;
      now.mark = mark_of(file->get(), std::min(there.whole_bytes, kMarkedBytes)).value_or(kEmptyFileMark);
      now.inode = status.st_ino;
    }
  } catch (const Error& error) {
    away(place_.directory, kRead, error.parts().why);
  }
  now.awaited = written_.empty() ? 0 : 1;
  if (to_adopt) {
    committed_.set(now);
    cut_what_never_counted();
  } else if (written_.empty()) {
    committed_.edit(&Committed::awaited) = 0;
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

std::string LetterFile::name(std::uint32_t number) const {
  return dead_letters_file(stage_, replica_, run_, number);
}

void LetterFile::unavailable(const std::string& why) const {
  away(place_.directory, "a dead letter cannot be written into", why);
}

bool LetterFile::ready() {
  try {
    const OwnDirectory directory{place_.directory};
    std::uint32_t number = committed_->number;
    file_ = directory.open_file(name(number));
    if (is_the_one(file_.get())) return true;
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) unavailable(errno_text());
    // What stands there is not ours to change: a name of its own for what follows.
    while (status.st_size != 0) {
      file_ = directory.open_file(name(++number));
      if (::fstat(file_.get(), &status) != 0) unavailable(errno_text());
    }
    if (place_.synced && ::fsync(directory.descriptor()) != 0) unavailable(errno_text());
    Committed& committed = committed_.edit();
    committed.length_bytes = 0;
    committed.mark = kEmptyFileMark;
    committed.inode = status.st_ino;
    committed.number = number;
    return false;
  } catch (const Error& error) {
    unavailable(error.parts().why);
  }
}

void LetterFile::append(DeadLetter& letter, std::int64_t floor_ns) {
  const auto now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(letter.time.time_since_epoch()).count();
  letter.order_ns = std::max<std::int64_t>(now, std::max(committed_->order_ns, floor_ns) + 1);
  const std::string text = encode(letter);
  const Descriptor file = std::move(file_);
  const std::uint64_t begin = committed_->length_bytes;
  // What lies behind was written by a batch that never committed.
  if (::ftruncate(file.get(), static_cast<off_t>(begin)) != 0) unavailable(errno_text());
  if (beyond_the_limit_of_files(begin + text.size())) unavailable(kBeyondTheLimitOfFiles);
  for (std::uint64_t done = 0; done < text.size();) {
    const ssize_t bytes =
        ::pwrite(file.get(), text.data() + done, text.size() - done, static_cast<off_t>(begin + done));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) unavailable(bytes < 0 ? errno_text() : "nothing more is taken");
    done += static_cast<std::uint64_t>(bytes);
  }
  if (place_.synced && ::fdatasync(file.get()) != 0) unavailable(errno_text());
  if (begin < kMarkedBytes)
    committed_.edit(&Committed::mark) = mark_with(committed_->mark, begin, text, kMarkedBytes);
  committed_.edit(&Committed::length_bytes) = begin + text.size();
  committed_.edit(&Committed::order_ns) = letter.order_ns;
}

}  // namespace sluice::detail
