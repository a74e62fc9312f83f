// SPDX-License-Identifier: Apache-2.0
// Copies chunks to where their bytes belong: by the thread that reads them, or by several beside it.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <vector>

#include "checkpoint/checkpoint_input.hpp"

struct ZSTD_DCtx_s;

namespace sluice::detail {

class ChunkDecoder final : public ChunkSink {
 public:
  explicit ChunkDecoder(const CheckpointPlaces& places);
  void take(std::span<const Piece> pieces, std::span<const std::byte> frame, std::size_t raw_bytes) override;

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const noexcept;
  };
  void decompress(std::span<const std::byte> frame, std::span<std::byte> into);
  bool is_wanted(std::span<const Piece> pieces) const;

  const CheckpointPlaces& places_;
  std::unique_ptr<ZSTD_DCtx_s, Free> zstd_;
  std::vector<std::byte> gathered_;
};

// The chunks of one file are taken in any order, since no piece overlaps another; await() stands between two files.
class ChunkCopiers final : public ChunkSink {
 public:
  // With none the thread that reads decompresses too, as it does with small chunks.
  ChunkCopiers(const CheckpointPlaces& places, unsigned threads);
  ~ChunkCopiers() override;
  ChunkCopiers(const ChunkCopiers&) = delete;
  ChunkCopiers& operator=(const ChunkCopiers&) = delete;

  void take(std::span<const Piece> pieces, std::span<const std::byte> frame, std::size_t raw_bytes) override;
  // Everything that was taken is where it belongs. Throws what a copier did.
  void await();

 private:
  struct Chunk {
    std::vector<Piece> pieces;
    std::vector<std::byte> frame;
    std::size_t raw_bytes = 0;
  };

  void start();
  void copy_chunks() noexcept;

  const CheckpointPlaces& places_;
  ChunkDecoder own_;
  std::vector<pthread_t> copiers_;
  unsigned wanted_;

  std::mutex mutex_;
  // Under the mutex.
  std::condition_variable changed_;
  std::deque<Chunk> waiting_;  // No more than there are copiers.
  std::vector<Chunk> spare_;
  std::size_t unfinished_ = 0;
  std::exception_ptr problem_;
  bool ends_ = false;
};

}  // namespace sluice::detail
