// SPDX-License-Identifier: Apache-2.0
// `sluice serve`: a live page, metrics for Prometheus, and answers to "are you well" and "are you ready".

#include <arpa/inet.h>
#include <chrono>
#include <cstdio>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <vector>

#include <fmt/format.h>

#include <sluice/connect/listener.hpp>
#include <sluice/detail/scheduling.hpp>
#include <sluice/detail/text_file.hpp>
#include <sluice/error.hpp>
#include <sluice/observer.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"
#include "serve/answers.hpp"

namespace sluice::command {
namespace {

struct ServeSaid {
  std::vector<std::string> pipelines;
  std::string at = "127.0.0.1:9464";
  std::optional<std::string>
      token_file;  // An empty name, as of a variable that is not set, is one that cannot be read.
};

// Whether only processes of this machine reach it.
bool is_local(int socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(address);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return false;
  if (address.ss_family == AF_UNIX) return true;
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(in.sin_addr.s_addr) >> 24U) == 127;
  }
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
  return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

std::string token_in(const std::string& path) {
  constexpr std::size_t kMostBytes = 65536;
  const detail::TextRead read = detail::read_text_file(path, kMostBytes);
  if (!read.why.empty()) {
    throw Error{{"read the token in", '"' + path + '"', read.why,
                 "name a file that this user may read (--token-file)"}};
  }
  std::string token = read.text.substr(0, read.text.find('\n'));
  if (token.ends_with('\r')) token.pop_back();
  if (token.empty()) {
    throw Error{{"read the token in", '"' + path + '"', "its first line is empty",
                 "write the token into its first line"}};
  }
  return token;
}

// "http://127.0.0.1:9464" where a browser of this machine may take that.
std::string shown_address(const Listener& listener, bool browsers) {
  return (browsers && is_local(listener.descriptor()) ? "http://" : "") + printable(listener.address());
}

// A service may be started before what it watches; a name that was misspelt is never there.
void remark_on_absent(const std::vector<std::string>& pipelines) {
  for (const std::string& pipeline : pipelines) {
    try {
      static_cast<void>(Observer::attach(pipeline));
    } catch (const Error& error) {
      std::fprintf(stderr, "remark: it is served once it can be looked at: %s\n",
                   printable_message(error.what()).c_str());
    }
  }
}

[[noreturn]] void serve(const ServeSaid& said) {
  // Workers that keep all processors busy have short slices: with the system's it would wait for many of theirs.
  detail::wake_early();
  const std::string token = said.token_file ? token_in(*said.token_file) : "";
  const Listener listener{said.at, {.patience = std::chrono::nanoseconds{0}}};
  if (token.empty() && !is_local(listener.descriptor())) {
    throw Error{{"serve metrics at", said.at, "others than this machine reach it, and there is no token",
                 "give --token-file, or serve at 127.0.0.1"}};
  }
  const bool is_port = !listener.address().starts_with("unix:");
  const Access access{token, said.at, listener.address(), is_port};
  WatchedPipelines watched{said.pipelines};
  LiveFeed feed{watched};
  HttpServer server{listener,
                    [&](const HttpRequest& request) { return answer(watched, feed, access, request); }};
  remark_on_absent(said.pipelines);
  std::fprintf(stderr, "serving a live page, /metrics, /health and /ready at %s\n",
               shown_address(listener, is_port).c_str());
  constexpr std::chrono::seconds kIdle{1};
  while (true) {
    server.run_once(server.live_clients() > 0 ? LiveFeed::kGlance : std::chrono::milliseconds{kIdle});
    if (server.live_clients() > 0 && feed.look()) server.tell_live_clients();
  }
}

}  // namespace

void add_serve(CLI::App& program) {
  CLI::App* command = program.add_subcommand("serve", "A live page of running pipelines, metrics, health");
  const auto said = std::make_shared<ServeSaid>();
  command->add_option("pipelines", said->pipelines, "Their names, or paths of their sockets (observe.socket)")
      ->type_name("NAME|SOCKET")
      ->check(not_empty());
  command->add_option("--http", said->at, "Where: HOST:PORT or unix:PATH")
      ->type_name("ADDRESS")
      ->capture_default_str();
  command
      ->add_option("--token-file", said->token_file, "Its first line is the token for the page and /metrics")
      ->type_name("FILE");
  end_help(*command,
           "Without a name: all that this user runs. It only looks, and ends by a signal.\n"
           "The page is http://127.0.0.1:9464; it asks for the token, if there is one.",
           {"sluice serve market", "sluice serve --http unix:/run/sluice/metrics.sock",
            "sluice serve --http '*:9464' --token-file /etc/sluice/token"});
  command->callback([said] { serve(*said); });
}

}  // namespace sluice::command
