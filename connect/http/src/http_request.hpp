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

// Gives it its answer if its headers are none of HTTP, which the library does not look at: its body is sent in a way of which the
// library does not know where it ends, and would take all that comes for it; or it has not one Host. Whether that is so.
bool refuse_headers(MHD_Connection* connection, std::string_view version, HttpRequest& request);
// Gives it its answer if the body is sent in a way that is not taken, and notes if it says that it has more bytes than `most`.
void look_at_body(MHD_Connection* connection, HttpRequest& request, std::uint64_t most);
// The client sends its body once it is told to: an answer now saves it that.
bool waits_for_leave(MHD_Connection* connection, std::string_view version);
// Of what the client asks for: behind the host, where it names one.
std::string_view path_in(std::string_view target);
// Of MHD_OPTION_UNESCAPE_CALLBACK: a path that holds a zero stays as it is, so that it is not taken for what stands before.
std::size_t unescape(void* unused, MHD_Connection* connection, char* text);
// From now on it is closed when it is silent for so long.
void limit_quiet(MHD_Connection* connection, std::chrono::seconds limit);
// The events of a body, and what they take of a lane.
std::vector<std::string_view> events_in(std::string_view body, bool lines);
std::uint64_t bytes_of(const std::vector<std::string_view>& events);
// Queues the answer.
MHD_Result respond(MHD_Connection* connection, unsigned status, std::string_view text);

}  // namespace sluice::detail
