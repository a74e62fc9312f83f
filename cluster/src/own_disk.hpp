// SPDX-License-Identifier: Apache-2.0
// Whether it is this machine's disk that holds a partition up: a checkpoint is a file here before it is stored, and what another host
// could do is not to wait for that.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <sluice/engine.hpp>

namespace sluice::detail {

// Called by the process of the partition, but for written().
class OwnDisk {
 public:
  // So long it is waited for.
  static constexpr std::chrono::nanoseconds kPatience = std::chrono::seconds{10};

  // `checkpoints`: the directory. Throws Error.
  explicit OwnDisk(std::string checkpoints);

  // A file is there. By the process that ships checkpoints, which is forked from this one.
  void written() noexcept;
  // Throws Error if for so long none could be written, by what the engine says. Looks once a second.
  void require_room(const Engine& engine);

 private:
  struct Unmap {
    void operator()(std::atomic<std::int64_t>* word) const noexcept;
  };
  std::string checkpoints_;
  std::unique_ptr<std::atomic<std::int64_t>, Unmap> written_ns_;  // In memory that both have.
  std::chrono::nanoseconds next_look_{};
};

}  // namespace sluice::detail
