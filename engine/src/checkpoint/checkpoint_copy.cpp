// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint_copy.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <zstd.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

// A thread that is woken for less costs more than it saves.
constexpr std::size_t kLeastForAThread = std::size_t{128} << 10;

}  // namespace

void ChunkDecoder::Free::operator()(ZSTD_DCtx_s* context) const noexcept {
  ::ZSTD_freeDCtx(context);
}

ChunkDecoder::ChunkDecoder(const CheckpointPlaces& places) : places_{places}, zstd_{::ZSTD_createDCtx()} {
  if (!zstd_) throw Error{{"read", "checkpoints", "there is no memory for it", "give the process more"}};
}

void ChunkDecoder::decompress(std::span<const std::byte> frame, std::span<std::byte> into) {
  const std::size_t bytes =
      ::ZSTD_decompressDCtx(zstd_.get(), into.data(), into.size(), frame.data(), frame.size());
  if (::ZSTD_isError(bytes) != 0)
    throw NotWhole{fmt::format("a chunk cannot be read: {}", ::ZSTD_getErrorName(bytes))};
  if (bytes != into.size()) throw NotWhole{"a chunk has another length than it says"};
}

bool ChunkDecoder::is_wanted(std::span<const Piece> pieces) const {
  for (const Piece& piece : pieces) {
    for (std::uint64_t done = 0; done < piece.bytes;) {
      const CheckpointPlace place = places_(piece.offset + done, piece.bytes - done);
      if (place.to != nullptr) return true;
      done += place.bytes;
    }
  }
  return false;
}

void ChunkDecoder::take(std::span<const Piece> pieces, std::span<const std::byte> frame,
                        std::size_t raw_bytes) {
  if (!is_wanted(pieces)) return;
  if (pieces.size() == 1) {
    const CheckpointPlace place = places_(pieces[0].offset, raw_bytes);
    if (place.to != nullptr && place.bytes == raw_bytes) return decompress(frame, {place.to, raw_bytes});
  }
  if (gathered_.size() < raw_bytes) gathered_.resize(raw_bytes);
  decompress(frame, {gathered_.data(), raw_bytes});
  const std::byte* from = gathered_.data();
  for (const Piece& piece : pieces) {
    for (std::uint64_t done = 0; done < piece.bytes;) {
      const CheckpointPlace place = places_(piece.offset + done, piece.bytes - done);
      if (place.to != nullptr) std::memcpy(place.to, from, place.bytes);
      from += place.bytes;
      done += place.bytes;
    }
  }
}

ChunkCopiers::ChunkCopiers(const CheckpointPlaces& places, unsigned threads)
    : places_{places}, own_{places}, wanted_{threads} {}

ChunkCopiers::~ChunkCopiers() {
  {
    const std::lock_guard lock{mutex_};
    ends_ = true;
  }
  changed_.notify_all();
  for (const pthread_t copier : copiers_)
    ::pthread_join(copier, nullptr);
}

// As many as there can be; none is no harm. Not std::thread, which could end the process that this runs in. Signals are for
// the threads that were there before.
void ChunkCopiers::start() {
  const auto copy = [](void* self) -> void* {
    static_cast<ChunkCopiers*>(self)->copy_chunks();
    return nullptr;
  };
  sigset_t all;
  ::sigfillset(&all);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setsigmask_np(&attributes, &all);
  copiers_.reserve(wanted_);
  for (pthread_t copier{}; wanted_ != 0; --wanted_) {
    if (::pthread_create(&copier, &attributes, copy, this) == 0) copiers_.push_back(copier);
  }
  ::pthread_attr_destroy(&attributes);
}

void ChunkCopiers::take(std::span<const Piece> pieces, std::span<const std::byte> frame,
                        std::size_t raw_bytes) {
  if (raw_bytes >= kLeastForAThread) start();
  if (copiers_.empty() || raw_bytes < kLeastForAThread) return own_.take(pieces, frame, raw_bytes);
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return waiting_.size() < copiers_.size(); });
  Chunk chunk;
  if (!spare_.empty()) {
    chunk = std::move(spare_.back());
    spare_.pop_back();
  }
  lock.unlock();
  chunk.pieces.assign(pieces.begin(), pieces.end());
  chunk.frame.assign(frame.begin(), frame.end());
  chunk.raw_bytes = raw_bytes;
  lock.lock();
  waiting_.push_back(std::move(chunk));
  ++unfinished_;
  lock.unlock();
  changed_.notify_all();
}

void ChunkCopiers::await() {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return unfinished_ == 0; });
  if (problem_) std::rethrow_exception(std::exchange(problem_, nullptr));
}

void ChunkCopiers::copy_chunks() noexcept {
  std::optional<ChunkDecoder> decoder;
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return ends_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Chunk chunk = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    std::exception_ptr problem;
    try {
      if (!decoder) decoder.emplace(places_);
      decoder->take(chunk.pieces, chunk.frame, chunk.raw_bytes);
    } catch (...) {
      problem = std::current_exception();
    }
    lock.lock();
    if (problem && !problem_) problem_ = problem;
    spare_.push_back(std::move(chunk));
    --unfinished_;
    changed_.notify_all();
  }
}

}  // namespace sluice::detail
