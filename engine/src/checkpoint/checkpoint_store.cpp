// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint_store.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "checkpoint/checkpoint_chain.hpp"
#include "checkpoint/checkpoint_output.hpp"

namespace sluice::detail {
namespace {

// What dies, and has much memory, takes a while.
constexpr std::chrono::seconds kLastBreath{3};
// What a restore opens and reads one after the other: more of them where a base is so large that it is worth it.
constexpr std::uint64_t kFewDeltas = 256;
constexpr std::uint64_t kMostDeltas = 4096;
constexpr std::uint64_t kBaseBytesADelta = std::uint64_t{128} << 10;

// " (pid 123)", if the kernel tells, and if that process still lives: those that it forked may have outlived it.
std::string holder_of(int directory) {
  struct stat status {};
  if (::fstat(directory, &status) != 0) return {};
  const std::string wanted =
      fmt::format("{:02x}:{:02x}:{}", major(status.st_dev), minor(status.st_dev), status.st_ino);
  // "1: FLOCK  ADVISORY  WRITE 123 08:01:456 0 EOF"
  std::ifstream locks{"/proc/locks"};
  for (std::string number, kind, mode, access, pid, file, rest;
       locks >> number >> kind >> mode >> access >> pid >> file && std::getline(locks, rest);) {
    if (kind == "FLOCK" && file == wanted && pid != "0" && std::filesystem::exists("/proc/" + pid))
      return fmt::format(" (pid {})", pid);
  }
  return {};
}

// For as long as the descriptor is open, and a copy of it in a child.
Descriptor locked_one(const OwnDirectory& directory, std::chrono::nanoseconds patience = {}) {
  Descriptor lock{::openat(directory.descriptor(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  const std::string path = directory.path().string();
  if (!lock) throw Error{{"lock", path, errno_text(), remedy_for(errno, kCheckpointSetting)}};
  const auto until = std::chrono::steady_clock::now() + patience;
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      const std::string call = remedy_for_call(errno, "flock");
      throw Error{{"lock", path, errno_text(), call.empty() ? remedy_for(errno, kCheckpointSetting) : call}};
    }
    if (std::chrono::steady_clock::now() >= until) {
      throw Error{{"write checkpoints into", path, "another process writes there" + holder_of(lock.get()),
                   "end that pipeline, or set checkpoint.path to a directory of its own"}};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return lock;
}

bool is_of(const OwnDirectory& directory, int descriptor) noexcept {
  struct stat own {};
  struct stat other {};
  return descriptor >= 0 && ::fstat(directory.descriptor(), &own) == 0 && ::fstat(descriptor, &other) == 0 &&
         own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

// A start goes by the name: what lies where that leads no more is none of its checkpoints.
void require_its_name(const OwnDirectory& directory) {
  struct stat own {};
  struct stat named {};
  const std::string path = directory.path().string();
  if (::fstat(directory.descriptor(), &own) != 0 ||
      (::lstat(path.c_str(), &named) != 0 && errno != ENOENT && errno != ENOTDIR))
    throw Error{{"look at", path, errno_text(), remedy_for(errno, kCheckpointSetting)}};
  if (own.st_dev == named.st_dev && own.st_ino == named.st_ino) return;
  throw Error{{"publish a checkpoint in", path,
               "the directory was moved away or replaced while its pipeline ran",
               "leave it where it is; the next checkpoint begins anew under that name"}};
}

// A delta is nothing without those between it and its base, which have the numbers between theirs.
void require_all_it_needs(const OwnDirectory& directory, const FileHead& head,
                          const std::vector<CheckpointName>& names) {
  std::uint64_t expected = head.base;
  for (const CheckpointName& name : names) {
    if (!name.part && name.number == expected) ++expected;
  }
  if (expected > head.number) return;
  throw Error{{"publish a checkpoint in", directory.path().string(),
               fmt::format("number {}, which it goes with, was removed while its pipeline ran", expected),
               "leave to the pipeline what is in there; the next checkpoint is a base"}};
}

void require_no_other_pipeline(const OwnDirectory& directory, const std::vector<CheckpointName>& names,
                               const std::string& pipeline) {
  const std::optional<std::string> other = other_pipeline(directory, names, pipeline);
  if (!other) return;
  throw Error{{"write checkpoints into", directory.path().string(),
               fmt::format("it has those of the pipeline {}", printable(*other)),
               "set checkpoint.path to a directory of its own, or remove what is there"}};
}

// A directory that was just made is lost with a power cut if those above it are not on the disk. Where they may not be
// opened they were there before.
void bring_those_above_to_disk(const std::filesystem::path& directory) {
  std::filesystem::path above = absolute_path(directory).parent_path();
  for (;; above = above.parent_path()) {
    const Descriptor fd{::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (fd) bring_to_disk(fd.get(), above.string());
    if (!above.has_relative_path()) return;
  }
}

// Why it cannot be done; nothing if it is.
std::string remove(const OwnDirectory& directory, const CheckpointName& name) {
  const std::string text = to_text(name);
  if (::unlinkat(directory.descriptor(), text.c_str(), 0) == 0 || errno == ENOENT) return {};
  return fmt::format("{} cannot be removed: {}", text, errno_text());
}

// Why there is no mark; nothing if there is one. Where a directory takes no further file (no inode, a quota), the newest becomes
// the mark: every death leaves all of them or the mark. It is the second choice, since a file system without a journal can have
// half a rename behind a power cut: the newest is gone then, and there is no mark. A new file has no such half.
std::string make_mark(const OwnDirectory& directory, const CheckpointName& newest) {
  constexpr int kNew = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
  const int fd = directory.descriptor();
  const Descriptor mark{::openat(fd, kEndedMark, kNew, 0600)};
  if (mark) return {};
  std::string why = fmt::format("{} cannot be made: {}", kEndedMark, errno_text());
  if (::renameat(fd, to_text(newest).c_str(), fd, kEndedMark) == 0) return {};
  return why;
}

// From here on nothing in the directory is gone on with: what is removed piece by piece is no chain that was damaged, and at no
// instant an older one is the newest.
void mark_as_ended(const OwnDirectory& directory, const CheckpointName& newest) {
  if (const std::string why = make_mark(directory, newest); !why.empty())
    throw Error{{"remove the checkpoints in", directory.path().string(), why, "remove them by hand"}};
  bring_to_disk(directory.descriptor(), directory.path().string());
}

// Of a pipeline that has ended, also by who finds that another died over it. The mark last.
void remove_ended(const OwnDirectory& directory, const std::vector<CheckpointName>& names) {
  const std::string path = directory.path().string();
  for (const CheckpointName& name : names) {
    if (const std::string why = remove(directory, name); !why.empty())
      throw Error{{"remove the checkpoints in", path, why, "remove them by hand"}};
  }
  bring_to_disk(directory.descriptor(), path);
  if (::unlinkat(directory.descriptor(), kEndedMark, 0) != 0 && errno != ENOENT) {
    throw Error{{"remove the checkpoints in", path,
                 fmt::format("{} cannot be removed: {}", kEndedMark, errno_text()), "remove it by hand"}};
  }
  bring_to_disk(directory.descriptor(), path);
}

}  // namespace

struct CheckpointWriter::Parts {
  // A base that was published, and how many checkpoints can be restored from it.
  struct Whole {
    std::uint64_t base;
    std::size_t checkpoints;
  };
  // What the next delta goes with.
  struct Chain {
    std::uint64_t base;
    std::uint64_t base_bytes;
    std::uint64_t delta_bytes;
    unsigned deltas;
    std::uint64_t number;
    Checksum checksum;
    bool renewed;
  };
  // Of the chain: what is written since it has begun.
  struct Renewing {
    std::uint64_t first;
    std::uint64_t bytes;
  };

  FileHead head_of_next(CheckpointKind kind, std::uint64_t time_ns, bool renews) const;
  void grow(const FileHead& head, std::uint64_t bytes, bool renews);
  void look_for_older();
  void forget_what_is_not_needed() noexcept;
  std::string remove_what_is_not_needed(const std::vector<CheckpointName>& names);

  std::shared_ptr<const OwnDirectory> directory;
  Descriptor locked;
  CheckpointIdentity identity;
  CheckpointOptions options;
  ChunkEncoder encoder;
  std::uint64_t next_number = 1;
  std::optional<Chain> chain;
  std::optional<Renewing> renewing;  // Only with a chain.
  std::vector<Whole> whole;          // The oldest first.
  bool knows_older = false;
};

FileHead CheckpointWriter::Parts::head_of_next(CheckpointKind kind, std::uint64_t time_ns,
                                               bool renews) const {
  FileHead head;
  head.kind = kind;
  head.run = identity.run;
  head.segment_bytes = identity.segment_bytes;
  head.number = next_number;
  head.base = next_number;
  head.time_ns = time_ns;
  head.pipeline_bytes = static_cast<std::uint32_t>(identity.pipeline.size());
  head.version_bytes = static_cast<std::uint32_t>(identity.version.size());
  if (kind == CheckpointKind::delta) {
    head.base = renews ? renewing->first : chain->base;
    if (renews || chain->renewed) head.format = kRenewedFormat;
    head.predecessor = chain->number;
    head.predecessor_checksum = chain->checksum;
  }
  return head;
}

// By what was published.
void CheckpointWriter::Parts::grow(const FileHead& head, std::uint64_t bytes, bool renews) {
  if (renewing) renewing->bytes += bytes;
  if (head.kind == CheckpointKind::base || renews) {
    chain = Chain{head.base, renews ? renewing->bytes : bytes, 0, 0, head.number, encoder.checksum(), renews};
    whole.push_back({head.base, 1});
    renewing.reset();
    return;
  }
  chain->delta_bytes += bytes;
  ++chain->deltas;
  chain->number = head.number;
  chain->checksum = encoder.checksum();
  ++whole.back().checkpoints;
}

// Those of writers before this one count only if they are whole, which has to be read.
void CheckpointWriter::Parts::look_for_older() {
  std::size_t found = 1;
  std::vector<Whole> all = whole;
  const std::vector<CheckpointChain> chains = chains_of(checkpoint_names(*directory));
  for (auto older = chains.rbegin(); older != chains.rend() && found < options.keep; ++older) {
    if (older->files.front().number >= all.front().base) continue;
    const WholePart part = whole_part_of(directory, *older, CheckpointReading::whole);
    if (!part.found) continue;
    const CheckpointTip tip = tip_of(*part.found);
    if (tip.base >= all.front().base) continue;
    all.insert(all.begin(), {tip.base, tip.deltas + std::size_t{1}});
    found += tip.deltas + std::size_t{1};
  }
  // Where one of them cannot be read now nothing is known, and nothing is removed.
  whole = std::move(all);
  knows_older = true;
}

void CheckpointWriter::Parts::forget_what_is_not_needed() noexcept {
  std::size_t kept = 0;
  auto oldest = whole.end();
  while (oldest != whole.begin() && kept < options.keep)
    kept += (--oldest)->checkpoints;
  whole.erase(whole.begin(), oldest);
}

// The newest first, so that whatever is left in between is a chain from its base on. Gives why something is left; what was
// published is so all the same.
std::string CheckpointWriter::Parts::remove_what_is_not_needed(const std::vector<CheckpointName>& names) {
  std::string problem;
  try {
    if (!knows_older) look_for_older();
    forget_what_is_not_needed();
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      if (name->number >= whole.front().base) continue;
      if (std::string why = remove(*directory, *name); problem.empty()) problem = std::move(why);
    }
  } catch (const Error& error) {
    problem = error.what();
  }
  return problem;
}

Descriptor lock_checkpoints(const std::string& directory) {
  return locked_one(OwnDirectory{directory, kCheckpointSetting}, kLastBreath);
}

CheckpointWriter::CheckpointWriter(const std::string& directory, CheckpointIdentity identity,
                                   CheckpointOptions options, int locked)
    : parts_{std::make_unique<Parts>()} {
  parts_->directory = std::make_shared<const OwnDirectory>(directory, kCheckpointSetting);
  const OwnDirectory& own = *parts_->directory;
  if (!is_of(own, locked)) parts_->locked = locked_one(own);
  parts_->identity = std::move(identity);
  parts_->identity.version.resize(std::min(parts_->identity.version.size(), kMostHeadTextBytes));
  if (parts_->identity.pipeline.size() > kMostHeadTextBytes)
    throw Error{{"write checkpoints of", "a pipeline", "its name is too long", "give it a shorter one"}};
  parts_->options = {std::max(options.keep, 1U), options.sync};
  const std::vector<CheckpointName> names = checkpoint_names(own);
  require_no_other_pipeline(own, names, parts_->identity.pipeline);
  if (options.sync) bring_those_above_to_disk(own.path());
  if (is_marked_as_ended(own)) remove_ended(own, names);
  for (const CheckpointName& name : names) {
    // What cannot be removed now is in nobody's way: its number is not used again.
    if (name.part) static_cast<void>(remove(own, name));
    parts_->next_number = name.number + 1;
  }
}

CheckpointWriter::~CheckpointWriter() = default;

void CheckpointWriter::go_on_after(const CheckpointTip& tip) {
  Parts& parts = *parts_;
  if (parts.chain || tip.number + 1 != parts.next_number || tip.run != parts.identity.run ||
      tip.segment_bytes != parts.identity.segment_bytes)
    return;
  parts.chain = Parts::Chain{tip.base,   tip.base_bytes, tip.delta_bytes, tip.deltas,
                             tip.number, tip.checksum,   tip.renewed};
  parts.whole.push_back({tip.base, tip.deltas + std::size_t{1}});
}

bool CheckpointWriter::wants_base() const noexcept {
  const std::optional<Parts::Chain>& chain = parts_->chain;
  if (!chain || chain->delta_bytes >= chain->base_bytes) return true;
  return chain->deltas >= std::clamp(chain->base_bytes / kBaseBytesADelta, kFewDeltas, kMostDeltas);
}

bool CheckpointWriter::needs_base() const noexcept {
  return !parts_->chain;
}

void CheckpointWriter::begin_renewal() noexcept {
  if (parts_->chain) parts_->renewing = Parts::Renewing{parts_->next_number, 0};
}

bool CheckpointWriter::is_renewing() const noexcept {
  return parts_->renewing.has_value();
}

WrittenCheckpoint CheckpointWriter::write(CheckpointKind kind, std::uint64_t time_ns,
                                          std::span<const Extent> extents, Renewal renewal) {
  Parts& parts = *parts_;
  const bool base = kind == CheckpointKind::base;
  // Of one alone nothing can be told from a delta that needs another.
  const bool renews =
      !base && renewal == Renewal::ends && parts.renewing && parts.renewing->first != parts.next_number;
  if (kind == CheckpointKind::delta && !parts.chain)
    throw Error{{"write a delta into", parts.directory->path().string(), "there is no base that it goes with",
                 "write a base"}};
  const FileHead head = parts.head_of_next(kind, time_ns, renews);
  // Until it is published nobody knows what a failure has left behind: its number is not used again.
  const std::optional<Parts::Chain> chain = std::exchange(parts.chain, std::nullopt);
  const std::optional<Parts::Renewing> renewing = std::exchange(parts.renewing, std::nullopt);
  ++parts.next_number;
  CheckpointOutput output{*parts.directory, {head.number, kind, false}};
  output.write(parts.encoder, head, parts.identity, extents);
  output.publish(parts.options.sync);
  require_its_name(*parts.directory);
  const std::vector<CheckpointName> names = checkpoint_names(*parts.directory);
  require_all_it_needs(*parts.directory, head, names);
  parts.chain = chain;
  if (!base && (renewal == Renewal::goes_on || renews)) parts.renewing = renewing;
  parts.grow(head, output.bytes(), renews);
  return {head.number, output.bytes(), output.raw_bytes(), base || renews ? head.base : 0,
          parts.remove_what_is_not_needed(names)};
}

void remove_checkpoints(const std::string& directory, const std::string& pipeline) {
  const std::optional<OwnDirectory> own = OwnDirectory::if_there(directory, kCheckpointSetting);
  if (!own) return;
  const Descriptor locked = locked_one(*own, kLastBreath);
  const std::vector<CheckpointName> names = checkpoint_names(*own);
  require_no_other_pipeline(*own, names, pipeline);
  if (names.empty()) return;
  mark_as_ended(*own, names.back());
  remove_ended(*own, names);
}

}  // namespace sluice::detail
