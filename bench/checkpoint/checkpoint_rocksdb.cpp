// SPDX-License-Identifier: Apache-2.0
// RocksDB's Checkpoint, as its users take it: the memtable is flushed into a table file, which is synced, files are linked into
// a directory of the checkpoint's, which is synced, and the manifest is copied.
//
// Set up for what is asked here: no write-ahead log, since a checkpoint is all that must come back; the rest as RocksDB has it.
// A checkpoint may be made while rows are written: a row is put again all the time, and the longest put is the pause.
#include <algorithm>
#include <memory>
#include <rocksdb/db.h>
#include <rocksdb/utilities/checkpoint.h>
#include <string>
#include <thread>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>

#include "checkpoint_run.hpp"

namespace sluice::bench {

using detail::monotonic_now;
namespace {

void check(const rocksdb::Status& status, const char* what) {
  if (!status.ok())
    throw Error{{what, "RocksDB", status.ToString(), "set TMPDIR to a directory with more room"}};
}

template <class T>
rocksdb::Slice bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

class Rows {
 public:
  explicit Rows(const std::filesystem::path& path) {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* opened = nullptr;
    check(rocksdb::DB::Open(options, path.string(), &opened), "open");
    database_.reset(opened);
    write_.disableWAL = true;
  }
  void put(const KeptRow& row) {
    check(database_->Put(write_, bytes_of(row.key), bytes_of(row.words)), "write into");
  }
  void checkpoint(const std::filesystem::path& directory) {
    rocksdb::Checkpoint* made = nullptr;
    check(rocksdb::Checkpoint::Create(database_.get(), &made), "make a checkpoint of");
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint{made};
    check(checkpoint->CreateCheckpoint(directory.string()), "make a checkpoint of");
  }
  KeptRow row(std::uint64_t key) {
    rocksdb::PinnableSlice value;
    check(database_->Get({}, database_->DefaultColumnFamily(), bytes_of(key), &value), "read from");
    KeptRow row{.key = key};
    std::copy_n(value.data(), std::min(value.size(), sizeof(row.words)), reinterpret_cast<char*>(&row.words));
    return row;
  }
  std::uint64_t sum() {
    std::uint64_t sum = 0;
    const std::unique_ptr<rocksdb::Iterator> at{database_->NewIterator({})};
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      KeptRow row;
      std::copy_n(at->key().data(), std::min(at->key().size(), sizeof(row.key)),
                  reinterpret_cast<char*>(&row.key));
      std::copy_n(at->value().data(), std::min(at->value().size(), sizeof(row.words)),
                  reinterpret_cast<char*>(&row.words));
      sum += sum_of(row);
    }
    check(at->status(), "read from");
    return sum;
  }

 private:
  std::unique_ptr<rocksdb::DB> database_;
  rocksdb::WriteOptions write_;
};

// The longest put of `row` while another thread makes the checkpoint, and how long that takes.
CheckpointFigures::Round checkpoint_beside_puts(Rows& rows, const std::filesystem::path& directory,
                                                const KeptRow& row) {
  CheckpointFigures::Round round;
  const auto start = monotonic_now();
  {
    const std::jthread other{[&rows, &row, &round](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const auto before = monotonic_now();
        rows.put(row);
        round.pause = std::max(round.pause, monotonic_now() - before);
        std::this_thread::sleep_for(std::chrono::microseconds{100});
      }
    }};
    rows.checkpoint(directory);
    round.durable = monotonic_now() - start;
  }
  return round;
}

}  // namespace

void checkpoints_by_rocksdb(const CheckpointRun& run, const std::filesystem::path& directory,
                            CheckpointFigures& figures) {
  constexpr std::uint32_t kKept = 2;  // As checkpoint.keep has it.
  Changes changes{run};
  const auto name = [&directory](std::uint32_t round) {
    return directory / ("checkpoint" + std::to_string(round));
  };
  {
    Rows rows{directory / "rows"};
    for (const KeptRow& row : changes.next())
      rows.put(row);
    rows.checkpoint(name(0));
    const std::uint64_t before = bytes_written_so_far();
    for (std::uint32_t round = 1; round <= run.rounds; ++round) {
      const std::vector<KeptRow> changed = changes.next();
      for (const KeptRow& row : changed)
        rows.put(row);
      figures.add(checkpoint_beside_puts(rows, name(round), changed.back()));
      if (round >= kKept) std::filesystem::remove_all(name(round - kKept));
    }
    figures.written_bytes = bytes_written_so_far() - before;
  }
  const auto start = monotonic_now();
  Rows found{name(run.rounds)};
  if (found.row(0).key != 0) throw Error{{"restore", directory.string(), "a row is another", ""}};
  figures.restored = monotonic_now() - start;
  const std::uint64_t sum = found.sum();
  figures.all_rows_had = monotonic_now() - start;
  if (sum != changes.sum())
    throw Error{
        {"restore", directory.string(), "the rows are not those of the checkpoint", "look at its LOG"}};
}

}  // namespace sluice::bench
