// SPDX-License-Identifier: Apache-2.0
// A request of HttpSource: what its headers say, the events of its body, its answer. Knows the library, not the source.
#pragma once

#include <chrono>
#include <cstdint>
#include <microhttpd.h>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::detail {

struct HttpRequest {
  MHD_Connection* connection = nullptr;
  std::string body;
  std::uint64_t number = 0;
  bool too_large = false;
  bool handed_over = false;  // It waits, suspended, for its turn or for the commit.
  unsigned status = 0;       // Of the answer, once it is known.
  std::string answer;
};

// Of MHD_OPTION_NOTIFY_CONNECTION: notes who the other side of a connection is, for as long as that lasts.
void note_peer(void* unused, MHD_Connection* connection, void** noted, MHD_ConnectionNotificationCode code);
// Empty if that is not known.
std::string_view noted_peer(MHD_Connection* connection);
// Gives it its answer if its body is sent in a way of which the library does not know where it ends: it would take all that comes
// for it, until the client goes. Whether that is so.
bool refuse_without_end(MHD_Connection* connection, HttpRequest& request);
// Gives it its answer if the body is sent in a way that is not taken.
void look_at_body(MHD_Connection* connection, HttpRequest& request);
// From now on it is closed when it is silent for so long.
void limit_quiet(MHD_Connection* connection, std::chrono::seconds limit);
// The events of a body, and what they take of a lane.
std::vector<std::string_view> events_in(std::string_view body, bool lines);
std::uint64_t bytes_of(const std::vector<std::string_view>& events);
// Queues the answer.
MHD_Result respond(MHD_Connection* connection, unsigned status, std::string_view text);

}  // namespace sluice::detail
