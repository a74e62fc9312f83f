// SPDX-License-Identifier: Apache-2.0
// One run of checkpoints for the suite `recovery`: the same rows, the same changes of them between two checkpoints, kept by
// whoever is measured.
//
// A run is a process of its own with its descendants (child_run.hpp): RocksDB has threads, beside which no pipeline starts.
// It fills its state, makes a first checkpoint, which is not measured, and then `rounds` times changes rows and makes another.
// At its end it forgets the state, takes it from the newest checkpoint, and must find the rows as they were.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace sluice::bench {

// 120 bytes, of which nothing is compressible, so that nobody gains by his compressor.
struct KeptRow {
  std::uint64_t key = 0;
  std::array<std::uint64_t, 14> words{};
};

struct CheckpointRun {
  std::uint64_t rows = 0;
  std::uint64_t changed = 0;  // Rows between two checkpoints, drawn anew each time.
  std::uint32_t rounds = 0;
};

// What a run tells the benchmark, in memory that both have.
struct CheckpointFigures {
  static constexpr std::size_t kMostRounds = 32;
  struct Round {
    std::chrono::nanoseconds pause{0};    // How long whoever changes rows was held up.
    std::chrono::nanoseconds durable{0};  // From the instant of which it is until it is on the disk.
  };
  std::array<Round, kMostRounds> rounds{};
  std::size_t count = 0;
  std::uint64_t written_bytes = 0;       // By all processes of the run, for these rounds.
  std::chrono::nanoseconds restored{0};  // Until any row can be had; rows that stay on the disk are not read,
  std::chrono::nanoseconds all_rows_had{0};  // and until each has been read once.

  void add(const Round& round) { rounds.at(count++) = round; }
};

// The changes of a run, the same for everybody: round 0 fills the rows.
class Changes {
 public:
  explicit Changes(const CheckpointRun& run) : run_{run} {}
  std::vector<KeptRow> next();
  // What the words of all rows add up to behind what next() has given.
  std::uint64_t sum() const noexcept { return sum_; }

 private:
  std::uint64_t draw() noexcept;

  CheckpointRun run_;
  bool filled_ = false;
  std::uint64_t drawn_ = 0;
  std::vector<std::uint64_t> sums_;
  std::uint64_t sum_ = 0;
};

std::uint64_t sum_of(const KeptRow& row) noexcept;

// What this process and its descendants have given to write(2) and the like: files, and little else.
std::uint64_t bytes_written_so_far();

// The runs. Each may use `directory`, which is empty. They throw Error.
void checkpoints_by_sluice(const CheckpointRun& run, const std::filesystem::path& directory,
                           CheckpointFigures& figures);
// All rows are copied while nobody changes them, and the copy is written.
void checkpoints_by_copy(const CheckpointRun& run, const std::filesystem::path& directory,
                         CheckpointFigures& figures);
// Built where RocksDB is: SLUICE_BENCH_ROCKSDB.
void checkpoints_by_rocksdb(const CheckpointRun& run, const std::filesystem::path& directory,
                            CheckpointFigures& figures);

}  // namespace sluice::bench
