// SPDX-License-Identifier: Apache-2.0
// HttpPeers: who is at the other end of each connection of HttpSource, and what the library does not see of them:
//
//   - It is told of bytes and of the end behind them at once, reads the bytes, and does not look again. Who went in the midst of
//     a request, or behind an answer, would keep a connection until the limit for those that are silent.
//   - It closes who was silent for too long before it reads what has come by then: after a time in which the worker could not look,
//     since the stages behind took nothing, all who had sent something.
#pragma once

#include <chrono>
#include <map>
#include <microhttpd.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::detail {

class HttpPeers {
 public:
  using Clock = std::chrono::steady_clock;

  // `silence` is the library's limit; 0: none.
  explicit HttpPeers(std::chrono::seconds silence);

  // Of MHD_OPTION_NOTIFY_CONNECTION, with the object as its argument.
  static void note(void* self, MHD_Connection* connection, void** noted, MHD_ConnectionNotificationCode code);
  // FrameHead::peer; empty if that is not known.
  static std::string_view text_of(MHD_Connection* connection);
  // Its request has come whole, or not any more: the library is to be left alone with it.
  static void note_answering(MHD_Connection* connection, bool answering);

  // Looks after them if it is time to. Right before the library runs.
  void look();
  // How long it is not.
  std::chrono::nanoseconds quiet_for() const;

 private:
  struct Peer {
    MHD_Connection* connection = nullptr;
    int fd = -1;
    std::string text;
    bool answering = false;
  };

  static Peer* of(MHD_Connection* connection);

  std::chrono::seconds silence_;
  std::chrono::nanoseconds interval_;
  Clock::time_point next_look_;
  std::map<MHD_Connection*, Peer> peers_;
  std::vector<pollfd> polled_;
  std::vector<Peer*> asked_;
};

}  // namespace sluice::detail
