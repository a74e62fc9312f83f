// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint_chain.hpp"

#include <algorithm>
#include <cstdint>
#include <fcntl.h>
#include <map>
#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "checkpoint/checkpoint_input.hpp"

namespace sluice::detail {
namespace {

struct WholeFile {
  FileHead head;
  CheckpointIdentity identity;
  Checksum checksum = 0;
  Totals totals;
};

std::string path_of(const OwnDirectory& directory, const CheckpointName& name) {
  return (directory.path() / to_text(name)).string();
}

Descriptor open_named(const OwnDirectory& directory, const CheckpointName& name) {
  try {
    std::optional<Descriptor> file = directory.open_to_read(to_text(name));
    if (!file) throw NotWhole{"it is gone", true};
    return std::move(*file);
  } catch (const CannotRead& failed) {
    cannot_read(path_of(directory, name), failed.reason());
  } catch (const Error& error) {
    throw NotWhole{error.parts().why};
  }
}

WholeFile read(const OwnDirectory& directory, const CheckpointName& name, CheckpointReading reading) {
  const Descriptor file = open_named(directory, name);
  CheckpointInput input{file, path_of(directory, name)};
  const FileHead& head = input.head();
  if (head.number != name.number)
    throw NotWhole{fmt::format("its head says that it is number {}", head.number)};
  if (head.kind != name.kind) throw NotWhole{"its name and its head do not agree on what it is"};
  reading == CheckpointReading::whole ? input.read(nullptr) : input.read_end();
  return {head, input.identity(), input.checksum(), input.totals()};
}

// What tells whether a file is the one that was read; it is written under another name, and not changed then.
struct FileMark {
  dev_t device = 0;
  ino_t inode = 0;
  off_t bytes = 0;
  std::int64_t changed_s = 0;
  std::int64_t changed_ns = 0;

  friend bool operator==(const FileMark&, const FileMark&) = default;
};

FileMark mark_of(const OwnDirectory& directory, const CheckpointName& name) noexcept {
  struct stat status {};
  if (::fstatat(directory.descriptor(), to_text(name).c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {};
  return {status.st_dev, status.st_ino, status.st_size, status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
}

// Who restores a chain that grows (Engine::restore_ahead) looks at it again and again: of thousands of files only the new ones are
// read. What lies between their ends is checked when it is restored, whatever is remembered here.
class ReadEnds {
 public:
  const WholeFile& of(const OwnDirectory& directory, const CheckpointName& name) {
    const FileMark mark = mark_of(directory, name);
    const auto found = files_.find(name.number);
    if (found != files_.end() && found->second.name == name && mark.inode != 0 && found->second.mark == mark)
      return found->second.file;
    if (files_.size() >= kMost) files_.clear();
    return files_
        .insert_or_assign(name.number, Known{name, mark, read(directory, name, CheckpointReading::ends)})
        .first->second.file;
  }

 private:
  struct Known {
    CheckpointName name;
    FileMark mark;
    WholeFile file;
  };
  // More than a chain has.
  static constexpr std::size_t kMost = 8192;

  std::map<std::uint64_t, Known> files_;
};

WholeFile read_or_remembered(const OwnDirectory& directory, const CheckpointName& name,
                             CheckpointReading reading) {
  thread_local ReadEnds ends;
  return reading == CheckpointReading::ends ? ends.of(directory, name) : read(directory, name, reading);
}

void require_next(const FoundCheckpoint& chain, const CheckpointName& name) {
  if (name.number != chain.number + 1)
    throw NotWhole{fmt::format("number {}, which it needs, is not there", chain.number + 1)};
}

void require_next(const FoundCheckpoint& chain, const WholeFile& file) {
  const FileHead& head = file.head;
  if (head.run != chain.identity.run || head.segment_bytes != chain.identity.segment_bytes ||
      file.identity.pipeline != chain.identity.pipeline)
    throw NotWhole{"it is one of another run"};
  if (head.predecessor != chain.number || head.predecessor_checksum != chain.files.back().checksum)
    throw NotWhole{fmt::format("it goes with another number {} than that which is there", chain.number)};
}

void add(FoundCheckpoint& chain, const CheckpointName& name, WholeFile file) {
  chain.identity = std::move(file.identity);
  chain.number = file.head.number;
  chain.time_ns = file.head.time_ns;
  chain.bytes += file.totals.file_bytes;
  chain.raw_bytes += file.totals.raw_bytes;
  chain.files.push_back({to_text(name), file.checksum, file.totals.file_bytes});
}

void pass_over(WholePart& part, const CheckpointName& name, const NotWhole& reason, std::size_t others) {
  part.missed_one |= reason.is_gone;
  part.passed_over.push_back(to_text(name) + ": " + reason.why);
  if (reason.is_other) part.other = part.passed_over.back();
  if (others != 0)
    part.passed_over.back() +=
        fmt::format("; {} more {} lost with it", others, others == 1 ? "delta is" : "deltas are");
}

}  // namespace

CheckpointTip tip_of(const FoundCheckpoint& found) {
  const std::size_t base_files = found.base_files;
  const auto deltas = static_cast<unsigned>(found.files.size() - base_files);
  std::uint64_t base_bytes = 0;
  for (std::size_t i = 0; i < base_files; ++i)
    base_bytes += found.files[i].bytes;
  return {.run = found.identity.run,
          .segment_bytes = found.identity.segment_bytes,
          .number = found.number,
          .checksum = found.files.back().checksum,
          .base = found.number + 1 - found.files.size(),
          .base_bytes = base_bytes,
          .delta_bytes = found.bytes - base_bytes,
          .deltas = deltas,
          .renewed = base_files > 1};
}

std::vector<CheckpointChain> chains_of(const std::vector<CheckpointName>& names) {
  std::vector<CheckpointChain> chains;
  for (const CheckpointName& name : names) {
    if (name.part) continue;
    if (chains.empty() || name.kind == CheckpointKind::base) chains.emplace_back();
    chains.back().files.push_back(name);
  }
  return chains;
}

namespace {

// From this file of the chain on, as far as it is whole.
WholePart whole_part_from(const std::shared_ptr<const OwnDirectory>& directory, const CheckpointChain& chain,
                          std::size_t first, CheckpointReading reading) {
  WholePart part;
  FoundCheckpoint found;
  found.directory = directory;
  const CheckpointName& base = chain.files[first];
  for (std::size_t i = first; i < chain.files.size(); ++i) {
    const CheckpointName& name = chain.files[i];
    try {
      if (i != first) require_next(found, name);
      WholeFile file = read_or_remembered(*directory, name, reading);
      if (i != first) require_next(found, file);
      const bool is_whole = file.head.base == base.number;
      add(found, name, std::move(file));
      if (is_whole && found.base_files == 0) found.base_files = found.files.size();
    } catch (const NotWhole& reason) {
      pass_over(part, name, reason, chain.files.size() - i - 1);
      break;
    }
  }
  if (found.base_files != 0) part.found = std::move(found);
  return part;
}

// What a file says that it goes with; of one that cannot be read nothing.
std::optional<std::uint64_t> base_said_by(const OwnDirectory& directory, const CheckpointName& name) {
  try {
    return read_or_remembered(directory, name, CheckpointReading::ends).head.base;
  } catch (const NotWhole&) {
    return std::nullopt;
  }
}

}  // namespace

// The newest base that its files speak of is tried first: what is whole from there on is not older than what is whole from one
// before it.
WholePart whole_part_of(const std::shared_ptr<const OwnDirectory>& directory, const CheckpointChain& chain,
                        CheckpointReading reading) {
  WholePart part;
  std::optional<std::uint64_t> tried;
  for (auto last = chain.files.rbegin(); last != chain.files.rend(); ++last) {
    const std::optional<std::uint64_t> base = base_said_by(*directory, *last);
    if (!base || base == tried) continue;
    tried = base;
    const auto first = std::find_if(chain.files.begin(), chain.files.end(),
                                    [&](const CheckpointName& name) { return name.number == *base; });
    if (first == chain.files.end()) continue;
    WholePart from =
        whole_part_from(directory, chain, static_cast<std::size_t>(first - chain.files.begin()), reading);
    from.missed_one |= part.missed_one;
    part = std::move(from);
    if (part.found) return part;
  }
  if (!part.passed_over.empty()) return part;
  if (chain.files.front().kind == CheckpointKind::base) return whole_part_from(directory, chain, 0, reading);
  pass_over(part, chain.files.front(), {"its base is not there"}, chain.files.size() - 1);
  return part;
}

std::optional<std::string> other_pipeline(const OwnDirectory& directory,
                                          const std::vector<CheckpointName>& names,
                                          const std::string& pipeline) {
  // Those of one chain are of one pipeline.
  for (const CheckpointChain& chain : chains_of(names)) {
    const CheckpointName& name = chain.files.front();
    try {
      const Descriptor file = open_named(directory, name);
      std::string found = CheckpointInput{file, path_of(directory, name)}.identity().pipeline;
      if (found != pipeline) return found;
    } catch (const NotWhole&) {
      // It says nothing.
    }
  }
  return std::nullopt;
}

}  // namespace sluice::detail
