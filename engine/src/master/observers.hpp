// SPDX-License-Identifier: Apache-2.0
// How the master answers observers at the observer socket, and what it says of those it refuses. Used by the
// master only.
#pragma once

#include <chrono>
#include <optional>

#include "death/report_log.hpp"
#include "layout/wiring.hpp"
#include "master/epoll.hpp"
#include "master/news.hpp"
#include "observer/observer_socket.hpp"

namespace sluice::detail {

class Observers {
 public:
  // All must outlive it.
  Observers(const Wiring& wiring, ObserverSocket& socket, const Epoll& epoll, const ReportLog& report_log,
            News& news) noexcept
      : wiring_{wiring}, socket_{socket}, epoll_{epoll}, report_log_{report_log}, news_{news} {}

  // From now on. A master that cannot do so does without observers, and the first one says so.
  void begin();
  // A client has connected. What the last one of them asked for that has a say.
  Ask answer();

  // After a flood it is listened at again a little later.
  std::chrono::nanoseconds next_due() const noexcept {
    return due_.value_or(std::chrono::nanoseconds::max());
  }
  void listen_if_due() noexcept {
    if (due_ && *due_ <= monotonic_now()) listen();
  }
  // The pipeline is over.
  void close() noexcept { socket_.remove(); }

 private:
  void listen() noexcept;
  void refuse(const ObserverSocket::Answered& answered);

  const Wiring& wiring_;
  ObserverSocket& socket_;
  const Epoll& epoll_;
  const ReportLog& report_log_;
  News& news_;
  std::optional<std::chrono::nanoseconds> due_;
  std::chrono::nanoseconds next_refusal_{0};  // When one may be reported again.
};

}  // namespace sluice::detail
