// SPDX-License-Identifier: Apache-2.0
// A segment that changes at random, what was published of it, and what a directory gives back.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "checkpoint/checkpoint_store.hpp"

namespace sluice::test {

using detail::CheckpointIdentity;
using detail::CheckpointKind;
using detail::CheckpointOptions;
using detail::CheckpointSearch;
using detail::CheckpointWriter;
using detail::Extent;
using detail::WrittenCheckpoint;
using Image = std::vector<std::byte>;

// What no extent covers; a restore leaves it alone.
inline constexpr std::byte kUntouched{0xee};

inline CheckpointIdentity identity_of(std::uint64_t segment_bytes, std::uint64_t run = 7) {
  return {{run, run + 1}, segment_bytes, "market", "1.0"};
}

// A directory that is made by the writer, in memory where there is such a place; gone with its owner.
class CheckpointDirectory {
 public:
  CheckpointDirectory() {
    const std::filesystem::path memory = "/dev/shm";
    const std::filesystem::path place =
        std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
    std::string path = (place / "sluice-checkpoint-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error{"mkdtemp"};
    above_ = path;
  }
  CheckpointDirectory(const CheckpointDirectory&) = delete;
  CheckpointDirectory& operator=(const CheckpointDirectory&) = delete;
  ~CheckpointDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(above_, ignored);
  }
  std::filesystem::path path() const { return above_ / "checkpoints"; }
  std::filesystem::path above() const { return above_; }
  std::filesystem::path file(std::uint64_t number, const char* kind) const {
    std::string digits = std::to_string(number);
    digits.insert(0, 12 - digits.size(), '0');
    return path() / ("checkpoint-" + digits + "." + kind);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{path()})
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::filesystem::path above_;
};

class SegmentModel {
 public:
  SegmentModel(std::size_t bytes, unsigned seed) : now_(bytes, kUntouched), random_{seed} {
    hole_begin_ = below(bytes / 2);
    hole_end_ = hole_begin_ + below(bytes / 4);
    for (std::size_t at = 0; at < bytes; ++at) {
      if (!in_hole(at)) now_[at] = some_byte();
    }
  }

  // From now on a chain is renewed instead of begun with another base.
  void renew_chains() { renews_ = true; }
  // How often that was done.
  unsigned renewed() const { return renewed_; }

  // Changes up to so many places, each of up to so many bytes, and mostly less.
  std::vector<Extent> change(std::size_t most_places, std::size_t most_bytes) {
    const std::vector<bool> changed = change_some(most_places, most_bytes);
    return pieces([&changed](std::size_t at) { return changed[at]; }, most_bytes);
  }
  // All but the hole, in pieces of up to so many bytes.
  std::vector<Extent> everything(std::size_t most_bytes) {
    return pieces([this](std::size_t at) { return !in_hole(at); }, most_bytes);
  }

  // Writes what a writer would be asked to, and keeps what was published.
  WrittenCheckpoint publish(CheckpointWriter& writer, std::size_t most_bytes) {
    const bool base = writer.needs_base() || (writer.wants_base() && !renews_);
    std::vector<bool> changed = change_some(6, most_bytes);
    const bool ends = !base && renews_ && add_a_piece(writer, changed);
    const std::vector<Extent> extents =
        base ? everything(most_bytes)
             : pieces([&changed](std::size_t at) { return changed[at]; }, most_bytes);
    WrittenCheckpoint written =
        writer.write(base ? CheckpointKind::base : CheckpointKind::delta, 1000 + published_.size(), extents,
                     ends ? CheckpointWriter::Renewal::ends : CheckpointWriter::Renewal::goes_on);
    EXPECT_EQ(written.whole_from != 0, base || ends);
    renewed_ += ends ? 1 : 0;
    published_[written.number] = now_;
    return written;
  }

  const Image& now() const { return now_; }
  const std::map<std::uint64_t, Image>& published() const { return published_; }
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

 private:
  std::vector<bool> change_some(std::size_t most_places, std::size_t most_bytes) {
    std::vector<bool> changed(now_.size());
    for (std::size_t places = 1 + below(most_places); places != 0; --places) {
      const std::size_t offset = below(now_.size());
      const std::size_t bytes = 1 + below(1 + below(std::min(most_bytes, now_.size() - offset)));
      for (std::size_t at = offset; at < offset + bytes && !in_hole(at); ++at) {
        now_[at] = some_byte();
        changed[at] = true;
      }
    }
    return changed;
  }
  // Of everything, while the chain is renewed; whether it is the last one.
  bool add_a_piece(CheckpointWriter& writer, std::vector<bool>& changed) {
    if (!writer.is_renewing()) {
      if (!writer.wants_base()) return false;
      writer.begin_renewal();
      renewed_to_ = 0;
    }
    const std::size_t end = std::min(renewed_to_ + 1 + below(now_.size() / 2), now_.size());
    for (; renewed_to_ < end; ++renewed_to_)
      changed[renewed_to_] = changed[renewed_to_] || !in_hole(renewed_to_);
    return renewed_to_ == now_.size();
  }

  template <class Wanted>
  std::vector<Extent> pieces(Wanted&& wanted, std::size_t most_bytes) {
    std::vector<Extent> pieces;
    for (std::size_t at = 0; at < now_.size(); ++at) {
      if (!wanted(at)) continue;
      std::size_t end = at + 1;
      for (const std::size_t most = at + 1 + below(most_bytes); end < std::min(most, now_.size()); ++end) {
        if (!wanted(end)) break;
      }
      pieces.push_back({at, std::span{now_}.subspan(at, end - at)});
      at = end - 1;
    }
    return pieces;
  }
  bool in_hole(std::size_t at) const { return at >= hole_begin_ && at < hole_end_; }
  // Of few kinds, so that there is something to compress.
  std::byte some_byte() { return static_cast<std::byte>(below(4) == 0 ? below(256) : 0); }

  Image now_;
  std::mt19937 random_;
  std::size_t hole_begin_ = 0;
  std::size_t hole_end_ = 0;
  bool renews_ = false;
  unsigned renewed_ = 0;
  std::size_t renewed_to_ = 0;
  std::map<std::uint64_t, Image> published_;
};

inline Image restored(const detail::FoundCheckpoint& found) {
  Image segment(found.identity.segment_bytes, kUntouched);
  detail::restore(found, segment);
  return segment;
}

// The number of the checkpoint that the directory gives back, 0 for none. It is exactly what was published by that number.
inline std::uint64_t number_restored(const std::filesystem::path& directory,
                                     const std::map<std::uint64_t, Image>& published) {
  const CheckpointSearch search = detail::newest_checkpoint(directory.string());
  if (!search.found) return 0;
  const auto model = published.find(search.found->number);
  if (model == published.end()) {
    ADD_FAILURE() << "number " << search.found->number << " was never published";
    return 0;
  }
  EXPECT_TRUE(restored(*search.found) == model->second) << "number " << search.found->number;
  return search.found->number;
}

}  // namespace sluice::test
