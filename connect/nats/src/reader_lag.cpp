// SPDX-License-Identifier: Apache-2.0
#include "reader_lag.hpp"

#include <chrono>
#include <utility>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

// Of a source that has told nothing yet.
SourceLag lag_of(const std::string& what, const std::string& position) {
  SourceLag lag{};
  position.copy(lag.position, sizeof(lag.position) - 1);
  if (what.size() < sizeof(lag.of)) what.copy(lag.of, what.size());
  return lag;
}

}  // namespace

void ReaderLag::claim(Worker& worker, const std::string& what, const std::string& key,
                      const std::string& position) {
  if (std::exchange(looked_for_room_, true)) return;
  try {
    lag_.emplace(worker.state<SourceLag>(std::string{kSourceLagName} + key, lag_of(what, position)));
  } catch (const Error&) {
    // There is no room in the state. It was not made for this.
  }
}

void ReaderLag::note_sizes_of(const std::vector<NatsMessagePtr>& pulled) noexcept {
  if (pulled.empty()) return;
  std::uint64_t bytes = 0;
  for (const NatsMessagePtr& each : pulled)
    bytes += static_cast<std::uint64_t>(natsMsg_GetDataLength(each.get()));
  mean_bytes_ = bytes / pulled.size();
}

void ReaderLag::tell(std::uint64_t events) {
  if (!lag_) return;
  lag_->edit(&SourceLag::events) = events;
  lag_->edit(&SourceLag::bytes) = events * mean_bytes_;
  lag_->edit(&SourceLag::told_ns) =
      std::chrono::nanoseconds{std::chrono::system_clock::now().time_since_epoch()}.count();
}

}  // namespace sluice::detail
