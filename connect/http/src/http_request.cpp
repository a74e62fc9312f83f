// SPDX-License-Identifier: Apache-2.0
#include "http_request.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

#include <sluice/connect/frame.hpp>
#include <sluice/detail/plain_text.hpp>
#include <sluice/ipc/framing.hpp>

namespace sluice::detail {
namespace {

bool begins_with(std::string_view text, std::string_view scheme) {
  return is_same_word(text.substr(0, scheme.size()), scheme);
}

// What the headers of a request say of it and its body.
struct Headers {
  unsigned hosts = 0;
  std::vector<std::string_view> lengths;
  std::vector<std::string_view> transfers;
  bool encoded = false;  // Compressed, say: its bytes are not those of events.

  // It can be read in two ways, so that another server on the way may have read another: RFC 9112, 6.3.
  bool framed_twice() const {
    return (!transfers.empty() && !lengths.empty()) ||
           std::any_of(lengths.begin(), lengths.end(),
                       [this](std::string_view length) { return length != lengths.front(); });
  }
  bool has_no_end() const {
    return transfers.size() > 1 || (transfers.size() == 1 && !is_same_word(transfers[0], "chunked"));
  }

  void add(std::string_view name, std::string_view value) {
    if (is_same_word(name, MHD_HTTP_HEADER_HOST)) ++hosts;
    if (is_same_word(name, MHD_HTTP_HEADER_CONTENT_LENGTH)) lengths.push_back(value);
    if (is_same_word(name, MHD_HTTP_HEADER_TRANSFER_ENCODING)) transfers.push_back(value);
    if (is_same_word(name, MHD_HTTP_HEADER_CONTENT_ENCODING) && !is_same_word(value, "identity"))
      encoded = true;
  }
};

Headers headers_of(MHD_Connection* connection) {
  Headers headers;
  const auto look = [](void* into, MHD_ValueKind, const char* name, const char* value) {
    static_cast<Headers*>(into)->add(name, value == nullptr ? "" : value);
    return MHD_YES;
  };
  MHD_get_connection_values(connection, MHD_HEADER_KIND, look, &headers);
  return headers;
}

}  // namespace

void limit_quiet(MHD_Connection* connection, std::chrono::seconds limit) {
  MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, static_cast<unsigned>(limit.count()));
}

std::vector<std::string_view> events_in(std::string_view body, bool lines) {
  std::vector<std::string_view> events;
  if (!lines) return {body};
  while (!body.empty()) {
    const std::size_t end = std::min(body.find('\n'), body.size());
    if (end != 0) events.push_back(body.substr(0, end));
    body.remove_prefix(std::min(end + 1, body.size()));
  }
  return events;
}

bool refuse_headers(MHD_Connection* connection, std::string_view version, HttpRequest& request) {
  const Headers headers = headers_of(connection);
  if (headers.has_no_end()) {
    request.status = MHD_HTTP_NOT_IMPLEMENTED;
    request.answer = "of Transfer-Encoding only chunked is known\n";
  } else if (headers.hosts > 1 || (headers.hosts == 0 && version == MHD_HTTP_VERSION_1_1)) {
    request.status = MHD_HTTP_BAD_REQUEST;
    request.answer = "a request has one Host\n";
  }
  return request.status != 0;
}

void look_at_body(MHD_Connection* connection, HttpRequest& request, std::uint64_t most) {
  const Headers headers = headers_of(connection);
  std::uint64_t length = 0;
  if (!headers.lengths.empty()) {
    const std::string_view text = headers.lengths.front();
    std::ignore = std::from_chars(text.data(), text.data() + text.size(), length);
  }
  request.too_large = length > most;
  if (headers.encoded) {
    request.status = MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
    request.answer = "a body is taken as it is: send it without Content-Encoding\n";
  } else if (headers.framed_twice()) {
    request.status = MHD_HTTP_BAD_REQUEST;
    request.answer = "a body has one Content-Length, or Transfer-Encoding\n";
  } else if (headers.lengths.empty() && headers.transfers.empty()) {
    // What follows would be taken for the next request, and these events for none.
    request.status = MHD_HTTP_LENGTH_REQUIRED;
    request.answer = "a body has a Content-Length, or Transfer-Encoding: chunked\n";
  }
}

bool waits_for_leave(MHD_Connection* connection, std::string_view version) {
  const char* expected = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
  return expected != nullptr && is_same_word(expected, "100-continue") && version == MHD_HTTP_VERSION_1_1;
}

std::string_view path_in(std::string_view target) {
  const bool names_host = begins_with(target, "http://") || begins_with(target, "https://");
  if (!names_host) return target;
  target.remove_prefix(target.find("//") + 2);
  const std::size_t path = target.find('/');
  return path == target.npos ? "/" : target.substr(path);
}

std::size_t unescape(void*, MHD_Connection*, char* text) {
  const std::string_view escaped{text};
  return escaped.find("%00") == escaped.npos ? MHD_http_unescape(text) : escaped.size();
}

std::uint64_t bytes_of(const std::vector<std::string_view>& events) {
  std::uint64_t bytes = 0;
  for (const std::string_view event : events)
    bytes += ipc::record_stride(sizeof(FrameHead) + event.size());
  return bytes;
}

MHD_Result respond(MHD_Connection* connection, unsigned status, std::string_view text) {
  MHD_Response* response =
      MHD_create_response_from_buffer(text.size(), const_cast<char*>(text.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
  // Where the next request begins is not known.
  if (status == MHD_HTTP_BAD_REQUEST || status == MHD_HTTP_LENGTH_REQUIRED ||
      status == MHD_HTTP_NOT_IMPLEMENTED)
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_POST);
  const MHD_Result result = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return result;
}

}  // namespace sluice::detail
