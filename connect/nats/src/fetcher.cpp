// SPDX-License-Identifier: Apache-2.0
#include "fetcher.hpp"

#include <algorithm>
#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

constexpr std::chrono::milliseconds kPull{2000};
constexpr std::int64_t kPullBytes = std::int64_t{8} << 20;
constexpr std::size_t kBatchesHeld = 2;

int make_event() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw Error{{"make", "an eventfd", errno_text(), "raise the limit of open files"}};
  return fd;
}

void ring(int fd) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd, &one, sizeof(one));  // Full: it is readable as it is.
}

}  // namespace

Fetcher::Fetcher(const NatsClient& client, const std::string& stream, const std::string& consumer,
                 std::size_t batch)
    : client_{client},
      pull_{client, stream, consumer},
      batch_{std::max<std::size_t>(batch, 1)},
      // One message must fit, with its headers.
      batch_bytes_{std::max(kPullBytes, 2 * natsConnection_GetMaxPayload(client.connection()))},
      event_{make_event()},
      thread_{[this] { run(); }} {}

Fetcher::~Fetcher() {
  {
    const std::lock_guard lock{mutex_};
    stop_ = true;
  }
  taken_.notify_one();
  client_.close();
  thread_.join();
  ::close(event_);
}

Fetcher::Batch Fetcher::take() {
  const std::lock_guard lock{mutex_};
  std::uint64_t rings = 0;
  [[maybe_unused]] const ssize_t got = ::read(event_, &rings, sizeof(rings));
  if (batches_.empty()) {
    if (!failed_.empty()) client_.away(failed_);
    return {};
  }
  Batch batch = std::move(batches_.front());
  batches_.pop_front();
  if (!batches_.empty() || !failed_.empty()) ring(event_);
  taken_.notify_one();
  return batch;
}

void Fetcher::run() {
  for (;;) {
    Batch batch;
    std::string failed = pull(batch);
    std::unique_lock lock{mutex_};
    if (stop_) return;
    failed_ = std::move(failed);
    if (!batch.empty()) batches_.push_back(std::move(batch));
    if (!batches_.empty() || !failed_.empty()) ring(event_);
    if (!failed_.empty()) return;
    taken_.wait(lock, [this] { return stop_ || batches_.size() < kBatchesHeld; });
    if (stop_) return;
  }
}

std::string Fetcher::pull(Batch& batch) {
  const natsStatus status =
      pull_.pull({.messages = static_cast<int>(batch_), .bytes = batch_bytes_, .within = kPull}, batch);
  switch (status) {
    case NATS_OK:
    case NATS_TIMEOUT:
    case NATS_NOT_FOUND:
      return {};
    case NATS_NO_RESPONDERS:
      return "it has forgotten the consumer";
    case NATS_ERR:
      return "while messages were pulled: " + pull_.why();
    default:
      return fmt::format("while messages were pulled: {}", nats_text(status));
  }
}

}  // namespace sluice::detail
