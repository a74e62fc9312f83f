// SPDX-License-Identifier: Apache-2.0
#include "state_chain.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

constexpr const char* kUnfinished = ".part";

// By which what lies beside it is none any more: left by a process that died while it removed the chain of a pipeline that had
// ended. What is kept here is known by what the server has.
constexpr const char* kEndedMark = "checkpoints.ended";

bool is_of_a_chain(std::string name) {
  if (name == kEndedMark) return true;
  if (name.ends_with(kUnfinished)) name.resize(name.size() - std::string_view{kUnfinished}.size());
  return parse_state_file_name(name).has_value();
}

}  // namespace

StateChain::StateChain(const std::filesystem::path& directory, const std::string& subject)
    : directory_{directory, kDataOption}, copy_{directory_, subject} {
  lock();
  const std::vector<CopiedMessage> kept = copy_.whole_part();
  remove_all_but(kept);
  for (const CopiedMessage& each : kept) {
    epoch_ = each.message.epoch;
    if (each.message.is_claim()) continue;
    whole_.push_back({parse_state_file_name(each.message.file)->number, each});
    kept_bytes_ += each.bytes;
  }
  based_ = open_ = !whole_.empty();
  if (whole_.empty()) {
    copy_.forget();
    return;
  }
  last_kept_ = kept.back();
  copy_.begin(kept);
}

// A process that was killed may have it for a moment yet, and for longer if its memory is large.
void StateChain::lock() {
  constexpr int kTries = 100;
  constexpr std::chrono::milliseconds kBetweenTries{50};
  locked_ = Descriptor{::openat(directory_.descriptor(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!locked_) fail("lock", "", errno);
  for (int tries = 0; ::flock(locked_.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
    if (errno != EWOULDBLOCK || tries == kTries) {
      throw Error{{"lock", directory_.path().string(),
                   errno == EWOULDBLOCK ? "another process writes there" : errno_text(),
                   "give each host a directory of its own (--data)"}};
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
}

void StateChain::remove_all_but(const std::vector<CopiedMessage>& kept) const {
  std::error_code error;
  std::vector<std::string> former;
  for (std::filesystem::directory_iterator entry{directory_.path(), error}, end; !error && entry != end;
       entry.increment(error)) {
    std::string name = entry->path().filename().string();
    const bool is_kept = std::any_of(
        kept.begin(), kept.end(), [&name](const CopiedMessage& each) { return each.message.file == name; });
    if (is_of_a_chain(name) && !is_kept) former.push_back(std::move(name));
  }
  if (error) fail("empty", "", error.value());
  for (const std::string& name : former)
    remove(name);
}

void StateChain::forget_kept() {
  copy_.forget();
  remove_all_but({});
  whole_.clear();
  epoch_.reset();
  last_kept_.reset();
  based_ = open_ = false;
  kept_bytes_ = 0;
}

void StateChain::take(const std::optional<StateMessage>& message, std::uint64_t sequence,
                      std::span<const char> bytes) {
  if (!message) return damage(sequence, "it is no message of a cluster's state");
  if (const std::string why = misplaced(*message); !why.empty()) {
    damage(sequence, why);
    if (!may_begin_with(*message)) return;
    begin_without_base();
  }
  epoch_ = message->epoch;
  if (message->is_claim()) {
    drop_file();
    // Whoever claims it restores what is whole, and goes on from there.
    open_ = !whole_.empty() && (damage_.empty() || !based_);
    if (open_ && based_) copy_.add({.sequence = sequence, .message = *message});
    return;
  }
  if (message->part == 1) begin(*message);
  // Of a chain that is damaged.
  if (!file_) return;
  write(bytes);
  if (message->is_last_part()) return finish_file(*message, sequence);
  ++file_->next.part;
}

// What follows nothing that is here may be whole without it, with what comes yet.
bool StateChain::may_begin_with(const StateMessage& message) const {
  return !message.is_claim() && message.part == 1 && !parse_state_file_name(message.file)->base &&
         (!epoch_ || message.epoch >= *epoch_);
}

void StateChain::begin_without_base() {
  copy_.forget();
  for (const WholeFile& former : std::exchange(whole_, {}))
    remove(former.name());
  based_ = false;
  kept_bytes_ = 0;
}

// Why it cannot follow what is before it; empty if it can, or if nothing can until the next base.
std::string StateChain::misplaced(const StateMessage& message) const {
  if (message.is_claim()) {
    return epoch_ && message.epoch <= *epoch_
               ? fmt::format("it claims epoch {} behind epoch {}", message.epoch, *epoch_)
               : std::string{};
  }
  // What a claim before a base says the base says itself.
  const bool stands_alone = message.part == 1 && parse_state_file_name(message.file)->base;
  if (epoch_ && message.epoch != *epoch_ && !(stands_alone && message.epoch > *epoch_))
    return fmt::format("it is of epoch {}, and nothing claimed that behind epoch {}", message.epoch, *epoch_);
  if (message.part != 1) {
    if (file_ && message.part == file_->next.part && message.is_of_the_same_file(file_->next)) return {};
    return damage_.empty() || file_
               ? fmt::format("part {} of {} has nothing to go on with", message.part, message.file)
               : std::string{};
  }
  const StateFileName name = *parse_state_file_name(message.file);
  if (name.base) {
    return whole_.empty() || name.number > whole_.back().number
               ? std::string{}
               : fmt::format("{} comes behind {}", message.file, whole_.back().name());
  }
  if (file_ || !open_) return fmt::format("{} has no base", message.file);
  return name.number == whole_.back().number + 1
             ? std::string{}
             : fmt::format("{} comes behind {}", message.file, whole_.back().name());
}

void StateChain::begin(const StateMessage& message) {
  drop_file();
  const StateFileName name = *parse_state_file_name(message.file);
  if (name.base) open_ = false;
  const std::string part = message.file + kUnfinished;
  Descriptor descriptor{::openat(directory_.descriptor(), part.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!descriptor) fail("write", part, errno);
  file_ = File{message, name, 0, std::move(descriptor)};
}

void StateChain::write(std::span<const char> bytes) {
  file_->bytes += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_->descriptor.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("write", file_->next.file + kUnfinished, written < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void StateChain::finish_file(const StateMessage& last, std::uint64_t sequence) {
  const std::string& name = file_->next.file;
  if (::renameat(directory_.descriptor(), (name + kUnfinished).c_str(), directory_.descriptor(),
                 name.c_str()) != 0)
    fail("write", name, errno);
  whole_.push_back({file_->name.number,
                    {.sequence = sequence,
                     .message = last,
                     .bytes = file_->bytes,
                     .checksum = copy_.checksum_of_file(name),
                     .mark = copy_.mark_of_file(name)}});
  if (file_->name.base || is_whole_from(last.whole_from)) {
    begin_with(file_->name.base ? file_->name.number : last.whole_from);
  } else if (based_) {
    copy_.add(whole_.back().copied);
  }
  open_ = true;
  file_.reset();
}

bool StateChain::is_whole_from(std::uint64_t number) const noexcept {
  return std::any_of(whole_.begin(), whole_.end(),
                     [number](const WholeFile& file) { return file.number == number; });
}

// What is before it is needed no more.
void StateChain::begin_with(std::uint64_t number) {
  const auto from = std::find_if(whole_.begin(), whole_.end(),
                                 [number](const WholeFile& file) { return file.number == number; });
  std::vector<CopiedMessage> list;
  for (auto file = from; file != whole_.end(); ++file)
    list.push_back(file->copied);
  copy_.begin(list);
  for (auto former = whole_.begin(); former != from; ++former)
    remove(former->name());
  whole_.erase(whole_.begin(), from);
  damage_.clear();
  based_ = true;
  kept_bytes_ = 0;
}

// The writer gave it up, or died.
void StateChain::drop_file() {
  if (!file_) return;
  const std::string name = file_->next.file + kUnfinished;
  file_.reset();
  open_ = false;
  remove(name);
}

void StateChain::damage(std::uint64_t sequence, const std::string& why) {
  drop_file();
  open_ = false;
  if (damage_.empty()) damage_ = fmt::format("message {}: {}", sequence, why);
}

FetchedState StateChain::finish(const std::string& object, const std::string& subject) {
  drop_file();
  if (!damage_.empty()) {
    throw Error{
        {"go on with", object, damage_ + "; messages of it were lost, or somebody else has written there",
         fmt::format("restore the stream; or `nats stream purge --subject={}` to begin this partition "
                     "anew: what it had is lost then",
                     subject)}};
  }
  return state();
}

FetchedState StateChain::state() const noexcept {
  FetchedState state;
  for (const WholeFile& file : whole_) {
    ++state.files;
    state.bytes += file.copied.bytes;
    state.newest = file.number;
  }
  state.copied = kept_bytes_;
  return state;
}

void StateChain::remove(const std::string& name) const {
  if (::unlinkat(directory_.descriptor(), name.c_str(), 0) != 0 && errno != ENOENT)
    fail("remove", name, errno);
}

void StateChain::fail(const char* tried, const std::string& name, int reason) const {
  throw Error{
      {tried, (directory_.path() / name).string(), errno_text(reason), remedy_for(reason, kDataOption)}};
}

}  // namespace sluice::detail
