// SPDX-License-Identifier: Apache-2.0
// The consumer of a NatsReader: made anew by each process that reads, within what the server allows; and what cannot be
// read by it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <sluice/worker.hpp>

#include "client.hpp"

namespace sluice::detail {

struct ReaderNeeds {
  std::string stream;
  std::string subject;      // Empty: all.
  std::string key;          // Of the reader: a worker may have several.
  bool queue = false;       // Messages are acknowledged, and removed by that.
  std::uint64_t first = 1;  // Of a stream that is no queue, the sequence where it begins.
  std::size_t batch = 1;    // The most messages of one pull,
};

// Tells the readers of a worker from each other that read the same: each is a reader of its own.
class ReaderKey {
 public:
  ReaderKey(const Worker& worker, const std::string& reads);
  ~ReaderKey();
  ReaderKey(const ReaderKey&) = delete;
  ReaderKey& operator=(const ReaderKey&) = delete;

  // The same for all processes of the worker, whose handlers make their readers in the same order.
  const std::string& text() const noexcept { return text_; }

 private:
  const Worker* worker_;
  std::string text_;
};

struct ReaderConsumer {
  std::string name;
  std::size_t batch = 1;  // and what the server allows of that.
  std::uint64_t pending = 0;
};

// In a call outside. Removes that of a predecessor. Throws as NatsClient does.
ReaderConsumer make_reader_consumer(const NatsClient& client, const Worker& worker, const ReaderNeeds& needs);

// A message with no body and the header "Status: 503", as whoever may publish can send it, libnats takes for the server's word that
// nobody answers, and gives to no subscription. Throws Error that names the first such among the next few from `from` on,
// before `end`; Unavailable when the server is away.
void refuse_swallowed(const NatsClient& client, Worker& worker, const std::string& stream, std::uint64_t from,
                      std::uint64_t end);

}  // namespace sluice::detail
