// SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include <chrono>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <sluice/connect/detail/time_limit.hpp>
#include <sluice/detail/text_file.hpp>
#include <sluice/error.hpp>
#include <sluice/unavailable.hpp>

#include "server_files.hpp"

namespace sluice::detail {
namespace {

// For what passes in a moment.
constexpr int kLooks = 25;
constexpr std::chrono::milliseconds kBetweenLooks{20};

std::vector<std::string> urls_of(const std::string& list) {
  std::vector<std::string> urls;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    std::string url = list.substr(at, comma - at);
    url.erase(0, url.find_first_not_of(' '));
    url.erase(url.find_last_not_of(' ') + 1);
    if (!url.empty()) urls.push_back(std::move(url));
    at = comma + 1;
  }
  return urls;
}

// Where user and password begin and end in a URL; both at the end when there are none.
std::pair<std::size_t, std::size_t> credentials_in(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t at = url.rfind('@');
  if (at == std::string::npos || at < begin) return {url.size(), url.size()};
  return {begin, at};
}

std::string shown(const std::string& list) {
  std::string text;
  for (std::string& url : urls_of(list)) {
    const auto [begin, end] = credentials_in(url);
    if (begin != url.size()) url.erase(begin, end + 1 - begin);
    if (!text.empty()) text += ", ";
    text += url;
  }
  return text;
}

void replace_all(std::string& text, const std::string& secret) {
  if (secret.empty()) return;
  for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += 3)
    text.replace(at, secret.size(), "***");
}

}  // namespace

std::string nats_text(natsStatus status) {
  natsStatus last = NATS_OK;
  const char* text = nats_GetLastError(&last);
  if (text == nullptr || *text == '\0' || last != status) return natsStatus_GetText(status);
  // libnats begins with the line of its own source: "(conn.c:2088): No server available for connection".
  constexpr std::string_view kEnd = "): ";
  const std::string_view whole = text;
  const std::size_t end = whole.starts_with('(') ? whole.find(kEnd) : std::string_view::npos;
  return std::string{end == std::string_view::npos ? whole : whole.substr(end + kEnd.size())};
}

void check_files(const NatsServer& server) {
  constexpr std::size_t kMostBytes = std::size_t{4} << 20;
  const auto check = [](const std::string& file, const char* what) {
    if (file.empty()) return;
    const std::string why = read_text_file(file, kMostBytes).why;
    if (!why.empty()) throw Error{{fmt::format("read the file of {}", what), file, why, "name another"}};
  };
  check(server.credentials_file, "credentials");
  check(server.ca_file, "certificates");
}

NatsClient::NatsClient(const NatsServer& server, const std::string& name, bool at_once)
    : server_{server}, where_{"the NATS server at " + shown(server.url)} {
  check_time_limit("NatsServer::timeout", server_.timeout);
  connect(name, at_once);
  jsOptions plain;
  jsOptions_Init(&plain);
  jetstream_ = jetstream_with(plain);
}

NatsOptionsPtr NatsClient::options(const std::string& name, bool at_once) const {
  natsOptions* made = nullptr;
  if (const natsStatus status = natsOptions_Create(&made); status != NATS_OK)
    throw Error{{"use libnats for", where_, nats_text(status), ""}};
  NatsOptionsPtr options{made};
  const auto set = [this](natsStatus status, const char* what) {
    if (status == NATS_OK) return;
    throw Error{{"connect to", where_, fmt::format("{}: {}", what, without_secrets(nats_text(status))),
                 "look at the fields of NatsServer"}};
  };
  const std::vector<std::string> urls = urls_of(server_.url);
  std::vector<const char*> servers;
  servers.reserve(urls.size());
  for (const std::string& url : urls)
    servers.push_back(url.c_str());
  set(natsOptions_SetServers(made, servers.data(), static_cast<int>(servers.size())), "the URL");
  set(natsOptions_SetName(made, name.c_str()), "the name");
  set(natsOptions_SetTimeout(made, server_.timeout.count()), "the timeout");
  // What the sockets of a lost connection still held is for the handler's successor to find out.
  set(natsOptions_SetAllowReconnect(made, false), "reconnecting");
  set(natsOptions_SetSendAsap(made, at_once), "sending");
  // What waits for more goes in such pieces, so that the server has work while a sink makes the rest of its messages.
  constexpr int kBufferBytes = 8 << 10;
  if (!at_once) set(natsOptions_SetIOBufSize(made, kBufferBytes), "the buffers");
  // A server that stands still is away after three of them.
  set(natsOptions_SetPingInterval(made, server_.timeout.count()), "the timeout");
  if (!server_.user.empty())
    set(natsOptions_SetUserInfo(made, server_.user.c_str(), server_.password.c_str()), "the user");
  if (!server_.token.empty()) set(natsOptions_SetToken(made, server_.token.c_str()), "the token");
  if (!server_.credentials_file.empty()) {
    set(natsOptions_SetUserCredentialsFromFiles(made, server_.credentials_file.c_str(), nullptr),
        "the file of credentials");
  }
  if (server_.tls || !server_.ca_file.empty()) set(natsOptions_SetSecure(made, true), "TLS");
  if (!server_.ca_file.empty())
    set(natsOptions_LoadCATrustedCertificates(made, server_.ca_file.c_str()), "the file of certificates");
  return options;
}

void NatsClient::connect(const std::string& name, bool at_once) {
  const NatsOptionsPtr options = this->options(name, at_once);
  natsConnection* made = nullptr;
  const natsStatus status = natsConnection_Connect(&made, options.get());
  connection_.reset(made);
  if (status == NATS_OK) return;
  const std::string text = without_secrets(nats_text(status));
  switch (status) {
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_NOT_PERMITTED:
      throw Error{
          {"connect to", where_, text, "give the user, password, token or credentials that it asks for"}};
    case NATS_SECURE_CONNECTION_REQUIRED:
      throw Error{{"connect to", where_, text, "it speaks TLS only: set NatsServer::tls or ca_file"}};
    case NATS_SECURE_CONNECTION_WANTED:
    case NATS_SSL_ERROR:
      throw Error{
          {"connect to", where_, text, "look at its certificate, and at NatsServer::tls and ca_file"}};
    case NATS_ADDRESS_MISSING:
    case NATS_INVALID_ARG:
      throw Error{{"connect to", where_, text, "write the URL as nats://host:port"}};
    default:
      away(text);
  }
}

JsContextPtr NatsClient::jetstream_with(jsOptions& options) const {
  options.Wait = server_.timeout.count();
  if (!server_.domain.empty()) options.Domain = server_.domain.c_str();
  jsCtx* made = nullptr;
  const natsStatus status = natsConnection_JetStream(&made, connection_.get(), &options);
  if (status != NATS_OK) fail("use JetStream of", where_, status, static_cast<jsErrCode>(0));
  return JsContextPtr{made};
}

std::string NatsClient::api(const std::string& request) const {
  return server_.domain.empty() ? "$JS.API." + request : "$JS." + server_.domain + ".API." + request;
}

// A server before 2.9.15 shows a stream by its name before it has made it; it has no time of creation until its store is there.
JsStreamInfoPtr NatsClient::find_stream(const std::string& name) const {
  for (int look = 1;; ++look) {
    jsStreamInfo* made = nullptr;
    auto code = kNoCode;
    const natsStatus status = js_GetStreamInfo(&made, jetstream_.get(), name.c_str(), nullptr, &code);
    JsStreamInfoPtr info{made};
    if (status == NATS_NOT_FOUND) return nullptr;
    if (status != NATS_OK) fail("use", "the stream " + name, status, code);
    if (info->Created != 0) return info;
    if (look == kLooks) away(fmt::format("the stream {} is being made", name));
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

JsStreamInfoPtr NatsClient::stream(const std::string& name) const {
  JsStreamInfoPtr info = find_stream(name);
  if (!info) fail("use", "the stream " + name, NATS_NOT_FOUND, JSStreamNotFoundErr);
  return info;
}

NatsMessagePtr NatsClient::message(const std::string& stream, std::uint64_t sequence) const {
  return ask(stream, fmt::format("message {}", sequence), [&](natsMsg** made, jsErrCode* code) {
    return js_GetMsg(made, jetstream_.get(), stream.c_str(), sequence, nullptr, code);
  });
}

NatsMessagePtr NatsClient::last_message(const std::string& stream, const std::string& subject) const {
  return ask(stream, "the last message of the subject " + subject, [&](natsMsg** made, jsErrCode* code) {
    return js_GetLastMsg(made, jetstream_.get(), stream.c_str(), subject.c_str(), nullptr, code);
  });
}

NatsMessagePtr NatsClient::ask(const std::string& stream, const std::string& what,
                               const std::function<natsStatus(natsMsg**, jsErrCode*)>& get) const {
  static_cast<void>(this->stream(stream));
  for (int look = 1;; ++look) {
    natsMsg* made = nullptr;
    auto code = kNoCode;
    const natsStatus status = get(&made, &code);
    NatsMessagePtr message{made};
    if (status == NATS_OK) return message;
    const bool none = status == NATS_NOT_FOUND;
    if (none && static_cast<int>(code) == JSNoMessageFoundErr) return nullptr;
    if (!none) fail("read", fmt::format("{} of the stream {}", what, stream), status, code);
    // While others are removed by a purge the server may say that it is there and give nothing of it.
    if (look == kLooks) away(fmt::format("{} of the stream {} is there, and is not given", what, stream));
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

// By a request of our own: the library's takes no subject. The server looks into its store, which a consumer's count of what is
// pending may be behind.
bool NatsClient::holds(const std::string& stream, const std::string& subjects, std::uint64_t from) const {
  static_cast<void>(this->stream(stream));
  const std::string request = fmt::format(R"({{"seq":{},"next_by_subj":"{}"}})", from, subjects);
  natsMsg* made = nullptr;
  const natsStatus status =
      natsConnection_RequestString(&made, connection_.get(), api("STREAM.MSG.GET." + stream).c_str(),
                                   request.c_str(), server_.timeout.count());
  const NatsMessagePtr answer{made};
  if (status != NATS_OK) fail("look into", "the stream " + stream, status, static_cast<jsErrCode>(0));
  const std::string_view text{natsMsg_GetData(made), static_cast<std::size_t>(natsMsg_GetDataLength(made))};
  if (text.find(R"("error":)") == std::string_view::npos) return true;
  if (text.find(fmt::format(R"("err_code":{})", static_cast<int>(JSNoMessageFoundErr))) !=
      std::string_view::npos)
    return false;
  away(fmt::format("the stream {} cannot be looked into: {}", stream, text));
}

void NatsClient::end(NatsSubscriptionPtr subscription) const noexcept {
  constexpr std::int64_t kAnswerMs = 1000;
  natsSubscription_Unsubscribe(subscription.get());
  if (natsConnection_FlushTimeout(connection_.get(), kAnswerMs) != NATS_OK) close();
}

void NatsClient::close() const noexcept {
  natsConnection_Close(connection_.get());
}

void NatsClient::fail(const std::string& tried, const std::string& object, natsStatus status,
                      jsErrCode code) const {
  const std::string text = without_secrets(nats_text(status));
  const std::string at = fmt::format("{} of {}", object, where_);
  switch (static_cast<int>(code)) {
    case JSNotEnabledErr:
      throw Error{{tried, at, "JetStream is not enabled there",
                   "start nats-server with -js, or `jetstream {}` in its file"}};
    case JSNotEnabledForAccountErr:
      throw Error{
          {tried, at, "JetStream is not enabled for this account", "give the account limits for JetStream"}};
    case JSStreamNotFoundErr:
      throw Error{{tried, at, "there is no such stream", "make it: nats stream add"}};
    case JSClusterNotAvailErr:
    case JSClusterNotLeaderErr:
    case JSStreamOfflineErr:
    case JSConsumerOfflineErr:
    case JSInsufficientResourcesErr:
    case JSMemoryResourcesExceededErr:
    case JSStorageResourcesExceededErr:
      away(fmt::format("{}: {}", object, text));
    default:
      break;
  }
  switch (status) {
    case NATS_NO_RESPONDERS:
    case NATS_TIMEOUT:
    case NATS_CONNECTION_CLOSED:
    case NATS_CONNECTION_DISCONNECTED:
    case NATS_IO_ERROR:
    case NATS_STALE_CONNECTION:
      away(fmt::format("{}: {}", object, text));
    default:
      throw Error{{tried, at, text, ""}};
  }
}

void NatsClient::away(const std::string& why) const {
  throw Unavailable{fmt::format("{}: {}", where_, why)};
}

std::string NatsClient::without_secrets(std::string text) const {
  for (const std::string& url : urls_of(server_.url)) {
    const auto [begin, end] = credentials_in(url);
    if (begin == url.size()) continue;
    const std::string both = url.substr(begin, end - begin);
    replace_all(text, both);
    if (const std::size_t colon = both.find(':'); colon != std::string::npos)
      replace_all(text, both.substr(colon + 1));
  }
  for (const std::string* secret : {&server_.password, &server_.token})
    replace_all(text, *secret);
  return text;
}

}  // namespace sluice::detail
