// SPDX-License-Identifier: Apache-2.0
#include "host/restore.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <span>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sluice/error.hpp>
#include <sluice/ipc/segment_shape.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

#include "checkpoint/checkpoint_store.hpp"
#include "layout/image.hpp"
#include "layout/shape.hpp"

namespace sluice::detail {
namespace {

// Of a checkpoint: private memory, of which only what is copied takes room.
class Image {
 public:
  // All of it.
  explicit Image(const FoundCheckpoint& found) : Image{found.identity.segment_bytes} {
    restore(found, bytes_);
  }
  ~Image() { ::munmap(bytes_.data(), bytes_.size()); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  explicit Image(std::size_t bytes)
      : bytes_{static_cast<std::byte*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
               bytes} {
    if (bytes_.data() == MAP_FAILED) {
      throw Error{{"restore a checkpoint", format_bytes(bytes) + " of addresses", errno_text(),
                   "allow this user more memory (ulimit -v)"}};
    }
  }

  std::span<std::byte> bytes_;
};

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error{
      {"go on with the checkpoints in", path, why,
       "start the pipeline that they were made of, or remove the directory: what is in it is lost then"}};
}

std::optional<FoundCheckpoint> find(const std::string& path, std::vector<std::string>& passed_over) {
  CheckpointSearch search = newest_checkpoint(path);
  if (!search.found && !search.passed_over.empty())
    refuse(path, fmt::format("none of them is whole: {}", fmt::join(search.passed_over, "; ")));
  passed_over = std::move(search.passed_over);
  return std::move(search.found);
}

// Pages of zeros are there already.
void copy_part(std::span<std::byte> to, const std::byte* from) {
  static constexpr std::byte kZeros[kPageBytes]{};
  for (std::size_t at = 0; at < to.size(); at += kPageBytes) {
    const std::size_t bytes = std::min(kPageBytes, to.size() - at);
    if (std::memcmp(from + at, kZeros, bytes) != 0) std::memcpy(to.data() + at, from + at, bytes);
  }
}

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

std::function<std::optional<std::string>()> kept_shape(const Settings& settings) {
  return [segment = settings.text("segment.path"),
          checkpoints = settings.text("checkpoint.path")]() -> std::optional<std::string> {
    if (!segment.empty()) {
      if (auto shape = ipc::shape_in_file(segment); shape) return shape;
    }
    if (checkpoints.empty()) return std::nullopt;
    std::vector<std::string> passed_over;
    const auto found = find(checkpoints, passed_over);
    return found ? ImageMap::read_shape(Image{*found}.bytes()) : std::nullopt;
  };
}

std::optional<std::string> restore_checkpoint(const Wiring& wiring) {
  const std::string& path = wiring.settings().checkpoints.path;
  std::vector<std::string> passed_over;
  const auto found = find(path, passed_over);
  if (!found) return std::nullopt;
  if (found->identity.pipeline != wiring.graph().name)
    refuse(path, fmt::format("they are of the pipeline '{}'", printable(found->identity.pipeline)));
  const Image image{*found};
  const std::string shape = checkpoint_shape(wiring.graph(), wiring.layout(), wiring.settings());
  const std::string difference =
      ipc::shape_difference(ImageMap::read_shape(image.bytes()).value_or("nothing: known"), shape);
  if (!difference.empty()) {
    refuse(path, fmt::format("they were made by Sluice {} of a pipeline of another shape: {}",
                             printable(found->identity.version), difference));
  }
  const ImageMap map{wiring.layout(), shape};
  if (map.bytes() != image.bytes().size()) refuse(path, "they are of another size than their shape");
  for (const ProcessIndex process : wiring.processes())
    copy_part(wiring.segment().plain(process.value()), image.bytes().data() + map.plain(process));
  for (const LaneIndex lane : wiring.lanes()) {
    const ipc::LaneMemory memory = wiring.lane(lane);
    copy_part({memory.ring, memory.capacity_bytes}, image.bytes().data() + map.ring(lane));
    // relaxed: before the first fork. All that it holds is in a checkpoint.
    wiring.released(lane).store(memory.producer->tail.load(std::memory_order_relaxed),
                                std::memory_order_relaxed);
  }
  std::string text =
      fmt::format("checkpoint {} in {}, of {}", found->number, path, local_time(found->time_ns));
  if (!passed_over.empty())
    text += fmt::format("; newer ones are not whole: {}", fmt::join(passed_over, "; "));
  return text;
}

}  // namespace sluice::detail
