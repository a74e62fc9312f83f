// SPDX-License-Identifier: Apache-2.0
#include "host/restore.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <fcntl.h>
#include <iterator>
#include <map>
#include <span>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sluice/error.hpp>
#include <sluice/ipc/segment_shape.hpp>
#include <sluice/printable.hpp>

#include "checkpoint/checkpoint_format.hpp"
#include "checkpoint/checkpoint_store.hpp"
#include "host/enlarge.hpp"
#include "layout/image.hpp"
#include "layout/shape.hpp"
#include "ports/host_commit.hpp"
#include "worker/letter_file.hpp"

namespace sluice::detail {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error{
      {"go on with the checkpoints in", path, why,
       "start the pipeline that they were made of, or remove the directory: what is in it is lost then"}};
}

// Nothing is wrong with them.
[[noreturn]] void refuse_another_version(const std::string& path, const std::string& why) {
  throw Error{
      {"go on with the checkpoints in", path, why,
       "go on with the program and the Sluice that made them, to the end of the pipeline or of a drain, and "
       "begin anew then; or remove the directory: what is in it is lost then"}};
}

// What tells whether a directory is as it was.
struct Mark {
  CheckpointName name;
  std::uint64_t inode;
  std::int64_t bytes;
  std::int64_t changed_s;
  std::int64_t changed_ns;

  friend bool operator==(const Mark&, const Mark&) = default;
};

std::vector<Mark> marks_of(const std::string& path) {
  std::vector<Mark> marks;
  const std::optional<OwnDirectory> directory = OwnDirectory::if_there(path, kCheckpointSetting);
  if (!directory) return marks;
  for (const CheckpointName& name : checkpoint_names(*directory)) {
    struct stat status {};
    if (::fstatat(directory->descriptor(), to_text(name).c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      return {};
    marks.push_back({name, status.st_ino, status.st_size, status.st_ctim.tv_sec, status.st_ctim.tv_nsec});
  }
  return marks;
}

// A start looks for it more than once: to count workers, and to restore. Reading all of it takes as long as the disk does, so it is
// chosen by the ends of its files, and read while it is restored. What this thread has found holds for as long as the directory is
// as it was.
struct Known {
  std::string path;
  std::vector<Mark> marks;
  CheckpointReading reading;
  CheckpointSearch search;
};

std::optional<Known>& known_checkpoint() {
  thread_local std::optional<Known> known;
  return known;
}

CheckpointSearch newest_checkpoint_once(const std::string& path, CheckpointReading reading) {
  std::optional<Known>& known = known_checkpoint();
  std::vector<Mark> marks = marks_of(path);
  if (known && !marks.empty() && known->path == path && known->marks == marks &&
      (known->reading == CheckpointReading::whole || reading == CheckpointReading::ends))
    return known->search;
  known.reset();
  CheckpointSearch search = newest_checkpoint(path, reading);
  if (search.found && marks_of(path) == marks) known = Known{path, std::move(marks), reading, search};
  return search;
}

std::optional<FoundCheckpoint> find(const std::string& path, CheckpointReading reading,
                                    std::vector<std::string>& passed_over) {
  CheckpointSearch search = newest_checkpoint_once(path, reading);
  // What is older has less.
  if (!search.other_version.empty()) refuse_another_version(path, search.other_version);
  if (!search.found && !search.passed_over.empty())
    refuse(path, fmt::format("none of them is whole: {}", fmt::join(search.passed_over, "; ")));
  passed_over = std::move(search.passed_over);
  return std::move(search.found);
}

std::string shape_in(const FoundCheckpoint& found) {
  const std::size_t bytes = ImageMap::shape_bytes(front_of(found, ImageMap::kLengthBytes));
  return ImageMap::read_shape(front_of(found, bytes)).value_or("");
}

std::optional<std::string> shape_of_newest(const std::string& path) {
  std::vector<std::string> passed_over;
  try {
    const auto found = find(path, CheckpointReading::ends, passed_over);
    return found ? std::optional{shape_in(*found)} : std::nullopt;
  } catch (const Error&) {
    // Damaged between its ends, perhaps: there may be one that is whole.
    const auto found = find(path, CheckpointReading::whole, passed_over);
    return found ? std::optional{shape_in(*found)} : std::nullopt;
  }
}

// Where in the segment the bytes of an image belong.
class Places {
 public:
  Places(const SegmentMap& segment, const ImageMap& map) {
    for (const ProcessIndex process : segment.processes())
      parts_.emplace(map.plain(process), segment.memory().plain(process.value()));
    for (const LaneIndex lane : segment.lanes()) {
      parts_.emplace(map.ring(lane), segment.ring(lane));
    }
  }

  CheckpointPlace operator()(std::uint64_t offset, std::size_t bytes) const {
    const auto next = parts_.upper_bound(offset);
    const std::size_t before_next =
        next == parts_.end() ? bytes : std::min<std::size_t>(bytes, next->first - offset);
    // The shape in front, and what fills the last page of a part.
    if (next == parts_.begin()) return {nullptr, before_next};
    const auto& [begin, part] = *std::prev(next);
    const std::size_t at = offset - begin;
    if (at >= part.size()) return {nullptr, before_next};
    return {part.data() + at, std::min(bytes, part.size() - at)};
  }

  void clear() const noexcept {
    for (const auto& [offset, part] : parts_)
      std::fill(part.begin(), part.end(), std::byte{});
  }

 private:
  std::map<std::uint64_t, std::span<std::byte>> parts_;
};

std::string local_time(std::uint64_t ns) {
  const auto seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  return fmt::format("{:%F %T}", fmt::localtime(seconds));
}

}  // namespace

void make_way_for_checkpoint(const std::string& segment_path, const std::string& checkpoint_path) {
  if (segment_path.empty() || checkpoint_path.empty() || !ipc::is_of_another_boot(segment_path)) return;
  if (!newest_checkpoint(checkpoint_path).found) return;
  if (::unlink(segment_path.c_str()) == 0 || errno == ENOENT) return;
  throw Error{{"remove the segment of another boot", segment_path, errno_text(), "remove it by hand"}};
}

void refuse_newer_checkpoint(const Wiring& wiring, const std::string& segment_path) {
  const std::string& path = wiring.settings().checkpoints.path;
  // relaxed: all other processes are gone.
  const std::uint64_t run = wiring.requests().run.load(std::memory_order_relaxed);
  const std::int64_t known = wiring.master().newest_checkpoint_ns.load(std::memory_order_relaxed);
  const auto is_newer = [run, known](const CheckpointSearch& search) {
    return search.found && search.found->identity.run[0] == run &&
           search.found->time_ns > static_cast<std::uint64_t>(known);
  };
  // Most starts have read all that they need then.
  if (!is_newer(newest_checkpoint(path, CheckpointReading::ends))) return;
  const CheckpointSearch search = newest_checkpoint(path);
  if (!is_newer(search)) return;
  throw Error{
      {"go on with the segment", segment_path,
       fmt::format(
           "checkpoint {} in {}, of {}, is of the same run and not of this segment, whose last is {}: a "
           "start without the segment has gone on in between",
           search.found->number, path, local_time(search.found->time_ns),
           known == 0 ? "none" : "of " + local_time(static_cast<std::uint64_t>(known))),
       fmt::format(
           "to go on with the checkpoint, remove the file of the segment; to go on with the segment, move "
           "{} away: what the other has done is lost then",
           path)}};
}

std::function<std::optional<std::string>()> kept_shape(const Settings& settings) {
  return [segment = settings.text("segment.path"),
          checkpoints = settings.text("checkpoint.path")]() -> std::optional<std::string> {
    if (!segment.empty()) {
      if (auto shape = ipc::shape_in_file(segment); shape) return shape;
    }
    if (checkpoints.empty()) return std::nullopt;
    return shape_of_newest(checkpoints);
  };
}

namespace {

// How many of its files are in the segment. The last one that is there stands for all before it, by its checksum, wherever the chain
// begins now.
std::size_t files_in(const FoundCheckpoint& found, const Restored* before) {
  if (before == nullptr || before->files.empty()) return 0;
  const FoundCheckpoint::File& last = before->files.back();
  const auto there = std::find_if(found.files.begin(), found.files.end(), [&](const auto& file) {
    return file.name == last.name && file.checksum == last.checksum;
  });
  return there == found.files.end() ? 0 : static_cast<std::size_t>(there - found.files.begin()) + 1;
}

void refuse_another_pipeline(const Wiring& wiring, const FoundCheckpoint& found) {
  if (found.identity.pipeline == wiring.graph().name) return;
  refuse(wiring.settings().checkpoints.path,
         fmt::format("they are of the pipeline '{}'", printable(found.identity.pipeline)));
}

void refuse_another_shape(const Wiring& wiring, const FoundCheckpoint& found, const std::string& shape) {
  const std::string difference = ipc::shape_difference(shape_in(found), shape);
  if (difference.empty()) return;
  if (!shape_in(found).starts_with(shape_version())) {
    refuse_another_version(wiring.settings().checkpoints.path,
                           fmt::format("Sluice {} made them, whose layout in memory is another: {}",
                                       printable(found.identity.version), difference));
  }
  refuse(wiring.settings().checkpoints.path,
         fmt::format("they were made by Sluice {} of a pipeline of another shape: {}",
                     printable(found.identity.version), difference));
}

ImageMap map_of(const Wiring& wiring, const FoundCheckpoint& found, const Layout& layout,
                const std::string& shape) {
  ImageMap map{layout, shape};
  if (map.bytes() != found.identity.segment_bytes)
    refuse(wiring.settings().checkpoints.path, "they are of another size than their shape");
  return map;
}

// What this pipeline would have had made it, with smaller lanes, undo logs, state or tables; nothing if it is no such.
std::optional<Former> smaller_maker(const Wiring& wiring, const std::string& shape) {
  const std::string version = shape_version();
  if (!shape.starts_with(version)) return std::nullopt;
  return smaller_former(wiring.graph(), wiring.layout(), wiring.settings(), shape.substr(version.size()));
}

// By way of a segment of the sizes that it was made of.
void copy_enlarged(const Wiring& wiring, const FoundCheckpoint& found, const Former& former,
                   const std::string& shape) {
  const ImageMap map = map_of(wiring, found, former.layout, shape);
  ipc::Segment small{wiring.graph().name, region_specs(former.layout)};
  small.allocate();
  small.own_everything();
  restore(found, Places{SegmentMap{former.layout, small}, map});
  bring_over(wiring.graph(), wiring.layout(), wiring.settings(), wiring.segment(), former, small);
}

// `clear`: something else is there. False: it came by way of a smaller one.
bool copy_into(const Wiring& wiring, FoundCheckpoint found, std::size_t there, bool clear) {
  refuse_another_pipeline(wiring, found);
  const std::string shape = checkpoint_shape(wiring.graph(), wiring.layout(), wiring.settings());
  const std::string kept = shape_in(found);
  const std::optional<Former> former = kept == shape ? std::nullopt : smaller_maker(wiring, kept);
  if (!former) refuse_another_shape(wiring, found, shape);
  const Places places{wiring, ImageMap{wiring.layout(), shape}};
  if (clear || (former && there != 0)) places.clear();
  if (former) {
    copy_enlarged(wiring, found, *former, kept);
    return false;
  }
  map_of(wiring, found, wiring.layout(), shape);
  found.files.erase(found.files.begin(), found.files.begin() + static_cast<std::ptrdiff_t>(there));
  restore(found, places);
  return true;
}

// What is shipped counts, and may have been seen outside: what is damaged here is not passed over then.
void refuse_to_step_back(const std::string& path, const std::vector<std::string>& passed_over) {
  if (passed_over.empty()) return;
  throw Error{
      {"go on with the checkpoints in", path,
       fmt::format("they are shipped, and the newest are not whole: {}", fmt::join(passed_over, "; ")),
       "empty the directory, and fetch them from where they are shipped to"}};
}

// One that is damaged between its ends is found to be so while it is restored: then all are read, and the newest whole one is taken.
std::optional<FoundCheckpoint> restore_newest(const Wiring& wiring, const Restored* before, bool& as_it_was,
                                              std::vector<std::string>& passed_over) {
  const std::string& path = wiring.settings().checkpoints.path;
  auto found = find(path, CheckpointReading::ends, passed_over);
  if (!found) return found;
  try {
    if (wiring.shipper()) refuse_to_step_back(path, passed_over);
    const std::size_t there = files_in(*found, before);
    as_it_was = copy_into(wiring, *found, there, before != nullptr && there == 0);
    return found;
  } catch (const Error&) {
    passed_over.clear();
    found = find(path, CheckpointReading::whole, passed_over);
    if (!found) throw;
  }
  if (wiring.shipper()) refuse_to_step_back(path, passed_over);
  as_it_was = copy_into(wiring, *found, 0, true);
  return found;
}

}  // namespace

std::optional<Restored> restore_checkpoint(const Wiring& wiring, const Restored* before) {
  std::vector<std::string> passed_over;
  bool as_it_was = true;
  const auto found = restore_newest(wiring, before, as_it_was, passed_over);
  known_checkpoint().reset();
  if (!found && before != nullptr)
    refuse(wiring.settings().checkpoints.path, "what was restored is not there any more");
  if (!found) return std::nullopt;
  for (const LaneIndex lane : wiring.lanes()) {
    // relaxed: before the first fork. All that it holds is in a checkpoint.
    wiring.released(lane).store(wiring.lane(lane).producer->tail.load(std::memory_order_relaxed),
                                std::memory_order_relaxed);
  }
  // relaxed: as above.
  wiring.master().newest_checkpoint_ns.store(static_cast<std::int64_t>(found->time_ns),
                                             std::memory_order_relaxed);
  wiring.requests().restored.store(1, std::memory_order_relaxed);  // relaxed: as above.
  for (const WorkerIndex worker : wiring.workers()) {
    LetterFile::note_restore(wiring.worker(worker).state());
    wiring.checkpointed(worker).store(
        wiring.worker(worker).commit().committed.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  for (const EndLayout& end : wiring.layout().ends)
    wiring.checkpointed(end.node).store(HostCommit{wiring, end.node}.count(), std::memory_order_relaxed);
  std::string text = fmt::format("checkpoint {} in {}, of {}", found->number,
                                 wiring.settings().checkpoints.path, local_time(found->time_ns));
  if (!passed_over.empty())
    text += fmt::format("; newer ones are not whole: {}", fmt::join(passed_over, "; "));
  return Restored{std::move(text), as_it_was ? std::optional{tip_of(*found)} : std::nullopt, found->files};
}

}  // namespace sluice::detail
